"""What a fit is made from: recorded files, the cascades in them, and what a profile makes of each moment."""

from __future__ import annotations

from array import array
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import typer
from msgspec import structs

from pipeline.backtest.evaluation import Series
from pipeline.backtest.labels import MINUTE, EventRule, Labels, Recorded, UnlabelledError, label
from pipeline.backtest.pooling import Moments, figures
from pipeline.backtest.report import FEW, reasons, without_any
from pipeline.cli.backtest.run import WARM_UP_MS, collect, signals_of_events
from pipeline.cli.moments import iso
from pipeline.cli.output import USAGE, counted, fail
from pipeline.cli.progress import watched
from pipeline.cli.recorded.recordings import Period, Recording, Recordings, Source, open_files
from pipeline.cli.recorded.ticking import ticking
from pipeline.features.reading import create_event
from pipeline.features.states import States
from pipeline.features.volatility import VolatilityStage
from pipeline.messages import COMPONENTS
from pipeline.signals.calibration import CalibrationConstants
from pipeline.signals.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.backtest.labels import Floats
    from pipeline.cli.recorded import recordings
    from pipeline.messages import Signal
    from pipeline.signals.profile import Profile

FEWEST: Final = 3
"""Episodes without which nothing is fitted."""
TICK_MS: Final = 60_000
"""Prices are repeated so often where none come."""


class Market(NamedTuple):
    """A symbol's records, and the cascades in them."""

    recorded: Recorded
    labels: Labels


class Feed(NamedTuple):
    """The files, up to when they are read (milliseconds), and the symbols that can be learnt from."""

    files: Sequence[Recording]
    end_ms: float
    markets: dict[str, Market]

    @property
    def labels(self) -> list[Labels]:
        """What there was to foretell of each symbol."""
        return [each.labels for each in self.markets.values()]

    def records(self, what: str) -> Iterable[recordings.Recorded]:
        """Return the records from where the first liquidation's warm-up begins, and say what for."""
        begin = min(int(each.recorded.liquidated_ms[0]) for each in self.markets.values())
        opened = Recordings(self.files, Period(begin - WARM_UP_MS, self.end_ms))
        return ticking(watched(opened, what), TICK_MS)


class Observed(NamedTuple):
    """A symbol's signals, as columns; `floors` are the velocities that the levels' floors compare."""

    labels: Labels
    series: Series
    raw: Floats
    scores: Floats
    floors: Floats
    acceleration: Floats

    def moments(self, values: Floats) -> Moments:
        """Return something that was told with each signal."""
        return Moments(self.series.times_ms, values, self.labels)


def open_feed(files: Sequence[Source], period: Period) -> Feed:
    """Return what can be learnt from, or end the command: too little; say which symbols are left out."""
    markets: dict[str, Market] = {}
    left_out: dict[str, str] = {}
    try:
        recordings = Recordings(open_files(files), period)
        for name, recorded in collect(watched(recordings, "reading")).items():
            try:
                markets[name] = Market(recorded, label(recorded, EventRule()))
            except UnlabelledError as error:
                left_out[name] = str(error)
    except OSError as error:
        fail(str(error), USAGE)
    for complaint in recordings.complaints:
        typer.echo(complaint, err=True)
    if not markets:
        fail(f"nothing to fit: {without_any(left_out, '--liquidations and --prices')}", USAGE)
    for why, names in reasons(left_out).items():
        typer.echo(f"{names}: left out: {why}", err=True)
    found = Feed(recordings.files, period.end_ms, markets)
    episodes, days = sum(len(each.onsets) for each in found.labels), sum(each.days for each in found.labels)
    if episodes < FEWEST:
        seen = f"{counted(episodes, 'cascade')} in {days:.1f} days"
        fail(f"{', '.join(markets)}: {seen}: too few to fit anything to")
    return found


def observe(feed: Feed, profile: Profile) -> list[Observed]:
    """Return what a profile makes of each symbol: a signal for every event, so that no rise is missed."""
    eager = structs.replace(profile.score, emit_interval_s=0.0, none_interval_s=0.0)
    eager_profile = structs.replace(profile, score=eager)
    columns = {name: [array("d") for _ in range(6 + len(COMPONENTS))] for name in feed.markets}
    for signals in signals_of_events(feed.records("running"), [eager_profile], feed.markets):
        for found in signals:
            for column, value in zip(columns[found.symbol], _row(found), strict=True):
                column.append(value)
    return [_observed(np.array(columns[name]), market.labels) for name, market in feed.markets.items()]


def _observed(columns: Floats, labels: Labels) -> Observed:
    inside = (columns[0] >= labels.minutes[0]) & (columns[0] <= labels.minutes[-1] + MINUTE)
    times, probability, level, raw, floors, acceleration, *scores = columns[:, inside]
    series = Series(times.astype(np.int64), probability, level.astype(np.int64))
    return Observed(labels, series, raw, np.column_stack(scores), floors, acceleration)


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


def volatilities(feed: Feed, profile: Profile) -> Floats:
    """Return 5-minute volatilities as a profile measures them: the first of each symbol's minutes."""
    found = array("d")
    newest = {name: int(each.labels.minutes[0]) // MINUTE - 1 for name, each in feed.markets.items()}
    records = (each for each in feed.records("measuring volatility") if each.message.symbol in newest)
    stage = VolatilityStage(profile.volatility)
    states = States(stage.new)
    for offset, record in enumerate(records):
        event = create_event(record.topic, record.message, offset)
        stage.step(event, states)
        reading, minute = event.volatility, record.time_ms // MINUTE
        if reading is not None and not reading.judgement.warming and minute > newest[event.symbol]:
            newest[event.symbol] = minute
            found.append(reading.judgement.volatility_5m)
    return np.array(found)


def with_provenance(feed: Feed, profile: Profile, made_by: str, more: dict[str, float]) -> Profile:
    """Return a profile that tells what it was fitted to, and how well it does there: it is run once more."""
    told = figures([each.series for each in observe(feed, profile)], feed.labels)
    episodes = sum(len(each.onsets) for each in feed.labels)
    provenance = Provenance(
        made_by=made_by,
        version=version("cascade-pipeline"),
        feed=f"{', '.join(feed.markets)}: {', '.join(file.path.name for file in feed.files)}",
        begin=iso(min(int(each.minutes[0]) for each in feed.labels)),
        end=iso(max(int(each.minutes[-1]) for each in feed.labels) + MINUTE),
        liquidations=sum(len(each.recorded.liquidated_ms) for each in feed.markets.values()),
        episodes=episodes,
        figures={name: round(value, 4) for name, value in (told | more).items()},
        note=f"only {episodes} cascades: figures say little" if episodes < FEW else "",
    )
    return structs.replace(profile, provenance=provenance)


def without_map(profile: Profile) -> Profile:
    """Return a profile whose scores are their own probabilities."""
    return structs.replace(profile, score=structs.replace(profile.score, calibration=CalibrationConstants()))
