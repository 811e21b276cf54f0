"""What venues call coins, and how many coins a bundle of them is: a table, `names.toml`, never a guess."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from pipeline.collect.instruments import FUNDING_HOURS, Instrument

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_BUNDLE: Final = re.compile(r"(1000+|1M|k)[A-Z]{2,}|[A-Z]{2,}1000+")
"""Looks as if it were the name of a bundle."""
_Name: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9A-Za-z]{1,32}$")]


class UnknownUnitError(ValueError):
    """Nobody says how many coins an instrument's unit is."""


class Bundle(Struct, frozen=True, forbid_unknown_fields=True):
    """So many coins, traded as one."""

    coin: _Name
    coins: Annotated[int, Meta(ge=1, le=1_000_000_000)]


@dataclass(frozen=True)
class Names:
    """The table.

    Attributes
    ----------
    coins
        Coins by other names of theirs.
    bundles
        Bundles by their names.
    quotes
        Quotes by those that stand for them, by venue.

    """

    coins: Mapping[str, str]
    bundles: Mapping[str, Bundle]
    quotes: Mapping[str, Mapping[str, str]]

    def instrument(  # noqa: PLR0913
        self,
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
        if base not in self.bundles and _BUNDLE.fullmatch(base):
            raise UnknownUnitError(f"{venue} {name}: how many coins is a {base}? Tell by --names")
        bundle = self.bundles.get(base) or Bundle(base, 1)
        size = Decimal(str(unit or 0))
        if not size.is_finite() or size <= 0:
            raise UnknownUnitError(f"{venue} {name}: its contract size is {unit!r}")
        coin = self.coins.get(bundle.coin, bundle.coin)
        return Instrument(
            venue=venue,
            name=name,
            symbol=f"{coin}{self.quotes.get(venue, {}).get(quote, quote)}".upper(),
            unit=size,
            multiplier=bundle.coins,
            funding_hours=float(funding_hours or FUNDING_HOURS),
        )

    def with_more(self, more: Names) -> Names:
        """Return this table and another one, which counts where both have a name."""
        quotes = {
            venue: {**self.quotes.get(venue, {}), **more.quotes.get(venue, {})}
            for venue in {**self.quotes, **more.quotes}
        }
        return Names({**self.coins, **more.coins}, {**self.bundles, **more.bundles}, quotes)


def read_names(text: str, venues: Collection[str] | None = None) -> Names:
    """Return a table that is written in TOML.

    Raises
    ------
    ValueError
        It is none: the text says which field is wrong.

    """
    table = tomllib.loads(text)
    if unknown := sorted(table.keys() - {"coins", "bundles", "quotes"}):
        raise ValueError(f"{unknown[0]}: expected coins, bundles or quotes")
    quotes = _entries("quotes", table.get("quotes", {}), dict[str, Any])
    if venues is not None and (unknown := sorted(quotes.keys() - set(venues))):
        raise ValueError(f"quotes.{unknown[0]}: expected one of {', '.join(venues)}")
    return Names(
        _entries("coins", table.get("coins", {}), _Name),
        _entries("bundles", table.get("bundles", {}), Bundle),
        {venue: _entries(f"quotes.{venue}", entries, _Name) for venue, entries in quotes.items()},
    )


def _entries(field: str, table: Any, kind: Any) -> dict[str, Any]:
    """Return the entries of a table, each of a kind."""
    if not isinstance(table, dict):
        raise ValueError(f"{field}: expected a table")  # noqa: TRY004 - a value of the file's
    found = {}
    for name, value in table.items():
        try:
            found[msgspec.convert(name, _Name)] = msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise ValueError(f"{field}.{name}: {error}") from error
    return found


USUAL: Final = read_names((files("pipeline.collect") / "names.toml").read_text())
"""What this project knows of."""
