"""The charts of a report, as plotly's figures: plain data, drawn in the browser."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from pipeline.backtest.alerts import alerts
from pipeline.backtest.labels import MINUTE, bar_length
from pipeline.backtest.scores import known_at
from pipeline.messages import COMPONENTS, LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.backtest.evaluation import Series
    from pipeline.backtest.labels import Floats, Recorded
    from pipeline.backtest.report import SymbolReport

Figure = dict[str, Any]

COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a94a0")
"""Of Okabe and Ito: they can be told apart by everybody."""
LEVEL_COLOURS: Final = {"ALERT": "#e69f00", "CRITICAL": "#d55e00", "EXTREME": "#cc79a7"}
_MARKS: Final = {"ALERT": "triangle-up-open", "CRITICAL": "triangle-up", "EXTREME": "diamond"}
_BEFORE, _AFTER = 60, 30
_MOST_BARS: Final = 20_000
_BAND: Final = "#d55e00"
_GREY: Final = "#8a94a0"


def as_json(figure: Figure) -> str:
    """Return a figure as JSON."""
    return orjson.dumps(figure, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def price(market: Recorded, found: SymbolReport, series: Series) -> Figure:
    """Return the price of the time that was judged, with episodes as bands and each level's alerts."""
    times = market.opens_ms + bar_length(market)
    shown = (times >= found.begin_ms) & (times <= found.end_ms)
    judged = (series.times_ms >= found.begin_ms) & (series.times_ms <= found.end_ms)
    thinned = max(1, int(shown.sum()) // _MOST_BARS)
    drawn = np.flatnonzero(shown)[::thinned]  # places: of a slice of an array JSON cannot be made
    lines = [_line("price", _dates(times[drawn]), market.closes[drawn], _GREY)]
    for level, colour in LEVEL_COLOURS.items():
        fired = alerts(series.times_ms, judged & (series.level >= LEVELS.index(level)))
        at = market.closes[np.clip(np.searchsorted(times, fired, "right") - 1, 0, len(times) - 1)]
        mark = {"color": colour, "size": 10, "symbol": _MARKS[level]}
        lines.append(
            {"x": _dates(fired), "y": at, "name": level, "mode": "markers", "marker": mark, "type": "scatter"}
        )
    bands = [
        {
            "type": "rect", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "layer": "below",
            "x0": _date(each.onset_ms - 15 * MINUTE), "x1": _date(each.end_ms + 15 * MINUTE),
            "fillcolor": _BAND, "opacity": 0.35, "line": {"width": 1, "color": _BAND},
        }
        for each in found.episodes
    ]  # fmt: skip
    return _figure(
        lines, height=420, shapes=bands, xaxis={"type": "date"}, yaxis={"title": {"text": "US dollars"}}
    )


def precision_recall(found: SymbolReport) -> Figure:
    """Return precision over recall of each kind of signal, and the share of chance."""
    lines = [
        _line(name, [r for r, _ in run.precision_recall], [p for _, p in run.precision_recall], colour)
        for (name, run), colour in zip(found.runs.items(), COLOURS, strict=False)
    ]
    chance = _line("chance", [0, 1], [found.base_rate, found.base_rate], _GREY)
    chance["line"] |= {"dash": "dot"}
    return _figure(
        [*lines, chance],
        xaxis={"title": {"text": "recall"}},
        yaxis={"title": {"text": "precision"}, "range": [0, 1]},
    )


def reliability(found: SymbolReport) -> Figure:
    """Return how often it came so, over what was told."""
    lines = []
    for (name, run), colour in zip(found.runs.items(), COLOURS, strict=False):
        bins = [each for each in run.reliability if each.minutes >= 10]  # noqa: PLR2004 - less is chance
        line = _line(name, [b.probability for b in bins], [b.frequency for b in bins], colour)
        lines.append(line | {"mode": "lines+markers", "text": [f"{b.minutes:,} minutes" for b in bins]})
    perfect = _line("perfect", [0, 1], [0, 1], _GREY)
    perfect["line"] |= {"dash": "dot"}
    return _figure(
        [*lines, perfect],
        xaxis={"title": {"text": "probability told"}},
        yaxis={"title": {"text": "frequency"}},
    )


def leads(found: SymbolReport, names: Iterable[str]) -> Figure:
    """Return how long before their event the first hits of ALERT came."""
    bars = [
        {
            "type": "histogram", "name": name, "x": found.runs[name].levels["ALERT"].leads_min,
            "marker": {"color": colour}, "xbins": {"start": -5, "end": 16, "size": 1},
        }
        for name, colour in zip(names, COLOURS, strict=False)
    ]  # fmt: skip
    return _figure(
        bars,
        barmode="group",
        xaxis={"title": {"text": "minutes before the event's first close"}, "range": [-5.5, 15.5]},
        yaxis={"title": {"text": "episodes"}},
    )


def around(found: SymbolReport, series: Series, scores: Mapping[str, Floats]) -> Figure:
    """Return each component's score around each event, one event at a time, and their mean."""
    minutes = np.arange(-_BEFORE, _AFTER + 1)
    onsets = [each.onset_ms for each in found.episodes]
    tables = {
        name: np.array(
            [known_at(series.times_ms, column, onset + minutes * MINUTE, math.inf) for onset in onsets]
        )
        for name, column in scores.items()
    }
    wanted = [name for name in COMPONENTS if np.nanmax(tables[name]) > 0]
    choices = ["mean of all", *(_date(onset)[:16].replace("T", " ") for onset in onsets)]
    lines = []
    for place in range(len(choices)):
        for name, colour in zip(wanted, COLOURS, strict=False):
            values = tables[name].mean(axis=0) if not place else tables[name][place - 1]
            lines.append(_line(name.replace("_", " "), minutes, values, colour) | {"visible": not place})
    buttons = [
        {
            "label": label,
            "method": "restyle",
            "args": ["visible", [index // max(1, len(wanted)) == place for index in range(len(lines))]],
        }
        for place, label in enumerate(choices)
    ]
    return _figure(
        lines, updatemenus=[_menu(buttons)],
        xaxis={"title": {"text": "minutes from the first close"}, "zeroline": True},
        yaxis={"title": {"text": "score"}, "range": [0, 1.02]},
    )  # fmt: skip


def _menu(buttons: list[Any]) -> dict[str, Any]:
    """Return a menu on the left: on the right plotly's tools would lie over it."""
    return {
        "buttons": buttons, "x": 0, "xanchor": "left", "y": 1.16, "yanchor": "top",
        "bgcolor": _GREY, "font": {"color": "#000"},
    }  # fmt: skip


def _line(name: str, x: Any, y: Any, colour: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": x, "y": y,
        "line": {"color": colour, "width": 1.6},
    }  # fmt: skip


def _figure(data: list[Any], **layout: Any) -> Figure:
    axis: dict[str, Any] = {"automargin": True}
    layout = {"margin": {"l": 50, "r": 10, "t": 34, "b": 40}, "height": 360, **layout}
    for name in ("xaxis", "yaxis"):
        layout[name] = axis | layout[name]
    return {
        "data": data,
        "layout": layout | {"legend": {"orientation": "h", "y": 0, "yref": "container", "yanchor": "bottom"}},
    }


def _dates(times_ms: Any) -> list[str]:
    return [_date(each) for each in times_ms]


def _date(time_ms: int) -> str:
    return str(np.datetime64(int(time_ms), "ms"))
