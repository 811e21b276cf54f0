"""Collecting: from venues to Kafka until it is told to end, and then until Kafka has what waits."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiohttp
import structlog
from aiohttp import web

from pipeline import contract
from pipeline.cli.collect.peers import among_peers
from pipeline.cli.collect.show import show, summary
from pipeline.cli.output import USAGE, fail
from pipeline.collect.collector import Collector
from pipeline.collect.observed import create_web
from pipeline.collect.outbox import Outbox
from pipeline.collect.reading import Reading, VenueError
from pipeline.collect.recording import Recorder
from pipeline.collect.venues import VENUES
from pipeline.runtime.sending import producer
from pipeline.runtime.topics import count_partitions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from pathlib import Path

    from pipeline.collect.ranking import Choice, Wanted
    from pipeline.collect.reading import Taking
    from pipeline.settings import Settings

log = structlog.get_logger(__name__)

_AGAIN: Final = 30.0
"""Seconds until a venue is asked again for its instruments."""


class Wish(NamedTuple):
    """What is to be collected, as the options say: venues, symbols, arguments of `Reading`, and addresses."""

    venues: Sequence[str]
    choice: Choice
    reading: dict[str, Any]
    endpoints: dict[str, str]

    def collectors(
        self, session: aiohttp.ClientSession, outbox: Taking, recorders: Mapping[str, Recorder]
    ) -> list[Collector]:
        """Return a collector for each venue."""
        return [
            Collector(
                Reading(VENUES[name], outbox, **self.reading),
                session,
                outbox,
                record=recorders[name].write if name in recorders else None,
                endpoints=self.endpoints,
            )
            for name in self.venues
        ]

    def wanted(self, collectors: Sequence[Collector]) -> Wanted:
        """Return which symbols are wanted of some collectors."""
        return self.choice([each.asking for each in collectors])


async def collect(
    settings: Settings, wish: Wish, seconds: float | None, web_port: int | None, record: Path | None
) -> None:
    """Collect for some seconds, or until it is told to end."""
    recorders = _recorders(record, wish.venues)
    for topic in wish.reading["topics"]:
        await count_partitions(settings, topic)  # one that is missing is told at once
    partitions = await count_partitions(settings, contract.FEED_STATUS)
    async with producer(settings) as sending, aiohttp.ClientSession() as session:
        outbox = Outbox(sending, partitions=partitions)
        collectors = wish.collectors(session, outbox, recorders)
        sender = asyncio.create_task(outbox.run())
        try:
            async with (
                _served(collectors, outbox, settings.web_bind, web_port),
                among_peers(settings, collectors),
                asyncio.timeout(seconds),
            ):
                await collect_all(collectors, wish.wanted(collectors), sender)
        except TimeoutError:
            pass
        finally:
            await _end(outbox, sender, recorders.values())
            for each in collectors:
                log.info("collected", **summary(each))


async def _end(outbox: Outbox, sender: asyncio.Task[None], recorders: Iterable[Recorder]) -> None:
    outbox.close()
    for recorder in recorders:
        recorder.close()
    await _finish(outbox, sender)
    if outbox.dropped:
        log.warning(
            "while Kafka was slow or away, of all but liquidations the oldest were dropped",
            number=outbox.dropped,
        )


async def _finish(outbox: Outbox, sender: asyncio.Task[None]) -> None:
    """Wait until Kafka has what waits; whoever does not want to wait is told what is lost."""
    if outbox.waiting:
        log.info("stopping once Kafka has what waits", **outbox.waiting_by_topic())
    try:
        await sender
    except asyncio.CancelledError:
        lost = ", ".join(f"{number} {topic}" for topic, number in outbox.waiting_by_topic().items())
        fail(f"stopped before Kafka had confirmed all, which is lost: {lost or 'nothing'}")


def _recorders(directory: Path | None, venues: Sequence[str]) -> dict[str, Recorder]:
    try:
        return {} if directory is None else {name: Recorder(directory, name) for name in venues}
    except OSError as error:
        fail(f"--record: {error}", USAGE)


async def collect_all(collectors: Sequence[Collector], wanted: Wanted, sender: asyncio.Task[None]) -> None:
    """Collect for ever; without a sender all would wait in vain."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_follow(sender))
        for each in collectors:
            group.create_task(_collect_one(each, wanted))
        group.create_task(show(collectors))


async def _follow(task: asyncio.Task[None]) -> None:
    """Fail when a task does; it goes on when this is cancelled."""
    await asyncio.shield(task)


async def _collect_one(collector: Collector, wanted: Wanted) -> None:
    """Collect from one venue; one that does not answer holds no other up."""
    while True:
        try:
            await collector.list_instruments(await wanted())
        except VenueError as error:
            log.warning("a venue cannot be used, it is tried again", reason=str(error))
            collector.unlisted(str(error))
            await asyncio.sleep(max(_AGAIN, error.wait))
        else:
            await collector.run(wanted)


@asynccontextmanager
async def _served(
    collectors: Sequence[Collector], outbox: Outbox, host: str, port: int | None
) -> AsyncIterator[None]:
    if port is None:
        yield
        return
    runner = web.AppRunner(create_web(collectors, outbox), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            fail(f"--web-port: {error}", USAGE)
        yield
    finally:
        await runner.cleanup()
