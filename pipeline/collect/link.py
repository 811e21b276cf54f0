"""A WebSocket connection that is kept up: made again when it ends, replaced before the venue cuts it.

What was not heard meanwhile is told as a gap; nothing is replayed by the venues.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from redis.backoff import EqualJitterBackoff

from pipeline.collect.conversation import Conversation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import aiohttp

    from pipeline.collect.venue import Connection, Told, Venue

_LASTED: Final = 60.0
"""Seconds of data after which a connection counts as good: the next failure is the first again."""
_LONGEST_EXPONENT: Final = 16
OVERLAP: Final = 30.0
"""Seconds that a replacement gets to ask for everything and bring data, else what it replaces stays."""


class Gap(NamedTuple):
    """Time without data of one connection, in Unix seconds; `until` is None while it lasts."""

    since: float
    until: float | None
    reason: str


class Link:
    """Keeps one of a venue's connections up, for ever.

    Parameters
    ----------
    session, venue, connection
        What to connect to, and with what.
    reader
        Returns a function that reads the frames of one conversation.
    told_gap
        Called when data come first, when they cease, and when they are back.
    data_silence
        Seconds of frames without data after which a connection is made again.
    longest_wait
        Seconds between two tries at most.
    gap
        One that lasts when it begins.

    """

    def __init__(  # noqa: PLR0913
        self,
        session: aiohttp.ClientSession,
        venue: Venue,
        connection: Connection,
        *,
        reader: Callable[[], Callable[[str | bytes], Sequence[Told]]],
        told_gap: Callable[[Gap], object],
        data_silence: float,
        longest_wait: float,
        gap: Gap | None = None,
    ) -> None:
        self._session, self._venue, self._connection = session, venue, connection
        self._reader, self._data_silence = reader, data_silence
        self._told_gap = told_gap
        self._backoff = EqualJitterBackoff(cap=longest_wait, base=1.0)
        self._gap = gap
        self._live_since = 0.0
        self._longest_wait = longest_wait
        self.connected = False
        self._current: Conversation | None = None

    @property
    def refused(self) -> int:
        """How often the venue refused something on the present connection."""
        return 0 if self._current is None else self._current.refused

    def change(self, connection: Connection) -> bool:
        """Bring something else from now on, and tell whether that is so: the new connection comes first."""
        if connection == self._connection:
            return False
        self._connection = connection
        if self._current is not None:
            self._current.leaving.set()
        return True

    def forget(self) -> None:
        """Tell that a gap is over that nobody waits for any more."""
        if self._gap is not None:
            self._told_gap(self._gap._replace(until=time.time()))

    def hear(self, told: Gap) -> None:
        """Take what another collector told of the same stream: it is silent where none of them hears it."""
        if told.until is None:
            if self.connected:
                over = max(told.since, self._live_since)
                self._told_gap(Gap(over, over, "another collector hears it"))
        elif self._gap is not None and told.until >= self._gap.since:
            self._gap, self._live_since = None, 0.0

    def _start(self) -> Conversation:
        return Conversation(self._session, self._venue, self._connection, self._reader(), self._data_silence)

    async def run(self) -> None:
        """Hold a conversation after the other; end only by being cancelled."""
        failures, self._current = 0, self._start()
        try:
            while True:
                current = self._current
                reason = await self._converse(current)
                if reason is None:  # to be replaced: the other one first
                    self._current = await self._replace(current)
                    continue
                failures = 1 if current.heard - current.began > _LASTED else failures + 1
                self._cease(current.heard, reason)
                pause = self._backoff.compute(min(failures, _LONGEST_EXPONENT))
                await asyncio.sleep(max(pause, current.pause))
                self._current = self._start()
        finally:
            await self._current.stop()

    async def _converse(self, current: Conversation) -> str | None:
        """Wait until a conversation ends, and return why; None when it is to be replaced."""
        live = asyncio.create_task(self._hear(current))
        leaving = asyncio.create_task(current.leaving.wait())
        try:
            await asyncio.wait({current.task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            live.cancel()
            leaving.cancel()
        return current.reason if current.task.done() else None

    async def _hear(self, current: Conversation) -> None:
        await current.live.wait()
        self.connected = True
        now = time.time()
        if self._gap is not None:
            ended, self._gap = self._gap._replace(until=now), None
            self._told_gap(ended)
        elif not self._live_since:  # an empty gap: whatever others told of is over
            self._told_gap(Gap(now, now, "collection began"))
        self._live_since = now

    async def _replace(self, current: Conversation) -> Conversation:
        """Return the conversation to go on with: the old one, while it lasts and the new one has no data."""
        successor = self._start()
        live = asyncio.create_task(successor.live.wait())
        try:
            await asyncio.wait(
                {live, successor.task, current.task},
                timeout=OVERLAP,
                return_when=asyncio.FIRST_COMPLETED,
            )
        except asyncio.CancelledError:
            await successor.stop()
            raise
        finally:
            live.cancel()
        if not current.task.done() and not _as_good(successor, current):
            await successor.stop()
            current.leaving.clear()
            asyncio.get_running_loop().call_later(self._longest_wait, current.leaving.set)
            return current
        if not _as_good(successor, current):
            self._cease(current.heard, current.reason)
        await current.stop()
        if successor.connection != self._connection:  # it was changed meanwhile
            successor.leaving.set()
        return successor

    def _cease(self, since: float, reason: str) -> None:
        self.connected = False
        if self._gap is None:
            self._gap = Gap(max(since, self._live_since), None, reason)
            self._told_gap(self._gap)


def _as_good(successor: Conversation, current: Conversation) -> bool:
    """Tell whether one can take the other's place: it has data, or it was accepted and both are quiet."""
    if successor.task.done():
        return False
    return successor.live.is_set() or (successor.accepted and current.heard < successor.began)
