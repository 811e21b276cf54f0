"""Signals against labels: alerts by level and by threshold, ranking, calibration, and gains over others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from msgspec import Struct

from pipeline.backtest.alerts import Judged, alerts, judge
from pipeline.backtest.bootstrap import Days, Interval, draw_days, estimate, interval
from pipeline.backtest.labels import DAY, MINUTE
from pipeline.backtest.scores import (
    Bin,
    Ranking,
    average_precision,
    brier,
    calibration_error,
    known_at,
    precision_recall,
    rank,
    reliability,
)
from pipeline.messages import LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.backtest.labels import Floats, Labels, Times

_CURVE: Final = 200
BUDGETS: Final = (0.5, 1.0, 2.0)
"""False alarms a day for which the best threshold in hindsight is told."""
HOLD_S: Final = 60.0
"""Seconds after which a signal tells nothing any more."""


class Series(NamedTuple):
    """Signals of one symbol: when (ms, ascending), how probable, and the level's number."""

    times_ms: Times
    probability: Floats
    level: NDArray[np.int64]


class AlertReport(Struct, kw_only=True):
    """What alerts of one kind were worth; intervals are 90%, None where there is nothing to tell."""

    threshold: float | None = None
    alerts: int
    caught: int
    false_alarms: int
    recall: float | None
    recall_interval: Interval
    early_recall: float | None
    early_recall_interval: Interval
    precision: float | None
    precision_interval: Interval
    false_alarms_day: float
    false_alarms_day_interval: Interval
    lead_min: float | None
    lead_min_interval: Interval
    leads_min: list[float]


class Evaluation(Struct, kw_only=True):
    """What signals were worth on some days."""

    signals: int
    pr_auc: float | None
    pr_auc_interval: Interval
    pr_auc_early: float | None
    brier: float
    brier_interval: Interval
    brier_skill: float | None
    brier_skill_interval: Interval
    calibration_error: float
    reliability: list[Bin]
    precision_recall: list[tuple[float, float]]
    levels: dict[str, AlertReport]
    at: dict[str, AlertReport]
    budgets: dict[str, AlertReport]


class Gain(Struct):
    """What signals were worth more than others on the same days: intervals of the paired difference."""

    pr_auc: float | None
    pr_auc_interval: Interval
    brier: float
    brier_interval: Interval

    @property
    def is_certain(self) -> bool:
        """Whether both intervals lie above zero."""
        intervals = (self.pr_auc_interval, self.brier_interval)
        return all(found is not None and found[0] > 0 for found in intervals)


def evaluate(
    signals: Series, labels: Labels, thresholds: tuple[float, ...] = (), hold_s: float = HOLD_S
) -> Evaluation:
    """Return what signals were worth."""
    signals = _judged(signals, labels)
    days, minutes = draw_days(labels.minutes), labels.minutes
    told = known_at(signals.times_ms, signals.probability, minutes, hold_s)
    ranked = rank(told)
    area = estimate(days, lambda draw: average_precision(ranked, labels.positive, days.weights(draw)))
    known = labels.early_known
    early = average_precision(rank(told[known]), labels.early[known], np.ones(int(known.sum())))
    error, skill = brier(told, labels.positive, np.ones(len(minutes)))
    drawn = [
        brier(told, labels.positive, weights)
        for draw in days.draws
        if (labels.positive * (weights := days.weights(draw))).any()
    ]
    bins = reliability(told, labels.positive)
    return Evaluation(
        signals=len(signals.times_ms),
        pr_auc=_known(area[0]),
        pr_auc_interval=area[1],
        pr_auc_early=_known(early),
        brier=error,
        brier_interval=interval([each for each, _ in drawn]),
        brier_skill=_known(skill),
        brier_skill_interval=interval([each for _, each in drawn]),
        calibration_error=calibration_error(bins),
        reliability=bins,
        precision_recall=_curve(ranked, labels) if labels.positive.any() else [],
        levels={
            name: _report(signals.times_ms, signals.level >= number, labels, days)
            for number, name in enumerate(LEVELS)
            if number
        },
        at={f"{each:g}": _at(each, signals, labels, days) for each in thresholds},
        budgets=_budgets(signals, labels, days),
    )


def _curve(ranked: Ranking, labels: Labels) -> list[tuple[float, float]]:
    """Return recall and precision of up to so many thresholds, from the highest on."""
    precision, recall = precision_recall(ranked, labels.positive, np.ones(len(labels.minutes)))
    places = np.unique(np.searchsorted(recall, np.linspace(recall[0], 1.0, _CURVE)))
    return [(float(recall[place]), float(precision[place])) for place in places if place < len(recall)]


