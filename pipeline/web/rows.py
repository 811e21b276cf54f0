"""A worker's picture as the API's answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pipeline.messages import COMPONENTS, LEVELS, seconds
from pipeline.signals.explanation import contributions, explain, level_thresholds, relief
from pipeline.web.answers import Component, Series, SymbolDetail, SymbolRow, Threshold, Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.features.velocity_state import VelocityState
    from pipeline.messages import Signal
    from pipeline.signals.score import ScoreConstants
    from pipeline.web.history import History, Moment
    from pipeline.web.picture import Picture, SymbolPicture

TREND: Final = 600.0
"""Seconds of a row's trend."""
_MINUTE: Final = 60.0


def hottest(picture: Picture, most: int) -> list[SymbolRow]:
    """Return the rows of the hottest symbols: by probability, then by its change."""
    names = sorted(picture.symbols, key=lambda name: _probability(picture.symbols[name]), reverse=True)
    return sorted((row(name, picture.symbols[name]) for name in names[:most]), key=heat)


def heat(found: SymbolRow) -> tuple[float, float, str]:
    """Return what rows are ordered by, the hottest first."""
    return -found.probability, -found.change, found.symbol


def by_level(picture: Picture) -> dict[str, int]:
    """Count symbols by the level of their newest signal."""
    counts: dict[str, int] = dict.fromkeys(LEVELS, 0)
    for each in picture.symbols.values():
        counts[LEVELS[each.level]] += 1
    return counts


def row(name: str, known: SymbolPicture) -> SymbolRow:
    """Return a symbol's row."""
    signal, velocity = known.signal, known.velocity
    liquidated = 0.0 if velocity is None else velocity.long_value_usd + velocity.short_value_usd
    return SymbolRow(
        symbol=name,
        partition=known.partition,
        timestamp=None if signal is None else signal.timestamp,
        signal=None if signal is None else signal.signal,
        signal_level=known.level,
        level_since=None if signal is None else known.since,
        probability=_probability(known),
        change=_change(signal, known.history),
        velocity=0.0 if signal is None else signal.metrics.velocity,
        acceleration=0.0 if signal is None else signal.metrics.acceleration,
        volume_usd=0.0 if signal is None else signal.metrics.volume_usd,
        long_share=velocity.long_value_usd / liquidated if velocity is not None and liquidated else None,
        leading_exchange=None if signal is None else signal.context.leading_exchange,
        price=None if known.volatility is None else known.volatility.price,
        last_event=None if signal is None else signal.meta.event_timestamp,
        stale=signal is None or signal.context.stale,
        trend=_trend(signal, known.history),
    )


def detail(
    name: str, picture: Picture, live: VelocityState | None, constants: ScoreConstants, seconds: float
) -> SymbolDetail:
    """Return everything about a symbol, and its past of so many seconds."""
    known = picture.symbols[name]
    weights = picture.weights(known.partition)
    signal = known.signal
    now = time.time() if signal is None else signal.timestamp
    past = [] if known.history is None else known.history.since(now - seconds)
    asked = level_thresholds(signal, constants)
    return SymbolDetail(
        row=row(name, known),
        why="" if signal is None else explain(signal, weights, constants),
        relief="" if signal is None else relief(signal, constants),
        latest=signal,
        velocity=known.velocity,
        volatility=known.volatility,
        positioning=known.positioning,
        windows=[] if live is None else _windows(live),
        components=[] if signal is None else _components(signal, weights),
        thresholds=[Threshold(level, *each) for level, each in zip(LEVELS[1:], asked, strict=True)],
        history=series(past),
        changes=picture.newest(0, name, 100, changes=True),
    )


def series(moments: Sequence[Moment]) -> Series:
    """Return moments as columns."""
    parts = [moment.contributions for moment in moments]
    return Series(
        time=[moment.time for moment in moments],
        price=[moment.price for moment in moments],
        probability=[moment.probability for moment in moments],
        level=[moment.level for moment in moments],
        velocity=[moment.velocity for moment in moments],
        acceleration=[moment.acceleration for moment in moments],
        volume_usd=[moment.volume_usd for moment in moments],
        velocity_60s=[moment.velocity_60s for moment in moments],
        velocity_300s=[moment.velocity_300s for moment in moments],
        long_usd=[moment.long_usd for moment in moments],
        short_usd=[moment.short_usd for moment in moments],
        contributions={name: [part[place] for part in parts] for place, name in enumerate(COMPONENTS)},
    )


def _probability(known: SymbolPicture) -> float:
    return 0.0 if known.signal is None else known.signal.probability


def _change(signal: Signal | None, past: History | None) -> float:
    """Return how the probability changed within the last minute."""
    if signal is None or past is None:
        return 0.0
    before = past.before(signal.timestamp - _MINUTE)
    return 0.0 if before is None else round(signal.probability - before.probability, 4)


def _trend(signal: Signal | None, past: History | None) -> list[float]:
    return [] if signal is None or past is None else past.trend(signal.timestamp - TREND)


def _windows(live: VelocityState) -> list[Window]:
    found = []
    for span, window in zip(live.windows.spans, live.windows.all, strict=True):
        count, long_cents, short_cents = window.totals(live.clock)
        length = seconds(span)
        found.append(Window(length, count, round(count / length, 2), long_cents / 100, short_cents / 100))
    return found


def _components(signal: Signal, weights: Mapping[str, float]) -> list[Component]:
    parts = contributions(signal, weights)
    return [
        Component(
            name, weights[name], getattr(signal.scores, name), parts[name], name not in signal.metrics.no_data
        )
        for name in COMPONENTS
    ]
