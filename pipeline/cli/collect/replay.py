"""`cascade collect --replay`: recordings of what venues said, understood again and sent to the topics."""

from __future__ import annotations

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
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from pipeline.settings import Settings

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 1_000
"""Messages of a recording that wait for Kafka before it is read on."""


async def send_recordings(
    settings: Settings,
    venues: Sequence[str],
    symbols: Collection[str],
    options: dict[str, Any],
    directory: Path,
) -> None:
    """Send what recordings of some venues tell to the topics, as it was when they were made.

    `options` are further arguments of `Reading`.
    """
    found = [(name, path) for name, path in recordings(directory) if name in venues]
    if not found:
        fail(f"--replay: {directory} has no recordings of {', '.join(venues)}", USAGE)
    for topic in options["topics"]:
        await count_partitions(settings, topic)  # one that is missing is told at once
    async with producer(settings) as sending:
        outbox = Outbox(sending, most=None)
        for name, path in found:
            reading = Reading(VENUES[name], outbox, **options)
            await _send(path, Replay(reading, symbols), outbox)
            log.info("replayed", file=path.name, **dict(reading.account.messages))


async def _send(path: Path, understood: Replay, outbox: Outbox) -> None:
    try:
        for line in recorded(path):
            understood.take(line)
            if outbox.waiting >= _AT_ONCE:
                await outbox.flush()
    except (VenueError, ValueError) as error:
        fail(f"--replay: {path}: {error}")
    await outbox.flush()
