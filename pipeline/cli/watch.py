"""`cascade watch`: signals as they come."""

from __future__ import annotations

import contextlib
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console

from pipeline import contract
from pipeline.cli.marks import marked
from pipeline.cli.options import normal
from pipeline.cli.output import USAGE, fail, on_terminal, run
from pipeline.messages import LEVELS, Level, Signal, Timestamp
from pipeline.runtime.logs import visible
from pipeline.runtime.topics import count_partitions
from pipeline.settings import load_settings
from pipeline.sinks.connection import connect, without_database
from pipeline.subscriber import NoSignalError, SignalSubscriber

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.messages import Scores
    from pipeline.settings import Settings


def watch(
    symbol: Annotated[
        list[str] | None, typer.Option(metavar="SYMBOL", help="Only this symbol; may be given again.")
    ] = None,
    min_level: Annotated[str, typer.Option(help=f"Only this level and above: {', '.join(LEVELS)}.")] = "NONE",
    redis: Annotated[bool, typer.Option("--redis", help="Listen to Redis instead of Kafka.")] = False,
) -> None:
    """Print each new signal in a line of its own until interrupted."""
    settings = load_settings()
    level = min_level.upper()
    if level not in LEVELS:
        fail(f"--min-level {min_level}: expected one of {', '.join(LEVELS)}", USAGE)
    printer = _Printer(map(normal, symbol or ()), LEVELS.index(level))
    with contextlib.suppress(KeyboardInterrupt):
        run(_watch(settings, printer, redis=redis))


async def _watch(settings: Settings, printer: _Printer, *, redis: bool) -> None:
    # Whoever is refused at first learns why; after that a connection that is lost is made again.
    await (_ask_redis(settings) if redis else count_partitions(settings, contract.SIGNALS))
    subscriber = _from_redis(settings) if redis else _from_kafka(settings)
    printer.subscriber = subscriber
    await subscriber.subscribe([contract.CHANNEL_SIGNALS if redis else contract.SIGNALS], printer)
    if printer.trouble is not None:
        raise printer.trouble


async def _ask_redis(settings: Settings) -> None:
    client = connect(_redis_url(settings), **settings.redis_client_options())
    try:
        await client.ping()
    finally:
        await client.aclose()


def _from_redis(settings: Settings) -> SignalSubscriber:
    return SignalSubscriber(_redis_url(settings), **settings.redis_client_options())


def _redis_url(settings: Settings) -> str:
    return without_database(settings.redis_url) if settings.redis_cluster else settings.redis_url


def _from_kafka(settings: Settings) -> SignalSubscriber:
    options = settings.kafka_client_options()
    return SignalSubscriber("kafka://" + ",".join(options.pop("bootstrap_servers")), **options)


class _Shown(Signal):
    """A signal at a time that can be shown."""

    timestamp: Timestamp


class _Printer:
    """Prints the wanted signals; ends the subscription when nobody reads any more, or there is no room."""

    subscriber: SignalSubscriber
    trouble: OSError | None = None

    def __init__(self, symbols: Iterable[str | None], least: int) -> None:
        self._symbols = set(symbols)
        self._least = least
        self._console = Console(highlight=False) if on_terminal() else None

    async def __call__(self, _channel: str, message: dict[str, Any]) -> None:
        try:
            signal = msgspec.convert(message, _Shown)
        except msgspec.ValidationError as error:
            raise NoSignalError(str(error)) from error
        if signal.signal_level < self._least:
            return
        if self._symbols and signal.symbol not in self._symbols:
            return
        try:
            self._print(signal.signal, describe(signal))
        except OSError as error:
            self.trouble = None if isinstance(error, BrokenPipeError) else error
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            await self.subscriber.close()

    def _print(self, level: Level, line: str) -> None:
        if self._console is None:
            print(line, flush=True)  # noqa: T201
        else:
            self._console.print(marked(level, line), soft_wrap=True)


def describe(signal: Signal) -> str:
    """Return a signal as one line, without control characters: it may come from anybody."""
    metrics, context, meta = signal.metrics, signal.context, signal.meta
    time = datetime.fromtimestamp(signal.timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    return visible(
        f"{time}Z {signal.signal:<8} {signal.symbol:<12} probability={signal.probability:.4f}"
        f" by={meta.level_reason} velocity={metrics.velocity:.2f}/s"
        f" acceleration={metrics.acceleration:.2f}/s2 volume={metrics.volume_usd:.0f}USD/s"
        f" market={context.market_regime or 'unknown'}{_parts(meta.contributions)} id={signal.id}"
    )


def _parts(contributions: Scores | msgspec.UnsetType) -> str:
    """Return what each component that has a share adds to the probability, if the profile tells."""
    parts = {} if contributions is msgspec.UNSET else msgspec.structs.asdict(contributions)
    told = ",".join(f"{name}:{part:.4f}" for name, part in parts.items() if part)
    return f" parts={told}" if told else ""
