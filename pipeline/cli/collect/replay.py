"""`cascade collect --replay`: recordings of what venues said, understood again and sent to the topics."""

from __future__ import annotations

from functools import partial
from heapq import merge
from typing import TYPE_CHECKING, Any, Final

import structlog

from pipeline.cli.output import USAGE, fail
from pipeline.collect.outbox import Outbox
from pipeline.collect.reading import Reading, VenueError
from pipeline.collect.recording import recorded, recordings
from pipeline.collect.replay import Replay
from pipeline.collect.venues import VENUES
from pipeline.runtime.sending import producer
from pipeline.runtime.topics import count_partitions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from pipeline.settings import Settings

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 1_000
"""Messages that wait for Kafka before recordings are read on."""


async def send_recordings(
    settings: Settings,
    venues: Sequence[str],
    symbols: Collection[str],
    options: dict[str, Any],
    directory: Path,
) -> None:
    """Send what recordings of some venues tell to the topics, in the order in which it was received.

    `options` are further arguments of `Reading`.
    """
    found = [(name, path) for name, path in recordings(directory) if name in venues]
    if not found:
        fail(f"--replay: {directory} has no recordings of {', '.join(venues)}", USAGE)
    for topic in options["topics"]:
        await count_partitions(settings, topic)  # one that is missing is told at once
    async with producer(settings) as sending:
        outbox = Outbox(sending, most=None)
        understanding = (
            _understand(
                [path for of, path in found if of == name],
                partial(Reading, VENUES[name], outbox, **options),
                symbols,
            )
            for name in venues
        )
        for _ in merge(*understanding):
            if outbox.waiting >= _AT_ONCE:
                await outbox.flush()
        await outbox.flush()


def _understand(
    paths: Sequence[Path], begin: Callable[[], Reading], symbols: Collection[str]
) -> Iterator[int]:
    """Understand the recordings of a venue line by line; yield the time (ms) of each before it is taken."""
    for path in paths:
        reading = begin()
        understood = Replay(reading, symbols)
        try:
            for line in recorded(path):
                yield line.at_ms
                understood.take(line)
        except (VenueError, ValueError) as error:
            fail(f"--replay: {path}: {error}")
        log.info("replayed", file=path.name, **dict(reading.account.messages))
