"""`cascade collect`: from the exchanges to the topics."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from pathlib import Path  # noqa: TC003 - Typer reads it
from typing import TYPE_CHECKING, Annotated, Any, Final

import aiohttp
import structlog
import typer
from aiohttp import web

from pipeline import contract
from pipeline.cli.collect_check import try_out
from pipeline.cli.collect_peers import among_peers
from pipeline.cli.collect_show import show, summary
from pipeline.cli.output import USAGE, end_on_sigterm, fail, run
from pipeline.cli.replay_kafka import producer
from pipeline.collect.bundles import References
from pipeline.collect.collector import Collector
from pipeline.collect.names import USUAL, read_names
from pipeline.collect.observed import create_web
from pipeline.collect.outbox import Outbox
from pipeline.collect.ranking import MostTraded, named
from pipeline.collect.reading import Reading, VenueError
from pipeline.collect.recording import Recorder, recorded, recordings
from pipeline.collect.replay import Replay
from pipeline.collect.venues import VENUES
from pipeline.runtime.topics import count_partitions
from pipeline.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from pipeline.collect.names import Names
    from pipeline.collect.ranking import Choice, Wanted
    from pipeline.settings import Settings

log = structlog.get_logger(__name__)

_USUAL: Final = "BTCUSDT,ETHUSDT"
_AT_ONCE: Final = 1_000
"""Messages of a recording that wait for Kafka before it is read on."""
_AGAIN: Final = 30.0
"""Seconds until a venue is asked again for its instruments."""


def collect(  # noqa: PLR0913, PLR0917
    venues: Annotated[
        list[str] | None, typer.Argument(metavar="VENUE", help=f"Of {', '.join(VENUES)} [default: all].")
    ] = None,
    symbols: Annotated[
        str | None, typer.Option(help=f"Base and quote, separated by commas [default: {_USUAL}].")
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Instead: the N that are traded most, all venues together, by the hour."
        ),
    ] = None,
    topics: Annotated[str, typer.Option(help="What is published, separated by commas.")] = ",".join(
        contract.FEEDS
    ),
    price_interval: Annotated[
        float, typer.Option(help="Seconds from one price of a symbol and venue to the next.", min=0.0)
    ] = 1.0,
    names: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What else venues call coins and bundles of them (TOML)."),
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW", help="Where a venue's addresses that begin with OLD are found [many]."
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep all that venues say, as it came, in this directory."),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Understand recordings of this directory again, instead of venues."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="End after so long [default: never; 20 with --check].", min=0.1),
    ] = None,
    web_port: Annotated[
        int | None, typer.Option(help="Serve /livez, /readyz and /metrics on this port.", min=1, max=65_535)
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Tell what of each venue can be reached and brings data; send nothing."),
    ] = False,
) -> None:
    """Bring liquidations, prices, open interest and funding of exchanges to the topics.

    Every venue leaves something out: see the README, and `cascade collect --check`.
    """
    chosen = _split(venues or list(VENUES), VENUES, "VENUE")
    wanted = _split([topics], contract.FEEDS, "--topics")
    listed = {part.upper() for part in _parts([_USUAL if symbols is None else symbols], "--symbols")}
    _refuse_mixtures(symbols, top, replay, record, web_port, check=check)
    choice: Choice = (lambda _: named(listed)) if top is None else partial(MostTraded, number=top)
    endpoints = dict(_endpoint(text) for text in endpoint or ())
    options: dict[str, Any] = {
        "topics": wanted,
        "price_every": price_interval,
        "names": USUAL if names is None else _names(names),
        "references": References(),
    }
    settings = load_settings()
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        if replay is not None:
            run(_replay(settings, chosen, listed, options, replay))
        elif check:
            run(try_out(chosen, choice, options, endpoints, seconds))
        else:
            run(_collect(settings, chosen, choice, options, endpoints, seconds, web_port, record))


def _refuse_mixtures(  # noqa: PLR0913
    symbols: str | None,
    top: int | None,
    replay: Path | None,
    record: Path | None,
    web_port: int | None,
    *,
    check: bool,
) -> None:
    """Refuse options that another one makes useless."""
    if top is not None and (symbols is not None or replay is not None):
        other = "--symbols" if replay is None else "--replay, which needs --symbols"
        fail(f"--top: cannot be used with {other}", USAGE)
    alone = "--check" if check else "--replay" if replay is not None else None
    others = {"--replay": check and replay, "--record": record, "--web-port": web_port}
    if alone and (unused := [name for name, value in others.items() if value]):
        fail(f"{unused[0]}: cannot be used with {alone}", USAGE)


def _names(path: Path) -> Names:
    try:
        return USUAL.with_more(read_names(path.read_text(), VENUES))
    except (OSError, ValueError) as error:
        fail(f"--names: {path}: {error}", USAGE)


def _endpoint(text: str) -> tuple[str, str]:
    old, sign, new = text.partition("=")
    if not sign or "://" not in new:
        fail(f"--endpoint: {text}: expected OLD=NEW, such as wss://old.example=wss://new.example", USAGE)
    return old, new


def _split(texts: Sequence[str], known: Any, option: str) -> list[str]:
    found = [part.lower() for part in _parts(texts, option)]
    if unknown := [each for each in found if each not in known]:
        fail(f"{option}: {', '.join(unknown)}: expected some of {', '.join(known)}", USAGE)
    return list(dict.fromkeys(found))


def _parts(texts: Sequence[str], option: str) -> list[str]:
    found = [part.strip() for text in texts for part in text.split(",") if part.strip()]
    if not found:
        fail(f"{option}: expected at least one", USAGE)
    return found


async def _collect(  # noqa: PLR0913, PLR0917
    settings: Settings,
    venues: Sequence[str],
    choice: Choice,
    options: dict[str, Any],
    endpoints: dict[str, str],
    seconds: float | None,
    web_port: int | None,
    record: Path | None,
) -> None:
    end_on_sigterm()
    recorders = _recorders(record, venues)
    for topic in options["topics"]:
        await count_partitions(settings, topic)  # one that is missing is told at once
    partitions = await count_partitions(settings, contract.FEED_STATUS)
    async with producer(settings, linger_ms=5) as sending, aiohttp.ClientSession() as session:
        outbox = Outbox(sending, partitions=partitions)
        collectors = [
            Collector(
                Reading(VENUES[name], outbox, **options),
                session,
                outbox,
                record=recorders[name].write if name in recorders else None,
                endpoints=endpoints,
            )
            for name in venues
        ]
        sender = asyncio.create_task(outbox.run())
        try:
            async with (
                _served(collectors, outbox, web_port),
                among_peers(settings, collectors),
                asyncio.timeout(seconds),
            ):
                await _collect_all(collectors, choice(collectors), sender)
        except TimeoutError:
            pass
        finally:
            await _end(outbox, sender, recorders.values())
            for each in collectors:
                log.info("collected", **summary(each))


async def _end(outbox: Outbox, sender: asyncio.Task[None], recorders: Iterable[Recorder]) -> None:
    outbox.close()
    try:
        for recorder in recorders:
            recorder.close()
    finally:  # a full disk is no reason to lose what waits
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


async def _replay(
    settings: Settings, venues: Sequence[str], symbols: set[str], options: dict[str, Any], directory: Path
) -> None:
    """Send what recordings tell to the topics, as it was when they were made."""
    end_on_sigterm()
    found = [(name, path) for name, path in recordings(directory) if name in venues]
    if not found:
        fail(f"--replay: {directory} has no recordings of {', '.join(venues)}", USAGE)
    for topic in options["topics"]:
        await count_partitions(settings, topic)
    async with producer(settings, linger_ms=5) as sending:
        outbox = Outbox(sending, most=None)
        for name, path in found:
            reading = Reading(VENUES[name], outbox, **options)
            replay = Replay(reading, symbols)
            try:
                for line in recorded(path):
                    replay.take(line)
                    if outbox.waiting >= _AT_ONCE:
                        await outbox.flush()
            except (VenueError, ValueError) as error:
                fail(f"--replay: {path}: {error}")
            await outbox.flush()
            log.info("replayed", file=path.name, **dict(reading.account.messages))


async def _collect_all(collectors: Sequence[Collector], wanted: Wanted, sender: asyncio.Task[None]) -> None:
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


@contextlib.asynccontextmanager
async def _served(collectors: Sequence[Collector], outbox: Outbox, port: int | None) -> AsyncIterator[None]:
    if port is None:
        yield
        return
    runner = web.AppRunner(create_web(collectors, outbox), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, port=port).start()
        except OSError as error:
            fail(f"--web-port: {error}", USAGE)
        yield
    finally:
        await runner.cleanup()
