"""The demo's run: a simulated market in real time through a running worker, and what comes out of it."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from redis.asyncio import Redis

from pipeline import codec, contract
from pipeline.cli.demo.board import Board
from pipeline.cli.demo.summary import Summary, Tally
from pipeline.cli.feeding import send_when_due
from pipeline.runtime.sending import producer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pipeline.cli.demo.board import Change
    from pipeline.cli.demo.embedded import Child
    from pipeline.cli.simulated.simulation import Market
    from pipeline.settings import Settings

READ: Final = (*contract.PROJECTED, contract.DEAD_LETTERS)
READY_S: Final = 60.0
"""Seconds after which a worker that has not read the market's past is given up."""
QUIET_S: Final = 1.0
LONGEST_QUIET_S: Final = 15.0
"""Seconds without an output after which all is taken to have come, and the longest wait for that."""
REFRESH_S: Final = 0.25

_decode: Final = codec.decoder(dict[str, Any])


class View:
    """Where a demo is shown: here nothing is."""

    def dashboard(self, url: str) -> None:
        """Tell where the dashboard is."""

    def change(self, change: Change) -> None:
        """Tell of a change of level."""

    def refresh(self, board: Board, second: float | None) -> None:
        """Show the newest; `second` counts from when the market opened, None before that."""


class Show:
    """Plays a market to a pipeline and listens to what it says.

    Parameters
    ----------
    market
        What is played.
    settings
        Where the pipeline is.
    worker
        The process that must not end meanwhile.
    view
        Where it is shown.

    """

    def __init__(self, market: Market, settings: Settings, worker: Child, view: View) -> None:
        self.market = market
        self.settings = settings
        self.worker = worker
        self.view = view
        self.board = Board()
        self.tally: Tally | None = None
        self.started = time.monotonic()
        self.first_signal_s: float | None = None
        self.dead_letters = 0
        self.events = 0
        self._past_end = float("inf")
        self._past_read = asyncio.Event()
        self._heard = time.monotonic()

    async def run(self) -> Summary:
        """Play the market to its end and return what came of it.

        Raises
        ------
        EmbeddedError
            The worker ended, or read nothing.

        """
        playing = asyncio.create_task(self._play())
        listening = [asyncio.create_task(work) for work in (self._read(), self._subscribe(), self._refresh())]
        try:
            done, _ = await asyncio.wait([playing, *listening], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await _end([playing, *listening])
        tally = playing.result()
        return tally.summarise(
            seconds=self.market.seconds,
            seed=self.market.seed,
            events=self.events,
            first_signal_s=self.first_signal_s,
            dead_letters=self.dead_letters,
        )

    async def _play(self) -> Tally:
        async with producer(self.settings, linger_ms=0) as sending:
            start = round(time.time(), 3)
            self._past_end = start - 1
            await send_when_due(sending, self.market.warm_up(start))
            await self._until_past_is_read()
            if self.settings.web_enabled:
                self.view.dashboard(f"{self.settings.own_url}/")
            opened = round(time.time(), 3)
            self.tally = Tally(opened, opened + self.market.onset)
            self.events = await send_when_due(sending, self.market.play(opened))
        await self._until_quiet()
        return self.tally

    async def _until_past_is_read(self) -> None:
        try:
            await asyncio.wait_for(self._past_read.wait(), READY_S)
        except TimeoutError:
            raise self.worker.failure(f"has not read the market's past after {READY_S:.0f} s") from None

    async def _until_quiet(self) -> None:
        self._heard = ended = time.monotonic()
        latest = ended + LONGEST_QUIET_S
        while self._heard + QUIET_S > time.monotonic() < latest:  # noqa: ASYNC110 - of silence is no event
            await asyncio.sleep(QUIET_S / 10)

    async def _read(self) -> None:
        async with _consumer(self.settings) as consumer:
            async for record in consumer:
                self._hear(record.topic, _decode(record.value), time.time())

    def _hear(self, topic: str, message: dict[str, Any], received: float) -> None:
        self._heard = time.monotonic()
        if topic == contract.DEAD_LETTERS:
            self.dead_letters += 1
            return
        if topic == contract.VOLATILITY and message["timestamp"] >= self._past_end - 1:
            self._past_read.set()
        change = self.board.hear(topic, message, received)
        if self.tally is None:
            return
        if topic == contract.SIGNALS:
            self.tally.add_signal(message, received)
            if self.first_signal_s is None:
                self.first_signal_s = round(time.monotonic() - self.started, 1)
        if change is not None:
            self.view.change(change)

    async def _subscribe(self) -> None:
        async with Redis.from_url(self.settings.redis_url) as redis, redis.pubsub() as channel:
            await channel.subscribe(contract.CHANNEL_SIGNALS)
            async for message in channel.listen():
                if message["type"] == "message" and self.tally is not None:
                    self.tally.add_published(_decode(message["data"]), time.time())

    async def _refresh(self) -> None:
        while True:
            self.worker.check()
            self.view.refresh(self.board, None if self.tally is None else time.time() - self.tally.opened)
            await asyncio.sleep(REFRESH_S)


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended: clients that are connecting may swallow a cancellation."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=1)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # seen: the first one is what is raised


@asynccontextmanager
async def _consumer(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    """Yield a consumer of all that the pipeline says, from the beginning."""
    consumer = AIOKafkaConsumer(
        **settings.kafka_client_options(), enable_auto_commit=False, fetch_max_wait_ms=10
    )
    try:
        await consumer.start()
        places = [TopicPartition(topic, number) for topic in READ for number in range(settings.partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        yield consumer
    finally:
        await consumer.stop()
