"""Program: where the package's windows come from, and a digest of all that an engine says under a profile.

The market is a simulated one in disorder: records come late and again, and snapshots are restored.
"""

from __future__ import annotations

import hashlib
import random
import sys
from typing import TYPE_CHECKING

from pipeline import Engine, codec
from pipeline.cli.simulated.simulation import simulate
from pipeline.features import windows
from pipeline.runtime.profiles import load_profile

if TYPE_CHECKING:
    from pipeline.cli.simulated.scenario import Tick

NEIGHBOURS = 40
"""Records among which the order is lost."""


def disorder(ticks: list[Tick]) -> list[Tick]:
    """Return records out of order, some of them twice."""
    chance = random.Random(5)
    found: list[Tick] = []
    for first in range(0, len(ticks), NEIGHBOURS):
        near = ticks[first : first + NEIGHBOURS]
        found += chance.sample(near, len(near)) + chance.sample(near, len(near) // 20)
    return found


def main() -> None:
    """Print the file of the windows and the digest."""
    profile = load_profile(sys.argv[1])
    engine = Engine(profile)
    digest = hashlib.sha256()
    for number, tick in enumerate(disorder(list(simulate(60, 3)))):
        for output in engine.process(tick.topic, tick.message):
            digest.update(codec.encode([output.topic, output.key, output.body]))
        if number % 5_000 == 4_999:
            engine = Engine.restore(engine.snapshot(), profile)
    digest.update(repr(sorted(engine.skipped().items())).encode())
    sys.stdout.write(f"{windows.__file__}\n{digest.hexdigest()}\n")


if __name__ == "__main__":
    main()
