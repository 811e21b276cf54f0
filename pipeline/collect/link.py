"""A WebSocket connection that is kept up: made again when it ends, replaced before the venue cuts it.

An acknowledged subscription is not data, and an open connection is no life: both have a clock. What was not
heard meanwhile is told as a gap; nothing is replayed by the venues.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiohttp
import structlog
from redis.backoff import EqualJitterBackoff

from pipeline.collect.venue import NOW, Accepted, Closing, Refused, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.collect.venue import Connection, Told, Venue

log = structlog.get_logger(__name__)

_CONNECT: Final = 10.0
_LARGEST_FRAME: Final = 16 << 20
_PROTOCOL_PING: Final = 20.0
_LASTED: Final = 60.0
"""Seconds of data after which a connection counts as good: the next failure is the first again."""
_LONGEST_EXPONENT: Final = 16
_TOO_MANY: Final = {418, 429}
_LEFT_ALONE: Final = 60.0
"""Seconds without a request after too many of them, where the venue does not say."""
OVERLAP: Final = 30.0
"""Seconds that a replacement gets to bring data before the one that it replaces is closed."""


def left_alone(status: int, headers: Mapping[str, str] | None) -> float:
    """Return for how many seconds a venue that answers so wants to be left alone."""
    if status not in _TOO_MANY:
        return 0.0
    try:
        return float((headers or {})["Retry-After"])
    except (KeyError, ValueError):  # none, or a date
        return _LEFT_ALONE


class Gap(NamedTuple):
    """Time without data of one connection, in Unix seconds; `until` is None while it lasts."""

    since: float
    until: float | None
    reason: str


class SilenceError(Exception):
    """Nothing came for too long."""


class EndedError(Exception):
    """The venue ended the connection."""


class Conversation:
    """One connection from its beginning to its end.

    Attributes
    ----------
    connection
        Where to, and what is subscribed to.
    live
        Set once data came.
    leaving
        Set when it is to be replaced.
    accepted
        Whether the venue took a subscription.
    began, heard
        When it began, and when data came last (before any: when it began), in Unix seconds.

    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        venue: Venue,
        connection: Connection,
        read: Callable[[str | bytes], Sequence[Told]],
        data_silence: float,
    ) -> None:
        self._session = session
        self._venue = venue
        self.connection = connection
        self._read = read
        self._data_silence = data_silence
        self.live = asyncio.Event()
        self.leaving = asyncio.Event()
        self.accepted = False
        self.began = self.heard = time.time()
        self.task = asyncio.create_task(self._hold())

    async def stop(self) -> None:
        """End it; how it ended before that is of no interest any more."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        try:
            async with asyncio.timeout(_CONNECT):
                return await self._session.ws_connect(
                    self.connection.url,
                    headers=dict(self.connection.headers),
                    heartbeat=_PROTOCOL_PING if self._venue.HEARTBEAT.protocol else None,
                    max_msg_size=_LARGEST_FRAME,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                )
        except TimeoutError:
            raise SilenceError(f"no connection within {_CONNECT:.0f} s") from None

    async def _hold(self) -> None:
        beat = self._venue.HEARTBEAT
        async with await self._connect() as socket, asyncio.TaskGroup() as group:
            others = [group.create_task(self._subscribe(socket)), group.create_task(self._age())]
            if beat.text is not None:
                others.append(group.create_task(self._beat(socket, beat.text)))
            try:
                await self._listen(socket)
            finally:
                for other in others:
                    other.cancel()

    async def _subscribe(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        for frame in self.connection.frames:
            await socket.send_str(_dated(frame))
            await asyncio.sleep(1 / self._venue.LIMITS.frames_per_second)

    async def _beat(self, socket: aiohttp.ClientWebSocketResponse, text: str) -> None:
        while True:
            await asyncio.sleep(self._venue.HEARTBEAT.every)
            await socket.send_str(_dated(text))

    async def _age(self) -> None:
        """Ask for a replacement before the venue cuts the connection; not all of them at once."""
        if (lifetime := self._venue.LIMITS.lifetime) is not None:
            await asyncio.sleep(lifetime * random.uniform(0.9, 1.0))  # noqa: S311
            self.leaving.set()

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        since = time.monotonic()
        while True:
            try:
                message = await socket.receive(timeout=self._venue.HEARTBEAT.silence)
            except TimeoutError:
                raise SilenceError(f"no frame for {self._venue.HEARTBEAT.silence:.0f} s") from None
            if message.type not in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                raise EndedError(f"closed by the venue ({message.data or message.type.name})")
            if await self._take(message.data, socket):
                since = time.monotonic()
            elif time.monotonic() - since > self._data_silence:
                raise SilenceError(f"frames, but no data for {self._data_silence:.0f} s")

    async def _take(self, frame: str | bytes, socket: aiohttp.ClientWebSocketResponse) -> bool:
        """Read a frame, answer what has to be answered, and tell whether it held data."""
        data = False
        for told in self._read(frame):
            if isinstance(told, Reply):
                await socket.send_str(told.text)
            elif isinstance(told, Closing):
                self.leaving.set()
            elif isinstance(told, Refused):
                log.warning("refused", venue=self._venue.NAME, reason=told.reason)
            elif isinstance(told, Accepted):
                self.accepted = True
            else:
                data = True
        if data:
            self.heard = time.time()
            self.live.set()
        return data


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
        data_silence: float = 120.0,
        longest_wait: float = 32.0,
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
                await asyncio.sleep(max(pause, _asked_pause(current.task)))
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
        return _reason(current.task) if current.task.done() else None

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
            self._cease(current.heard, _reason(current.task))
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


def _dated(text: str) -> str:
    return text.replace(NOW, str(int(time.time())))


def _asked_pause(task: asyncio.Task[Any]) -> float:
    """Return for how long the venue wants no other connection."""
    error = task.exception()
    return left_alone(error.status, error.headers) if isinstance(error, aiohttp.ClientResponseError) else 0.0


def _reason(task: asyncio.Task[Any]) -> str:
    """Return why a conversation ended: what its innermost part says."""
    error: BaseException | None = task.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, (aiohttp.ClientError, OSError, SilenceError, EndedError)):
        return str(error) or type(error).__name__
    if error is not None:
        raise error
    return "ended"
