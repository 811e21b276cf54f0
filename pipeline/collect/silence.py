"""What is told of a venue on `feed-status`: which of its streams are silent, and that a collector runs."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import structlog

from pipeline import contract
from pipeline.collect.link import Gap
from pipeline.messages import FeedStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pipeline.collect.account import Account
    from pipeline.collect.reading import Taking

log = structlog.get_logger(__name__)

INSTRUMENTS: Final = "instruments"
"""The stream of a venue that does not list them: without, none is collected."""
_REMEMBERED: Final = 1_000
"""What it said last, by which it knows its own words when they come back from Kafka."""


class Silence:
    """Tells of the gaps of one venue's streams, and knows what collectors told of them last.

    Parameters
    ----------
    venue, account, outbox
        Which venue, where gaps are counted, and where they are told.

    """

    def __init__(self, venue: str, account: Account, outbox: Taking) -> None:
        self._venue = venue
        self._account = account
        self._outbox = outbox
        self._last: dict[str, FeedStatus] = {}
        self._said: deque[FeedStatus] = deque(maxlen=_REMEMBERED)
        self._lost: set[str] = set()  # what this one had, and lost

    def hear(self, told: FeedStatus) -> bool:
        """Take what some collector told, now or before this one ran; tell whether it was another one."""
        self._last[told.stream] = told
        return told not in self._said

    async def beat(self) -> None:
        """Tell that a collector runs: one that is killed cannot tell of its end."""
        while True:
            now = time.time()
            self._tell(contract.FEED_COLLECTOR, Gap(now, now, "collecting"))
            await asyncio.sleep(contract.FEED_BEAT)

    def gap_before(self, stream: str) -> Gap | None:
        """Return the gap in which a stream is when its connection begins; what nobody told is told now."""
        last, beat = self._last.get(stream), self._last.get(contract.FEED_COLLECTOR)
        if last is not None and last.until is None:
            return Gap(last.since, None, last.reason)
        if beat is not None and time.time() - beat.since > contract.FEED_UNHEARD:
            gap = Gap(beat.since, None, "no collector ran")
            self.tell(stream, gap)
            self._lost.discard(stream)
            return gap
        return None

    def tell(self, stream: str, gap: Gap) -> FeedStatus:
        """Tell of a gap when it begins and when it is over; an empty one says that data begin to come."""
        if gap.until is None:
            self._account.gaps += 1
            self._lost.add(stream)
            log.warning("a feed is silent", venue=self._venue, stream=stream, reason=gap.reason)
        elif gap.until > gap.since:
            self._account.reconnects += stream in self._lost
            self._lost.discard(stream)
            seconds = round(gap.until - gap.since, 1)
            log.info("a feed is back", venue=self._venue, stream=stream, seconds=seconds)
        return self._tell(stream, gap)

    def unlisted(self, reason: str) -> None:
        """Tell, once, that the venue does not list its instruments; over once any stream is collected."""
        last = self._last.get(INSTRUMENTS)
        if last is None or last.until is not None:
            self._last[INSTRUMENTS] = self.tell(INSTRUMENTS, Gap(time.time(), None, reason))

    def forget_all_but(self, streams: Collection[str]) -> None:
        """Tell that gaps are over of streams that there were before and that nobody collects now."""
        for stream, last in self._last.items():
            if last.until is None and stream not in streams:
                self._tell(stream, Gap(last.since, time.time(), "no longer collected"))

    def stop(self, streams: Iterable[str]) -> None:
        """Tell that nothing is heard of these streams from now on."""
        for stream in streams:
            self._tell(stream, Gap(time.time(), None, "collector stopped"))

    def _tell(self, stream: str, gap: Gap) -> FeedStatus:
        until = None if gap.until is None else max(gap.since, gap.until)  # the clock may have been put back
        status = FeedStatus(self._venue, stream, gap.since, until, gap.reason, time.time())
        self._said.append(status)
        self._outbox.tell(status)
        return status
