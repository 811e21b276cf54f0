"""What a venue trades: its names, its units, and the symbol that stands for it on Kafka."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from msgspec import Struct

_ONE: Final = Decimal(1)
FUNDING_HOURS: Final = 8.0
"""What rates of the `funding` topic are for."""


class Instrument(Struct, frozen=True, kw_only=True):
    """A linear perpetual contract.

    Attributes
    ----------
    venue, name
        Where it is traded, and as what.
    symbol
        Base and quote as on Kafka; venues that trade the same coin agree on it.
    unit
        How much of the venue's coin one unit of a size is: 1 where sizes are in coins.
    multiplier
        How many coins the venue's coin is: 1,000 for `1000PEPE`.
    funding_hours
        From one settlement of funding to the next.

    """

    venue: str
    name: str
    symbol: str
    unit: Decimal = _ONE
    multiplier: int = 1
    funding_hours: float = FUNDING_HOURS

    def price(self, price: float | str) -> float:
        """Return a price of one coin in US dollars."""
        return float(price) / self.multiplier

    def quantity(self, size: float | str) -> float:
        """Return a size, whatever its sign, in coins."""
        return float(abs(Decimal(str(size))) * self.unit * self.multiplier)

    def usd(self, size: float | str, price: float | str) -> float:
        """Return what a size is worth at the venue's price in US dollars."""
        return float(abs(Decimal(str(size))) * self.unit * Decimal(str(price)))

    def rate(self, rate: float | str) -> float:
        """Return a rate for one settlement as the rate for eight hours."""
        return float(rate) * FUNDING_HOURS / self.funding_hours
