"""Rows of price files as price ticks: ticks, trades, and bars (one price each, at their close)."""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from pipeline.cli.recorded.rows import number

if TYPE_CHECKING:
    from collections.abc import Iterable


def bar_length(times_ms: Iterable[float]) -> float | None:
    """Return the length of bars by when they open: the median step; None for a single bar.

    >>> bar_length([0, 60_000, 120_000, 600_000])
    60000
    """
    opens = sorted(set(times_ms))
    return median(after - before for before, after in pairwise(opens)) if len(opens) > 1 else None


def closed_ms(opened_ms: float | None, bar_ms: float) -> float | None:
    """Return when a bar closes, None where nobody knows when it opens."""
    return None if opened_ms is None else opened_ms + bar_ms


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
