"""One WebSocket connection of a venue, from its beginning to its end.

An acknowledged subscription is not data, and an open connection is no life: both have a clock.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final

import aiohttp
import structlog

from pipeline.collect.venue import LARGEST, NOW, Accepted, Closing, Refused, Reply, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.collect.venue import Connection, Told, Venue

log = structlog.get_logger(__name__)

_CONNECT: Final = 10.0
_PROTOCOL_PING: Final = 20.0
_TOO_MANY: Final = {418, 429}
_LEFT_ALONE: Final = 60.0
"""Seconds without a request after too many of them, where the venue does not say."""


def left_alone(status: int, headers: Mapping[str, str] | None) -> float:
    """Return for how many seconds a venue that answers so wants to be left alone."""
    if status not in _TOO_MANY:
        return 0.0
    try:
        return float((headers or {})["Retry-After"])
    except (KeyError, ValueError):  # none, or a date
        return _LEFT_ALONE


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
        Set once data came, and everything was asked for.
    leaving
        Set when it is to be replaced.
    accepted
        Whether the venue took a subscription.
    refused
        How often it refused something.
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
        self.accepted = self._asked = False
        self.refused = 0
        self.began = self.heard = time.time()
        self.task = asyncio.create_task(self._hold())

    async def stop(self) -> None:
        """End it; how it ended before that is of no interest any more."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    @property
    def pause(self) -> float:
        """For how many seconds the venue wants no other connection, now that this one has ended."""
        error = self.task.exception()
        return (
            left_alone(error.status, error.headers) if isinstance(error, aiohttp.ClientResponseError) else 0.0
        )

    @property
    def reason(self) -> str:
        """Why it has ended: what its innermost part says."""
        error: BaseException | None = self.task.exception()
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, (aiohttp.ClientError, OSError, SilenceError, EndedError)):
            return str(error) or type(error).__name__
        if error is not None:
            raise error
        return "ended"

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        try:
            async with asyncio.timeout(_CONNECT):
                return await self._session.ws_connect(
                    self.connection.url,
                    headers=dict(self.connection.headers),
                    heartbeat=_PROTOCOL_PING if self._venue.HEARTBEAT.protocol else None,
                    max_msg_size=LARGEST,
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
        self._asked = True
        if self.heard > self.began:
            self.live.set()

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
                self.refused += 1
                log.warning("refused", venue=self._venue.NAME, reason=told.reason)
            elif isinstance(told, Accepted):
                self.accepted = True
            elif not isinstance(told, Unreadable):
                data = True
        if data:
            self.heard = time.time()
            if self._asked:
                self.live.set()
        return data


def _dated(text: str) -> str:
    return text.replace(NOW, str(int(time.time())))
