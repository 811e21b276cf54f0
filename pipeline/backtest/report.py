"""What a backtest found, as it is written to `report.json`, and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.backtest.bootstrap import Interval
    from pipeline.backtest.evaluation import AlertReport, Evaluation, Gain
    from pipeline.backtest.labels import EventRule, Labels

FEW: Final = 10
"""Episodes below which nothing is certain."""
NOTHING: Final = "\N{EN DASH}"
"""What stands where there is nothing to tell."""
NOTE: Final = (
    "Recall, early recall, lead and false alarms are at the best threshold in hindsight with at most one "
    "false alarm a day: what could be reached, no forecast; "
    f"{NOTHING} where no threshold has so few. Where all drawings of days gave the same, they tell no "
    f"interval: [{NOTHING}]. Profiles fitted to these very data are in sample."
)
"""How a table that compares signals is to be read."""


class Episode(Struct):
    """A cascade: its first and last qualifying close, Unix milliseconds."""

    onset_ms: int
    end_ms: int


class SymbolReport(Struct, kw_only=True):
    """What was found about one symbol.

    `begin_ms` is the first judged minute, `end_ms` the end of the last: signals outside count for nothing.
    `base_rate` is the share of judged minutes within 15 minutes before a qualifying close. `runs` are by name
    of the profile or baseline, `gains` by profile and then by what it was compared with.
    """

    begin_ms: int
    end_ms: int
    days: float
    minutes: int
    base_rate: float
    episodes: list[Episode]
    runs: dict[str, Evaluation]
    gains: dict[str, dict[str, Gain]]


class Report(Struct, kw_only=True):
    """Everything that a backtest found; `profiles` were run, the other runs are baselines.

    `unlabelled` tells why symbols were not judged, `refused` which rows were not used, why, and how many.
    """

    version: str
    rule: EventRule
    hold_s: float
    tick_s: float
    split_days: int | None
    files: list[str]
    profiles: list[str]
    symbols: dict[str, SymbolReport]
    unlabelled: dict[str, str]
    refused: list[str]


def describe(labels: Labels) -> list[Episode]:
    """Return the episodes."""
    return [Episode(int(onset), int(end)) for onset, end in zip(labels.onsets, labels.ends, strict=True)]


def in_words(symbol: str, found: SymbolReport) -> str:
    """Return how much there was to go by."""
    count = len(found.episodes)
    episodes = f"{count} episode{'' if count == 1 else 's'}"
    text = (
        f"{symbol}: {episodes} in {found.days:.1f} days, {100 * found.base_rate:.1f}% of the minutes positive"
    )
    if not count:
        return f"{text}: nothing to foretell, so recall, lead and PR-AUC say nothing"
    return f"{text}: too few to tell signals apart for certain" if count < FEW else text


def reasons(unlabelled: Mapping[str, str]) -> dict[str, str]:
    """Return why symbols were not judged: of each reason the symbols, in one text."""
    found: dict[str, list[str]] = {}
    for symbol, why in unlabelled.items():
        found.setdefault(why, []).append(symbol)
    return {why: ", ".join(symbols) for why, symbols in found.items()}


def without_any(unlabelled: Mapping[str, str], wanted: str) -> str:
    """Return why no symbol can be judged, or what is wanted where there is none."""
    told = (f"{symbols}: {why}" for why, symbols in reasons(unlabelled).items())
    return "; ".join(told) or f"no row that can be used: give {wanted}"


def outcome(report: AlertReport) -> str:
    """Return in words what alerts were worth."""
    if report.recall is None:
        return f"{report.false_alarms_day:.2f} false alarms a day"
    low, high = report.recall_interval or (report.recall, report.recall)
    doubt = f"that may be {low:.2f} to {high:.2f}" if low < high else "on too little to tell an interval"
    return f"a recall of {report.recall:.2f} {doubt}, at {report.false_alarms_day:.2f} false alarms a day"


def gained(found: Gain) -> str:
    """Return in words what signals were worth more than others."""
    return (
        f"PR-AUC {spread(found.pr_auc, found.pr_auc_interval, 4)}, "
        f"Brier score less by {spread(found.brier, found.brier_interval, 4)}"
    )


def spread(value: float | None, found: Interval, digits: int = 2) -> str:
    """Return a figure with its interval, which nothing is known of where all drawings gave the same."""
    if value is None:
        return NOTHING
    text = f"{value:z.{digits}f}"
    if found is None:
        return text
    low, high = found
    return f"{text} [{low:z.{digits}f} {high:z.{digits}f}]" if low < high else f"{text} [{NOTHING}]"


def alert_cells(found: AlertReport) -> tuple[str, str, str, str, str]:
    """Return recall, early recall, precision, lead and false alarms a day, each with its interval."""
    return (
        spread(found.recall, found.recall_interval),
        spread(found.early_recall, found.early_recall_interval),
        spread(found.precision, found.precision_interval),
        spread(found.lead_min, found.lead_min_interval, 1),
        spread(found.false_alarms_day, found.false_alarms_day_interval),
    )
