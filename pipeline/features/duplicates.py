"""Repeats of a liquidation: venues and producers send some of them twice."""

from __future__ import annotations

import struct
from collections import OrderedDict
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from pipeline.messages import Liquidation

_MILLISECOND: Final = 1_000
_TIDY: Final = 5_000
"""Milliseconds for which what came first may be too old until it is dropped, and all such with it."""
_OLDEST: Final = 0xFFFF
"""The greatest age (milliseconds) that a snapshot can tell: more than enough to be dropped."""

FrozenDuplicates: TypeAlias = tuple[bytes, bytes, int, int]
"""Digests (eight bytes each) and ages (two) in the order they came; repeats and overflow so far."""


def digest(liquidation: Liquidation) -> int:
    """Return what two reports of one liquidation share, as a number of 64 bits.

    That is its venue and the venue's id, or without one venue, side, price, quantity and timestamp. Of 4,096
    remembered the chance that a new liquidation looks like one is 2e-16. Snapshots travel between processes:
    Python's `hash` is the same in each of them for numbers, and for tuples of them, but not for text.
    """
    if liquidation.id is not None:
        return _number(liquidation.exchange, str(liquidation.id))
    source = _source(liquidation.exchange, liquidation.side)
    return hash((source, liquidation.price, liquidation.quantity, liquidation.timestamp))


def _number(*parts: str) -> int:
    return int.from_bytes(blake2b("\n".join(parts).encode(), digest_size=8).digest(), "little", signed=True)


_source: Final = lru_cache(maxsize=4_096)(_number)


class Duplicates:
    """Liquidations remembered until the clock is `span` past them; of too many the oldest go first.

    Parameters
    ----------
    span
        How long one is remembered, in microseconds of event time (at most 65 s), to the millisecond.
    limit
        The most that are remembered.

    Attributes
    ----------
    repeats
        Liquidations found to be repeats.
    overflow
        Liquidations forgotten before their time, as there were too many.

    """

    __slots__ = ("_limit", "_seen", "_span", "overflow", "repeats")

    def __init__(self, span: int, limit: int) -> None:
        self._span = span // _MILLISECOND
        self._limit = limit
        # Not a plain dict: that finds its first key slowly once many before it are gone.
        self._seen: OrderedDict[int, int] = OrderedDict()
        self.repeats = 0
        self.overflow = 0

    def __len__(self) -> int:
        return len(self._seen)

    def is_repeat(self, liquidation: Liquidation, time: int, clock: int) -> bool:
        """Tell whether a liquidation is a repeat, and count it; otherwise remember it.

        Parameters
        ----------
        liquidation, time
            What came, and its timestamp in microseconds.
        clock
            The clock in microseconds, not before `time`.

        """
        key = digest(liquidation)
        seen = self._seen
        forgotten = clock // _MILLISECOND - self._span
        before = seen.get(key)
        if before is not None:
            if before > forgotten:
                self.repeats += 1
                return True
            del seen[key]
        millisecond = time // _MILLISECOND
        if millisecond > forgotten:
            if seen and (next(iter(seen.values())) <= forgotten - _TIDY or len(seen) >= self._limit):
                self._forget(forgotten)
            seen[key] = millisecond
        return False

    def _forget(self, forgotten: int) -> None:
        """Make room for one more: drop what is too old, as far as it came first, else the very first."""
        seen = self._seen
        while seen:
            key, millisecond = seen.popitem(last=False)
            if millisecond > forgotten:
                if len(seen) < self._limit - 1:
                    seen[key] = millisecond
                    seen.move_to_end(key, last=False)
                    break
                self.overflow += 1

    def freeze(self, clock: int) -> FrozenDuplicates:
        """Return what is remembered, ten bytes for each."""
        now = clock // _MILLISECOND
        oldest = now - _OLDEST
        ages = [now - millisecond if millisecond > oldest else _OLDEST for millisecond in self._seen.values()]
        digests = struct.pack(f"<{len(ages)}q", *self._seen)
        return digests, struct.pack(f"<{len(ages)}H", *ages), self.repeats, self.overflow

    def thaw(self, frozen: FrozenDuplicates, clock: int) -> None:
        """Put back what `freeze` returned for the same clock."""
        digests, ages, self.repeats, self.overflow = frozen
        now = clock // _MILLISECOND
        size = len(ages) // 2
        known = zip(struct.unpack(f"<{size}q", digests), struct.unpack(f"<{size}H", ages), strict=True)
        self._seen.update((key, now - age) for key, age in known)
