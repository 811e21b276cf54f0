"""What collectors tell of venues' feeds: which are silent now, and which have been."""

from __future__ import annotations

import asyncio
import time
from itertools import chain
from typing import TYPE_CHECKING, Final

import structlog

from pipeline import codec, contract
from pipeline.messages import FeedStatus
from pipeline.runtime.reading import read_topic
from pipeline.runtime.topics import NO_KAFKA

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.settings import Settings

log = structlog.get_logger(__name__)

_FRESH: Final = 10.0
"""Seconds for which what was read is told again."""
_PATIENCE: Final = 3.0
"""Seconds that the broker has to tell them: whoever asks for more than them is not to wait for it."""
_DAY: Final = 86_400.0


def statuses(value: bytes | None) -> list[FeedStatus]:
    """Return what a record tells; nothing where it is somebody else's, and says nothing of a feed."""
    found = codec.decode(contract.FEED_STATUS, value).messages
    return [each for each in found if isinstance(each, FeedStatus)]


def gaps(told: Iterable[FeedStatus], now: float) -> list[FeedStatus]:
    """Return the gaps of the last day: each once, as told last; those that last first, then the newest.

    A gap lasts until its stream is told to be back, whichever gap that is told of. A venue whose
    collectors have told nothing for minutes has one, too.
    """
    told = list(told)
    by_stream: dict[tuple[str, str], dict[float, FeedStatus]] = {}
    for each in chain(told, _unheard(told, now)):
        known = by_stream.setdefault((each.exchange, each.stream), {})
        if each.until is not None:
            known = by_stream[each.exchange, each.stream] = {
                since: gap for since, gap in known.items() if gap.until is not None
            }
        if each.until is None or each.until > each.since:
            known[each.since] = each
    found = [gap for known in by_stream.values() for gap in known.values()]
    recent = [gap for gap in found if gap.until is None or gap.until > now - _DAY]
    return sorted(recent, key=lambda gap: (gap.until is not None, -gap.since))


def _unheard(told: Iterable[FeedStatus], now: float) -> list[FeedStatus]:
    """Return as gaps when collectors told last that they run, where that is too long ago."""
    last = {each.exchange: each.since for each in told if each.stream == contract.FEED_COLLECTOR}
    return [
        FeedStatus(exchange, contract.FEED_COLLECTOR, since, None, "no collector runs")
        for exchange, since in last.items()
        if now - since > contract.FEED_UNHEARD
    ]


async def told_of_feeds(settings: Settings) -> list[FeedStatus]:
    """Return what collectors told within a day.

    Raises
    ------
    TopicsError
        The topic is missing.

    """
    since = time.time() - _DAY
    records = read_topic(settings, contract.FEED_STATUS, since=since, only=0)  # each has a copy
    return [each async for record in records for each in statuses(record.value)]


class Feeds:
    """The topic of feeds' states, read when somebody asks, and not more often than every few seconds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reading = asyncio.Lock()
        self._read_at = -_FRESH
        self._gaps: list[FeedStatus] = []

    async def gaps(self) -> list[FeedStatus]:
        """Return the gaps of the last day; those known already where the topic cannot be read."""
        async with self._reading:
            if time.monotonic() - self._read_at >= _FRESH:
                try:
                    async with asyncio.timeout(_PATIENCE):
                        self._gaps = gaps(await told_of_feeds(self._settings), time.time())
                except NO_KAFKA as error:
                    log.info("what collectors tell of feeds cannot be read", reason=repr(error))
                self._read_at = time.monotonic()
        return self._gaps
