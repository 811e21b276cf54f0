"""What was told of several symbols, taken together: minutes one after the other, and days of each symbol."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.backtest.alerts import Judged, alerts, judge
from pipeline.backtest.evaluation import HOLD_S, Series
from pipeline.backtest.scores import average_precision, brier, calibration_error, known_at, rank, reliability
from pipeline.messages import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.backtest.labels import Floats, Labels, Times


class Moments(NamedTuple):
    """What was told of a symbol: when (ms), and a number or a line of them; and what there was to tell."""

    times_ms: Times
    values: Floats
    labels: Labels


def at_minutes(told: Sequence[Moments]) -> Floats:
    """Return the newest values at each judged minute, for as long as an evaluation lets a signal tell."""
    return np.concatenate(
        [known_at(each.times_ms, each.values, each.labels.minutes, HOLD_S) for each in told]
    )


def pooled(labels: Sequence[Labels]) -> tuple[Times, NDArray[np.bool_]]:
    """Return the judged minutes, and whether a cascade followed."""
    minutes = np.concatenate([each.minutes for each in labels])
    return minutes, np.concatenate([each.positive for each in labels])


def false_alarms_a_day(judged: Sequence[Judged], labels: Sequence[Labels]) -> float:
    """Return how many false alarms came a day and symbol."""
    return sum(len(each.false_ms) for each in judged) / sum(each.days for each in labels)


def figures(signals: Sequence[Series], labels: Sequence[Labels]) -> dict[str, float]:
    """Return by name what signals of some symbols were worth: each minute and each cascade counts as much."""
    told = at_minutes(
        [Moments(each.times_ms, each.probability, of) for each, of in zip(signals, labels, strict=True)]
    )
    _, positive = pooled(labels)
    once = np.ones(len(positive))
    found = {
        "pr_auc": average_precision(rank(told), positive, once),
        "brier_skill": brier(told, positive, once)[1],
        "ece": calibration_error(reliability(told, positive)),
    }
    for number, level in enumerate(name.lower() for name in LEVELS):
        if number:
            judged = [
                judge(alerts(each.times_ms, each.level >= number), of)
                for each, of in zip(signals, labels, strict=True)
            ]
            found[f"{level}_false_alarms_day"] = false_alarms_a_day(judged, labels)
            found[f"{level}_recall"] = float(np.concatenate([each.caught for each in judged]).mean())
    return found
