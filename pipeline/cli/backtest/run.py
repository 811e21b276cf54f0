"""One run of a backtest: profiles that measure alike over one symbol's records, in a process of its own."""

from __future__ import annotations

import time
from array import array
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from msgspec import structs

from pipeline import contract
from pipeline.backtest.evaluation import Series
from pipeline.backtest.labels import DAY, MINUTE, Recorded
from pipeline.cli.progress import watched
from pipeline.cli.recorded.recordings import Period, Recordings, Source, open_files, reference_first
from pipeline.cli.recorded.signal_rows import create_signal_file, signal_row
from pipeline.cli.recorded.ticking import ticking
from pipeline.engine import Engine, Output
from pipeline.messages import COMPONENTS, Liquidation, Price, Signal

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence
    from pathlib import Path

    from pipeline.backtest.labels import Floats
    from pipeline.cli.recorded import recordings
    from pipeline.cli.recorded.signal_rows import SignalFile
    from pipeline.signals.profile import Profile

WARM_UP_MS: Final = 8 * DAY
"""What a part of a split run reads before it: state fades or begins anew within 7 days."""


class Sources(NamedTuple):
    """The files of a backtest, its period, and after how much silence prices are repeated (0: never)."""

    files: tuple[Source, ...]
    period: Period
    tick_ms: int

    def open(self, period: Period | None = None) -> Recordings:
        """Return the files, for reading once."""
        return Recordings(open_files(self.files), self.period if period is None else period)

    def ticking(self, period: Period, what: str | None = None) -> Iterable[recordings.Recorded]:
        """Return the records of a period, with prices repeated if so wished; a bar tells `what` for."""
        opened = self.open(period)
        records = opened if what is None else watched(opened, what)
        return ticking(records, self.tick_ms) if self.tick_ms else records


class Run(NamedTuple):
    """Profiles that measure alike, to be run over one symbol: the records of a part of the time.

    `begin_ms` is where the part begins whose signals count; the engine starts 8 days earlier. `outs` are the
    files that each profile's signals are written to.
    """

    sources: Sources
    profiles: tuple[Profile, ...]
    symbol: str
    begin_ms: float
    end_ms: float
    outs: tuple[Path, ...]


class Ran(NamedTuple):
    """What a run gave of one profile: signals, the scores of each, events, and its share of CPU seconds."""

    series: Series
    scores: dict[str, Floats]
    events: int
    seconds: float


class _Kept:
    """The signals of one profile: columns of what is judged, and the file that all of them go to."""

    def __init__(self, file: SignalFile) -> None:
        self._file = file
        self._times, self._probabilities, self._levels = array("q"), array("d"), array("q")
        self._scores = [array("d") for _ in COMPONENTS]

    def add(self, signal: Signal, moment: int) -> None:
        self._file.write(signal_row(signal))
        self._times.append(moment)
        self._probabilities.append(signal.probability)
        self._levels.append(signal.signal_level)
        for column, score in zip(self._scores, structs.astuple(signal.scores), strict=True):
            column.append(score)

    def ran(self, events: int, seconds: float) -> Ran:
        times, levels = np.array(self._times, np.int64), np.array(self._levels, np.int64)
        series = Series(times, np.array(self._probabilities), levels)
        scores = {name: np.array(column) for name, column in zip(COMPONENTS, self._scores, strict=True)}
        return Ran(series, scores, events, seconds)


def carry_out(run: Run) -> list[Ran]:
    """Run profiles over records, and write the signals of each to a file."""
    began = time.process_time()
    events = 0
    period = Period(max(run.begin_ms - WARM_UP_MS, run.sources.period.begin_ms), run.end_ms)
    with ExitStack() as files:
        kept = {
            profile.name: _Kept(files.enter_context(create_signal_file(out)))
            for profile, out in zip(run.profiles, run.outs, strict=True)
        }
        for found in signals_of_events(run.sources.ticking(period), run.profiles, {run.symbol}):
            events += 1
            for signal in found:
                moment = round(signal.timestamp * 1_000)
                if moment >= run.begin_ms:
                    kept[signal.meta.profile].add(signal, moment)
    share = (time.process_time() - began) / len(kept)
    return [each.ran(events, share) for each in kept.values()]


def signals_of_events(
    records: Iterable[recordings.Recorded], profiles: Sequence[Profile], symbols: Container[str]
) -> Iterator[list[Signal]]:
    """Yield the signals of symbols by profiles that measure alike, record by record that concerns them."""
    first, *others = profiles
    engine = Engine(first, beside=others, told={contract.SIGNALS})
    for outputs in outputs_of_events(records, engine, symbols):
        bodies = (output.body for output in outputs)
        yield [body for body in bodies if isinstance(body, Signal) and body.symbol in symbols]


def outputs_of_events(
    records: Iterable[recordings.Recorded], engine: Engine, symbols: Container[str]
) -> Iterator[list[Output]]:
    """Yield what an engine makes of each record that concerns some symbols."""
    reference = engine.profile.reference
    for record in reference_first(records, reference):
        if _concerns(record, symbols, reference):
            yield engine.feed(record.topic, record.message)


def _concerns(record: recordings.Recorded, symbols: Container[str], reference: str) -> bool:
    """Tell whether a record concerns some symbols; prices of the reference concern all."""
    named = record.message.symbol
    return named in symbols or (named == reference and record.topic == contract.PRICES)


def joined(parts: list[Ran]) -> Ran:
    """Return the parts of one symbol and profile, one after the other, as one."""
    series = Series(*(np.concatenate(columns) for columns in zip(*(p.series for p in parts), strict=True)))
    scores = {name: np.concatenate([part.scores[name] for part in parts]) for name in COMPONENTS}
    return Ran(series, scores, sum(part.events for part in parts), sum(part.seconds for part in parts))


class _Market:
    def __init__(self) -> None:
        self.liquidations: list[tuple[int, float]] = []
        self.prices: list[tuple[int, float]] = []


def collect(records: Iterable[recordings.Recorded]) -> dict[str, Recorded]:
    """Return what happened to each symbol: liquidations, and bars.

    Prices whole minutes apart are the closes of bars that long; of others each minute's last is one. Of
    prices of the same time the first counts.
    """
    found: dict[str, _Market] = {}
    for record in records:
        message: Any = record.message
        market = found.setdefault(message.symbol, _Market())
        if isinstance(message, Liquidation):
            market.liquidations.append((record.time_ms, message.value_usd or 0.0))
        elif isinstance(message, Price):
            market.prices.append((record.time_ms, message.price))
    return {symbol: _recorded(market) for symbol, market in sorted(found.items())}


def _recorded(market: _Market) -> Recorded:
    liquidations = np.array(market.liquidations, float).reshape(-1, 2)
    times, first = np.unique(np.array([time for time, _ in market.prices], np.int64), return_index=True)
    prices = np.array([price for _, price in market.prices])[first]
    step = int(np.median(np.diff(times))) if len(times) > 1 else MINUTE
    if step < MINUTE or step % MINUTE:
        times, step = (times // MINUTE + 1) * MINUTE, MINUTE
    last = np.diff(times, append=times[-1:] + 1) > 0
    return Recorded(liquidations[:, 0].astype(np.int64), liquidations[:, 1], times[last] - step, prices[last])