def gain(one: Series, other: Series, labels: Labels, hold_s: float = HOLD_S) -> Gain:
    """Return what one kind of signals is worth more than another."""
    first, second = (
        known_at(each.times_ms, each.probability, labels.minutes, hold_s)
        for each in (_judged(one, labels), other)
    )
    return gain_at_minutes(first, second, labels.minutes, labels.positive)


def gain_at_minutes(one: Floats, other: Floats, minutes: Times, positive: NDArray[np.bool_]) -> Gain:
    """Return what one kind of probabilities is worth more than another.

    Minutes may be several symbols': days are drawn with what all of them had, as cascades come together.
    """
    days, told = draw_days(minutes), (one, other)
    ranked = [rank(each) for each in told]

    def area(draw: Floats) -> float:
        first, second = (average_precision(each, positive, days.weights(draw)) for each in ranked)
        return first - second

    def less_error(draw: Floats) -> float:
        first, second = (brier(each, positive, days.weights(draw))[0] for each in told)
        return second - first

    gained, gained_interval = estimate(days, area)
    return Gain(_known(gained), gained_interval, *estimate(days, less_error))


def _judged(signals: Series, labels: Labels) -> Series:
    """Return the signals of the time that is judged."""
    first, last = labels.minutes[0], labels.minutes[-1] + MINUTE
    inside = (signals.times_ms >= first) & (signals.times_ms <= last)
    return Series(*(part[inside] for part in signals))


def _at(threshold: float, signals: Series, labels: Labels, days: Days) -> AlertReport:
    found = _report(signals.times_ms, signals.probability >= threshold, labels, days)
    found.threshold = float(threshold)
    return found


def _budgets(signals: Series, labels: Labels, days: Days) -> dict[str, AlertReport]:
    """Return by budget what the best threshold in hindsight is worth: an upper bound, no forecast."""
    some = signals.probability[signals.probability > 0]
    if not len(some):
        return {}
    curve = []
    for threshold in np.unique(np.quantile(some, 1 - np.geomspace(1e-5, 0.5, 150))):
        judged = judge(alerts(signals.times_ms, signals.probability >= threshold), labels)
        caught = float(judged.caught.mean()) if len(judged.caught) else 0.0
        curve.append((caught, -len(judged.false_ms) / labels.days, float(threshold)))
    best = {budget: max((each for each in curve if -each[1] <= budget), default=None) for budget in BUDGETS}
    return {f"{budget:g}": _at(found[2], signals, labels, days) for budget, found in best.items() if found}


def _report(times_ms: Times, reached: NDArray[np.bool_], labels: Labels, days: Days) -> AlertReport:
    fired = alerts(times_ms, reached)
    judged = judge(fired, labels)
    episodes, caught = days.count_by_day(labels.onsets), days.count_by_day(labels.onsets[judged.caught])
    early, hits = days.count_by_day(labels.onsets[judged.early]), days.count_by_day(judged.hits_ms)
    false, lived = days.count_by_day(judged.false_ms), days.count_by_day(labels.minutes) * MINUTE / DAY
    recall = estimate(days, lambda draw: _share(caught @ draw, episodes @ draw))
    early_recall = estimate(days, lambda draw: _share(early @ draw, episodes @ draw))
    precision = estimate(days, lambda draw: _share(hits @ draw, (hits + false) @ draw))
    a_day = estimate(days, lambda draw: float(false @ draw / (lived @ draw)))
    lead = estimate(days, lambda draw: _median_lead(judged, labels, days, draw))
    return AlertReport(
        alerts=len(fired),
        caught=int(judged.caught.sum()),
        false_alarms=len(judged.false_ms),
        recall=_known(recall[0]),
        recall_interval=recall[1],
        early_recall=_known(early_recall[0]),
        early_recall_interval=early_recall[1],
        precision=_known(precision[0]),
        precision_interval=precision[1],
        false_alarms_day=a_day[0],
        false_alarms_day_interval=a_day[1],
        lead_min=_known(lead[0]),
        lead_min_interval=lead[1],
        leads_min=judged.leads_min[judged.caught].tolist(),
    )


def _median_lead(judged: Judged, labels: Labels, days: Days, draw: Floats) -> float:
    times = draw[days.of(labels.onsets)].astype(int)
    leads = np.repeat(judged.leads_min, times)
    leads = leads[~np.isnan(leads)]
    return float(np.median(leads)) if len(leads) else float("nan")


def _share(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else float("nan")


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
