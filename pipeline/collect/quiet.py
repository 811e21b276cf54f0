"""Of which symbols nothing comes any more, while their venue brings others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline import contract

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

LONGEST: Final = 360.0
"""Seconds without a record after which a symbol is quiet: no score counts open interest for longer."""
_STEADY: Final = frozenset((contract.PRICES, contract.OPEN_INTEREST))
"""Topics on which venues tell of every symbol all the time; liquidations may be rare, and funding is."""


class Quiet:
    """When each symbol of a venue was last told of, on each of the steady topics.

    Times are seconds of any clock that never goes back.

    Parameters
    ----------
    topics
        What is published.

    """

    def __init__(self, topics: Collection[str]) -> None:
        self._heard: dict[str, dict[str, float]] = {topic: {} for topic in sorted(_STEADY & set(topics))}

    def relist(self, symbols: Collection[str], now: float) -> None:
        """Expect these symbols alone; new ones have their time from now on."""
        for topic, heard in self._heard.items():
            self._heard[topic] = {symbol: heard.get(symbol, now) for symbol in symbols}

    def hear(self, topic: str, symbol: str, now: float) -> None:
        """Take that a symbol was told of, if it is expected."""
        if symbol in self._heard.get(topic, ()):
            self._heard[topic][symbol] = now

    def count(self, now: float) -> Mapping[str, int]:
        """Return how many symbols are quiet, by topic."""
        return {
            topic: sum(now - before > LONGEST for before in heard.values())
            for topic, heard in self._heard.items()
        }
