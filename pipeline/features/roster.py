"""How many symbols a partition keeps state for, at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.features.state import SHARED

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_SYMBOLS: Final = 10_000
"""Symbols that a partition knows at most, unless something else is asked for."""


class Roster:
    """The symbols that a partition knows; the reference symbol always has a place.

    Parameters
    ----------
    most
        How many symbols besides the reference symbol are admitted.
    reference
        The reference symbol.
    known
        Symbols that there is state of: they stay, also if there are more than are admitted.

    """

    def __init__(self, most: int, reference: str, known: Iterable[str] = ()) -> None:
        self._always = {SHARED, reference}
        self._full = most + len(self._always)
        self._known = self._always.union(known)
        self.most = most

    def admits(self, symbol: str) -> bool:
        """Tell whether a symbol is known, or there is room for it: then it is known from now on."""
        if symbol in self._known:
            return True
        if len(self._known) >= self._full:
            return False
        self._known.add(symbol)
        return True

    def forget(self, symbols: Iterable[str]) -> None:
        """Make room: there is no state of these symbols any more."""
        self._known.difference_update(symbols)
        self._known |= self._always

    @property
    def objection(self) -> str:
        """Why a symbol is not admitted, and what to do about it."""
        return (
            f"symbol: {self.most:,} symbols are known here, and no more are admitted: if they are real, have "
            "more partitions or raise PIPELINE_MAX_SYMBOLS (max_symbols of `Engine`); symbols without a "
            "record for over a week make room"
        )
