"""Prices by which contracts on bundles of coins are checked: a wrong number of coins is a jump."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipeline.messages import Price

_MOST_OFF: Final = 0.1
"""The part by which the price of a coin in a bundle may differ from that of a single one."""
_LASTS: Final = 60.0
"""Seconds for which a price is one to compare with."""


def fits(price: Price, reference: Price) -> bool:
    """Tell whether a price is that of the same coin."""
    return abs(price.price / reference.price - 1) <= _MOST_OFF


class References:
    """The newest price of each symbol that some venue trades by the single coin."""

    def __init__(self) -> None:
        self._prices: dict[str, Price] = {}

    def add(self, price: Price) -> None:
        """Take the price of a single coin."""
        self._prices[price.symbol] = price

    def of(self, price: Price) -> Price | None:
        """Return what to compare a price with, where there is something."""
        reference = self._prices.get(price.symbol)
        fresh = reference is not None and abs(price.timestamp - reference.timestamp) < _LASTS
        return reference if fresh else None
