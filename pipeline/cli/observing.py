"""What a fit is made from: recorded files, the cascades in them, and what a profile makes of each moment."""

from __future__ import annotations

from array import array
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from msgspec import structs

from pipeline import contract
from pipeline.backtest.evaluation import HOLD_S, Series, evaluate
from pipeline.backtest.labels import MINUTE, EventRule, Labels, Recorded, UnlabelledError, label
from pipeline.backtest.report import FEW
from pipeline.backtest.scores import known_at
from pipeline.cli.backtest_run import WARM_UP_MS, Sources, collect, outputs_of_events, signals_of_events
from pipeline.cli.output import USAGE, fail
from pipeline.cli.recordings import Period
from pipeline.cli.rows import UnusableFileError
from pipeline.messages import COMPONENTS, VolatilityUpdate
from pipeline.signals.calibration import CalibrationConstants
from pipeline.signals.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.backtest.labels import Floats, Times
    from pipeline.cli import recordings
    from pipeline.messages import Signal
    from pipeline.signals.profile import Profile

FEWEST: Final = 3
"""Episodes without which nothing is fitted."""
TICK_MS: Final = 60_000
"""Prices are repeated so often where none come."""


class Market(NamedTuple):
    """A symbol's records, the cascades in them, and the files."""

    symbol: str
    recorded: Recorded
    labels: Labels
    sources: Sources


class Observed(NamedTuple):
    """Every signal of a profile, as columns; `floors` are the velocities that the levels' floors compare."""

    series: Series
    raw: Floats
    scores: Floats
    floors: Floats
    acceleration: Floats


def open_market(files: list[tuple[str, Path]], symbol: str | None, period: Period) -> Market:
    """Return the symbol that was liquidated most, or end the command: too little to learn from."""
    sources = Sources(tuple(files), symbol, period, TICK_MS)
    try:
        markets = collect(sources.open())
        if not markets:
            fail("nothing to fit: give --liquidations and --prices", USAGE)
        chosen = max(markets, key=lambda name: len(markets[name].liquidated_ms))
        labels = label(markets[chosen], EventRule())
    except (UnlabelledError, UnusableFileError, OSError, ValueError) as error:
        fail(str(error), USAGE)
    if len(labels.onsets) < FEWEST:
        fail(f"{chosen}: {len(labels.onsets)} cascades in {labels.days:.1f} days: too few to fit anything to")
    return Market(chosen, markets[chosen], labels, sources)


def observe(market: Market, profile: Profile) -> Observed:
    """Return what a profile makes of each moment: a signal for every event, so that no rise is missed."""
    eager = structs.replace(profile.score, emit_interval_s=0.0, none_interval_s=0.0)
    columns = [array("d") for _ in range(6 + len(COMPONENTS))]
    for signals in signals_of_events(_records(market), structs.replace(profile, score=eager), market.symbol):
        for found in signals:
            for column, value in zip(columns, _row(found), strict=True):
                column.append(value)
    times, probability, level, raw, floors, acceleration, *scores = map(np.array, columns)
    series = Series(times.astype(np.int64), probability, level.astype(np.int64))
    return Observed(series, raw, np.column_stack(scores), floors, acceleration)


def volatilities(market: Market, profile: Profile) -> Floats:
    """Return a market's 5-minute volatilities as a profile measures them: the first of each minute."""
    found, minute = array("d"), int(market.labels.minutes[0]) // MINUTE - 1
    prices = (record for record in _records(market) if record.topic == contract.PRICES)
    for outputs in outputs_of_events(prices, profile, market.symbol):
        for body in (output.body for output in outputs):
            if not isinstance(body, VolatilityUpdate) or body.symbol != market.symbol or body.warming:
                continue
            if (now := int(body.timestamp * 1_000) // MINUTE) > minute:
                minute = now
                found.append(body.volatility_5m)
    return np.array(found)


def _records(market: Market) -> Iterable[recordings.Recorded]:
    begin = float(market.recorded.liquidated_ms[0] - WARM_UP_MS)
    return market.sources.ticking(Period(begin, market.sources.period.end_ms))


def _row(signal: Signal) -> tuple[float, ...]:
    return (
        round(signal.timestamp * 1_000),
        signal.probability,
        signal.signal_level,
        signal.meta.raw_score,
        signal.metrics.velocity / signal.context.velocity_threshold_multiplier,
        signal.metrics.acceleration,
        *(getattr(signal.scores, name) for name in COMPONENTS),
    )


def at_minutes(observed: Observed, values: Floats, minutes: Times) -> Floats:
    """Return the newest of some values at each minute, for as long as an evaluation lets a signal tell."""
    return known_at(observed.series.times_ms, values, minutes, HOLD_S)


def with_provenance(market: Market, profile: Profile, made_by: str, more: dict[str, float]) -> Profile:
    """Return a profile that tells what it was fitted to, and how well it does there: it is run once more."""
    labels = market.labels
    found = evaluate(observe(market, profile).series, labels)
    figures = {"pr_auc": found.pr_auc, "brier_skill": found.brier_skill, "ece": found.calibration_error}
    for name, report in found.levels.items():
        figures[f"{name.lower()}_false_alarms_day"] = report.false_alarms_day
        figures[f"{name.lower()}_recall"] = report.recall
    told = {name: round(value, 4) for name, value in (figures | more).items() if value is not None}
    few = len(labels.onsets) < FEW
    provenance = Provenance(
        made_by=made_by,
        version=version("cascade-pipeline"),
        feed=f"{market.symbol}: {', '.join(path.name for _, path in market.sources.files)}",
        begin=_iso(int(labels.minutes[0])),
        end=_iso(int(labels.minutes[-1]) + MINUTE),
        liquidations=len(market.recorded.liquidated_ms),
        episodes=len(labels.onsets),
        figures=told,
        note=f"only {len(labels.onsets)} cascades: figures say little" if few else "",
    )
    return structs.replace(profile, provenance=provenance)


def without_map(profile: Profile) -> Profile:
    """Return a profile whose scores are their own probabilities."""
    return structs.replace(profile, score=structs.replace(profile.score, calibration=CalibrationConstants()))


def _iso(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1_000, UTC).isoformat().replace("+00:00", "Z")
