"""The report as one HTML file that needs nothing else: tables, and charts by plotly from its package."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pipeline.backtest import charts
from pipeline.backtest.report import NOTE, NOTHING, alert_cells, in_words, outcome, reasons, spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pipeline.backtest.evaluation import Evaluation, Series
    from pipeline.backtest.labels import Floats, Recorded
    from pipeline.backtest.report import Report, SymbolReport

Told = tuple["Series", "dict[str, Floats]"]
"""Signals, and the six scores of each."""


def write_page(
    path: Path, report: Report, markets: Mapping[str, Recorded], told: Mapping[tuple[str, str], Told]
) -> None:
    """Write the report."""
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped] # noqa: PLC0415 - five megabytes

    assets = files("pipeline.backtest").joinpath("assets")
    style, script = (assets.joinpath(name).read_text("utf-8") for name in ("style.css", "draw.js"))
    parts = [_head(report), _links(report.symbols)]
    for symbol, found in report.symbols.items():
        own = {name: each for (of, name), each in told.items() if of == symbol}
        parts += _symbol(symbol, found, markets[symbol], own, report.profiles)
    unlabelled = reasons(report.unlabelled).items()
    parts += [f"<p>{escape(names)}: not judged: {escape(why)}</p>" for why, names in unlabelled]
    parts += [f"<p class=soft>{escape(complaint)}</p>" for complaint in report.refused]
    path.write_text(
        "<!doctype html>\n<html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>Backtest</title><style>{style}</style>\n<body>{''.join(parts)}"
        f"<script>{get_plotlyjs()}</script><script>{script}</script></body></html>\n",
        encoding="utf-8",
    )


def _head(report: Report) -> str:
    rule = report.rule
    move = "fall" if rule.side == "down" else "move"
    burst = (
        f" with liquidations, up to {rule.lag_min} minutes later, above the {100 * rule.quantile:g}% "
        "quantile of the 7 days before"
        if rule.quantile is not None
        else ""
    )
    lines = [
        f"Profiles: {', '.join(report.profiles)}. Files: {', '.join(report.files)}.",
        (
            f"An event is a {move} of 15 minutes of at least {rule.sigmas:g} of its usual deviations and "
            f"{100 * rule.floor:g}%{burst}; it never looks at a signal. An alert, at most one in 30 minutes, "
            "is a hit from 15 minutes before to 5 minutes after an event's first close; early is a minute "
            f"before or more. A signal tells for {report.hold_s:g} s. Left out are the first {rule.warm_h:g} "
            f"hours, and silences over {rule.gap_h:g} hours. Intervals are 90%, by drawing days. "
            f"Version {report.version}."
        ),
    ]
    if report.split_days is not None:
        lines.append(f"Run in parts of {report.split_days} days, each after 8 days of warm-up.")
    return "<h1>Backtest</h1>" + "".join(f"<p class=soft>{escape(line)}</p>" for line in lines)


def _links(symbols: Iterable[str]) -> str:
    """Return the way to each of several symbols."""
    links = [f"<a href='#{quote(symbol)}'>{escape(symbol)}</a>" for symbol in symbols]
    return f"<nav>{' '.join(links)}</nav>" if len(links) > 1 else ""


def _symbol(
    symbol: str, found: SymbolReport, market: Recorded, told: dict[str, Told], profiles: list[str]
) -> Iterable[str]:
    yield f"<h2 id='{escape(symbol)}'>{escape(symbol)}</h2><p>{escape(in_words(symbol, found))}.</p>"
    for name in profiles:
        yield f"<p>{escape(name)}, ALERT: {escape(outcome(found.runs[name].levels['ALERT']))}.</p>"
    yield _section("Signals compared", _table(RUNS, map(_run, found.runs.items())), NOTE)
    for name in profiles:
        levels = found.runs[name].levels
        rows = [(level, *alert_cells(each), str(each.alerts)) for level, each in levels.items()]
        yield _section(f"Levels of {name}", _table(ALERTS, rows), "")
        rows = [
            (threshold, *alert_cells(each), str(each.alerts))
            for threshold, each in found.runs[name].at.items()
        ]
        yield _section(f"Thresholds of {name}", _table(("probability", *ALERTS[1:]), rows), "")
        yield _section(
            "Gains of " + name,
            _table(GAINS, _gains(found, name)),
            "Both intervals above zero: surely better.",
        )
    name = profiles[0]
    series, scores = told[name]
    yield _chart("Price, episodes, and alerts of " + name, charts.price(market, found, series))
    yield "<div class=pair>"
    yield _chart("Reliability: how often it came so", charts.reliability(found))
    if found.episodes:
        yield _chart("Precision over recall, minute by minute", charts.precision_recall(found))
        yield _chart("Lead times of ALERT and above", charts.leads(found, profiles))
        yield _chart(f"Scores of {name} around each event", charts.around(found, series, scores))
    yield "</div>"


RUNS: Final = (
    "signal",
    "PR-AUC",
    "early PR-AUC",
    "Brier skill",
    "ECE",
    "recall",
    "early recall",
    "lead, min",
    "false alarms a day",
)
ALERTS: Final = ("level", "recall", "early recall", "precision", "lead, min", "false alarms a day", "alerts")
GAINS: Final = ("over", "PR-AUC", "Brier score, x 1000")


def _run(item: tuple[str, Evaluation]) -> tuple[str, ...]:
    name, run = item
    return (
        name,
        spread(run.pr_auc, run.pr_auc_interval),
        spread(run.pr_auc_early, None, 3),
        spread(run.brier_skill, run.brier_skill_interval),
        f"{run.calibration_error:.4f}",
        *_best(run),
    )


def _best(run: Evaluation) -> tuple[str, ...]:
    """Return recall, early recall, lead and false alarms of the best threshold at one false alarm a day."""
    if (best := run.budgets.get("1")) is None:
        return (NOTHING,) * 4
    recall, early, _, lead, false_alarms = alert_cells(best)
    return recall, early, lead, false_alarms


def _gains(found: SymbolReport, name: str) -> Iterable[tuple[str, ...]]:
    for other, each in found.gains[name].items():
        brier = each.brier_interval
        thousandths = None if brier is None else (1_000 * brier[0], 1_000 * brier[1])
        yield other, spread(each.pr_auc, each.pr_auc_interval), spread(1_000 * each.brier, thousandths)


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(title)}" for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) for row in rows)
    return f"<div class=wide><table><thead><tr>{head}<tbody>{body}</table></div>"


def _section(title: str, content: str, note: str) -> str:
    return f"<section><h3>{escape(title)}</h3>{content}<p class=soft>{escape(note)}</p></section>"


def _chart(title: str, figure: dict[str, Any]) -> str:
    data = charts.as_json(figure).replace("<", "\\u003c")
    height = figure["layout"].get("height", 360)
    place = f"<div class=chart style='height:{height}px'></div>"
    return f"<section><h3>{escape(title)}</h3>{place}<script type=application/json>{data}</script></section>"
