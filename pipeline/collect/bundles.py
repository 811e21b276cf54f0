"""A check of contracts on bundles of coins: a wrong number of coins is a jump of the price by a thousand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from pipeline.messages import Price

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.collect.instruments import Instrument
    from pipeline.collect.venue import Feed

log = structlog.get_logger(__name__)

_MOST_OFF: Final = 0.1
"""The part by which the price of a coin in a bundle may differ from that of a single one."""
_LASTS: Final = 60.0
"""Seconds for which a price is one to compare with."""


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


class Bundles:
    """Tells which symbols of a venue may be published: bundles only at the price of their coins."""

    def __init__(self, venue: str, references: References) -> None:
        self._venue = venue
        self._references = references
        self._symbols: set[str] = set()
        self._off: set[str] = set()

    def relist(self, instruments: Iterable[Instrument]) -> None:
        """Take the instruments that are collected."""
        self._symbols = {each.symbol for each in instruments if each.multiplier > 1}

    def take(self, message: Feed) -> bool:
        """Tell whether a message may be published."""
        if isinstance(message, Price):
            if message.symbol in self._symbols:
                self._compare(message)
            else:
                self._references.add(message)
        return message.symbol not in self._off

    def _compare(self, price: Price) -> None:
        """Compare a bundle's price; without a reference what was found before holds."""
        reference = self._references.of(price)
        if reference is None:
            return
        if abs(price.price / reference.price - 1) <= _MOST_OFF:
            self._off.discard(price.symbol)
        elif price.symbol not in self._off:
            self._off.add(price.symbol)
            log.error(
                "the price of a bundle of coins is not that of the coin: is their number right (--names)?",
                venue=self._venue,
                symbol=price.symbol,
                price=price.price,
                reference=reference.price,
                of=reference.exchange,
            )
