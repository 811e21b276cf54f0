"""Rows of price files as price ticks: ticks, trades, and bars (one price each, at their close)."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from pipeline.cli.recorded.rows import Place, number

if TYPE_CHECKING:
    from collections.abc import Iterable


def bar_lengths(places: Iterable[Place]) -> dict[Any, float]:
    """Return the length of each series' bars by when they open: the median step.

    A single bar of a series is taken for one of the longest of the others: nothing is told too early.

    >>> bar_lengths([Place("A", 0), Place("A", 60_000), Place("A", 120_000), Place("A", 600_000)])
    {'A': 60000}
    """
    opens: dict[Any, set[float]] = defaultdict(set)
    for series, time_ms in places:
        if time_ms is not None:
            opens[series].add(time_ms)
    steps = {series: [after - before for before, after in pairwise(sorted(o))] for series, o in opens.items()}
    lengths = {series: median(found) for series, found in steps.items() if found}
    longest = max(lengths.values(), default=None)
    return lengths if longest is None else dict.fromkeys(opens, longest) | lengths


def as_price(row: dict[str, Any], *, bars: bool) -> dict[str, Any]:
    """Return a row of prices with a price, and with a volume in US dollars where it holds one in coins.

    Parameters
    ----------
    row
        A tick, a trade (`price`, `quantity`) or a bar (`close`, `volume`).
    bars
        Whether the file holds bars.

    """
    coins = row.get("volume" if bars else "quantity")
    if bars and "close" in row:
        row = {**row, "price": row["close"]}
    if coins is None or "volume_usd" in row:
        return row
    return {**row, "volume_usd": _product(number(coins), number(row.get("price")))}


def _product(coins: Any, price: Any) -> Any:
    known = isinstance(coins, int | float) and isinstance(price, int | float)
    return coins * price if known else coins
