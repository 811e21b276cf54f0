"""What a venue trades: its names, its units, and the symbol that stands for it on Kafka."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from msgspec import Struct

_ONE: Final = Decimal(1)
_FUNDING_HOURS: Final = 8.0
"""What rates of the `funding` topic are for."""

ALIASES: Final = {"XBT": "BTC"}
"""Coins that a venue calls otherwise."""
MULTIPLIED: Final = {
    **{
        f"1000{coin}": (coin, 1_000)
        for coin in "PEPE SHIB BONK FLOKI LUNC XEC SATS RATS CAT CHEEMS".split()  # noqa: SIM905
    },
    **{f"k{coin}": (coin, 1_000) for coin in "PEPE SHIB BONK FLOKI LUNC DOGS NEIRO".split()},  # noqa: SIM905
    "SHIB1000": ("SHIB", 1_000),
    "1000000MOG": ("MOG", 1_000_000),
    "1MBABYDOGE": ("BABYDOGE", 1_000_000),
}
"""Contracts on so many coins at a time, by the name that venues give such a bundle."""
_BUNDLE: Final = re.compile(r"(1000+|1M|k)[A-Z]{2,}|[A-Z]{2,}1000+")


class UnknownUnitError(ValueError):
    """Nobody says how many coins an instrument's unit is."""


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
    funding_hours: float = _FUNDING_HOURS

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
        return float(rate) * _FUNDING_HOURS / self.funding_hours


def instrument(  # noqa: PLR0913
    venue: str,
    name: str,
    base: str,
    quote: str,
    *,
    unit: float | str = 1,
    funding_hours: float | str | None = None,
) -> Instrument:
    """Return an instrument by its base and quote as the venue's list tells them.

    Raises
    ------
    UnknownUnitError
        Its unit is not a positive number, or its name is that of a bundle of coins which is not known.

    """
    coin, multiplier = MULTIPLIED.get(base, (base, 1))
    if multiplier == 1 and _BUNDLE.fullmatch(base):
        raise UnknownUnitError(f"{venue} {name}: how many coins is a {base}? Add it to `MULTIPLIED`")
    size = Decimal(str(unit or 0))
    if not size.is_finite() or size <= 0:
        raise UnknownUnitError(f"{venue} {name}: its contract size is {unit!r}")
    return Instrument(
        venue=venue,
        name=name,
        symbol=f"{ALIASES.get(coin, coin)}{quote}".upper(),
        unit=size,
        multiplier=multiplier,
        funding_hours=float(funding_hours or _FUNDING_HOURS),
    )
