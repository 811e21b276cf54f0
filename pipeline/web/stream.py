"""`/api/stream`: signals and the market regime as server-sent events.

What is heard comes from Kafka, from all partitions, so any worker streams for the whole fleet. A topic is
read while somebody listens, once for all listeners. Who reads too slowly is cut off, not waited for.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from msgspec import Struct

from pipeline import codec, contract
from pipeline.runtime.connections import keep_steady
from pipeline.signals.levels import ALERT
from pipeline.web import query
from pipeline.web.server import LIMIT, cut_off, problem

if TYPE_CHECKING:
    from pipeline.settings import Settings

log = structlog.get_logger(__name__)

MOST_LISTENERS: Final = 100
MOST_WAITING: Final = 1_000
"""Events that may wait for a listener; who has more is cut off."""
HEARTBEAT: Final = 10.0
_AGAIN: Final = 1.0
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}


class Glance(Struct):
    """What decides whether a listener wants a signal."""

    symbol: str
    signal_level: int
    id: str


_glance: Final = codec.decoder(Glance)


class Listener:
    """Somebody who listens: from which level on, to which symbol, and what waits for him.

    With `changes` only signals with which a level changed are wanted.
    """

    def __init__(self, least: int, symbol: str | None, *, changes: bool = False) -> None:
        self.least = least
        self._symbol = symbol
        self._changes = changes
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_WAITING + 1)

    def take(self, event: bytes, glance: Glance | None, *, changed: bool = False) -> None:
        """Take an event, if it is wanted; of too many that wait none is kept, and the listener is let go."""
        if glance is not None and not (
            glance.signal_level >= self.least
            and self._symbol in (None, glance.symbol)
            and (changed or not self._changes)
        ):
            return
        if self.queue.qsize() < MOST_WAITING:
            self.queue.put_nowait(event)
        else:
            self.let_go()

    def let_go(self) -> None:
        """End the stream."""
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(None)


class Topic:
    """Reads the end of a topic for as long as somebody listens."""

    def __init__(self, settings: Settings, name: str, kind: str) -> None:
        self._settings = settings
        self._name = name
        self._kind = kind
        self._listeners: set[Listener] = set()
        self._levels: dict[str, int] = {}
        self._reading: asyncio.Task[None] | None = None

    def add(self, listener: Listener) -> None:
        """Let somebody listen."""
        self._listeners.add(listener)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())

    async def remove(self, listener: Listener) -> None:
        """Let somebody listen no more."""
        self._listeners.discard(listener)
        if not self._listeners and self._reading is not None:
            reading, self._reading = self._reading, None
            self._levels.clear()
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    async def _read(self) -> None:
        while True:
            try:
                await self._read_on()
            except (KafkaError, OSError) as error:
                log.warning(
                    "a stream's topic cannot be read, trying again", topic=self._name, error=str(error)
                )
            except Exception:
                log.exception("a stream's topic was not read on, trying again", topic=self._name)
            await asyncio.sleep(_AGAIN)

    async def _read_on(self) -> None:
        options = self._settings.kafka_client_options()
        consumer = AIOKafkaConsumer(**options, enable_auto_commit=False, auto_offset_reset="latest")
        keep_steady(consumer)
        async with consumer:
            consumer.assign([TopicPartition(self._name, each) for each in range(self._settings.partitions)])
            async for record in consumer:
                self._tell(record.value)

    def _tell(self, value: bytes | None) -> None:
        glance, mark, changed = None, b"", False
        if value is None:
            return
        if self._kind == "signal":
            try:
                glance = _glance(value)
            except codec.UNREADABLE:
                return  # whatever that is, it is no signal
            mark = b"id: %s\n" % glance.id.encode()
            before = self._levels.get(glance.symbol)
            changed = before != glance.signal_level if before is not None else glance.signal_level > 0
            self._levels[glance.symbol] = glance.signal_level
        event = b"event: %s\n%sdata: %s\n\n" % (self._kind.encode(), mark, value)
        for listener in self._listeners:
            listener.take(event, glance, changed=changed)


class Stream:
    """The streams of a worker."""

    def __init__(self, settings: Settings) -> None:
        self._alerts = Topic(settings, contract.ALERTS, "signal")
        self._signals = Topic(settings, contract.SIGNALS, "signal")
        self._regime = Topic(settings, contract.REGIME, "regime")
        self._listeners: set[Listener] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Stream signals and the market regime until the listener leaves, or is too slow."""
        least, symbol = query.least_level(request, query.LEVEL_OF_STREAM), query.only_symbol(request)
        changes = query.only_changes(request)
        if len(self._listeners) >= MOST_LISTENERS:
            return problem(503, f"{MOST_LISTENERS} listen here already: ask another worker")
        request[LIMIT].reschedule(None)
        response = web.StreamResponse(headers=_HEADERS)
        await response.prepare(request)
        listener = Listener(least, symbol, changes=changes)
        alerts_are_enough = least >= ALERT and not changes
        topics = (self._alerts if alerts_are_enough else self._signals, self._regime)
        self._listeners.add(listener)
        for topic in topics:
            topic.add(listener)
        try:
            with suppress(ConnectionResetError):
                await _send(request, response, listener)
        finally:
            self._listeners.discard(listener)
            for topic in topics:
                await topic.remove(listener)
        return response

    def close(self) -> None:
        """End every stream: the worker stops."""
        for listener in self._listeners:
            listener.let_go()


async def _send(request: web.Request, response: web.StreamResponse, listener: Listener) -> None:
    """Send what waits until the listener is let go, has left, or has taken nothing for too long."""
    await response.write(b"retry: 2000\n\n")
    while True:
        try:
            event = await asyncio.wait_for(listener.queue.get(), HEARTBEAT)
        except TimeoutError:
            event = b": still here\n\n"
        try:
            async with asyncio.timeout(HEARTBEAT):
                if event is None:
                    await response.write_eof()
                    return
                await response.write(event)
        except TimeoutError:
            cut_off(request)
            return
