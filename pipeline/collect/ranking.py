"""Which symbols are collected: those that somebody names, or those that are traded most."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from heapq import nsmallest
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

import structlog

from pipeline.collect.reading import VenueError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.collect.asking import Asking

log = structlog.get_logger(__name__)

Wanted: TypeAlias = Callable[[], Awaitable[frozenset[str]]]
"""Returns the symbols that are wanted now; may raise `VenueError`."""
Choice: TypeAlias = "Callable[[Sequence[Asking]], Wanted]"
"""Returns what is wanted of some venues, which it may ask."""


def named(symbols: Iterable[str]) -> Wanted:
    """Return what wants those symbols, always."""
    fixed = frozenset(symbols)

    async def wanted() -> frozenset[str]:
        return fixed

    return wanted


class MostTraded:
    """Wants the symbols that are traded most, over all venues together: so all collect the same.

    Parameters
    ----------
    venues
        Asks each; one that does not answer has no say until the next time.
    number
        How many symbols.
    lasts
        Seconds for which a ranking is good: venues ask at about the same time, and get the same.

    """

    def __init__(self, venues: Sequence[Asking], number: int, lasts: float = 1_800.0) -> None:
        self._venues = venues
        self._number = number
        self._lasts = lasts
        self._ranking = asyncio.Lock()
        self._ranked_at = 0.0
        self._symbols = frozenset[str]()

    async def __call__(self) -> frozenset[str]:
        """Return the symbols; those of before where no venue answers.

        Raises
        ------
        VenueError
            No venue answers, nor has before.

        """
        async with self._ranking:
            if not self._symbols or time.monotonic() - self._ranked_at > self._lasts:
                await self._rank()
            return self._symbols

    async def _rank(self) -> None:
        answers = await asyncio.gather(*map(_traded, self._venues))
        total = dict[str, float]()
        for symbol, usd in chain.from_iterable(traded.items() for traded in answers):
            total[symbol] = total.get(symbol, 0.0) + usd
        symbols = frozenset(nsmallest(self._number, total, key=lambda symbol: (-total[symbol], symbol)))
        if not symbols and not self._symbols:
            raise VenueError("no venue tells what is traded most")
        if symbols:
            self._ranked_at = time.monotonic()
        if symbols and symbols != self._symbols:
            self._symbols = symbols
            log.info("traded most", symbols=",".join(sorted(symbols)))


async def _traded(asking: Asking) -> dict[str, float]:
    try:
        return await asking.traded()
    except VenueError as error:
        log.warning("a venue does not tell what is traded most", reason=str(error))
        return {}
