"""A check that a venue's sides are not inverted: a strong move liquidates those whom it went against.

A wrong guess of what a side means passes every test and inverts the product. Over five minutes in which the
price fell by much, most dollars liquidated have to be of longs; where it rose, of shorts. Pure.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from pipeline.messages import Liquidation, Price

if TYPE_CHECKING:
    from pipeline.collect.venue import Feed

SPAN_S: Final = 300
STRONG_MOVE: Final = 0.01
"""The part of a price by which it has to move within a span."""
FEWEST_EVENTS: Final = 5
"""Liquidations within a span, without which it says nothing."""
FEWEST_VERDICTS: Final = 5
INVERTED_SHARE: Final = 0.8
"""The part of the last verdicts against a venue that means that its sides are inverted."""
_REMEMBERED: Final = 20


class _Span:
    """What happened to one symbol within a span."""

    __slots__ = ("events", "first", "last", "number", "usd")

    def __init__(self, number: int) -> None:
        self.number = number
        self.first = self.last = 0.0
        self.events = 0
        self.usd = {"long": 0.0, "short": 0.0}

    def verdict(self) -> bool | None:
        """Tell whether most dollars were of those whom the move went against; None where that is unclear."""
        if not self.first or self.events < FEWEST_EVENTS or self.usd["long"] == self.usd["short"]:
            return None
        move = self.last / self.first - 1
        if abs(move) < STRONG_MOVE:
            return None
        return (self.usd["long"] > self.usd["short"]) == (move < 0)


class SideCheck:
    """Judges one venue's sides by its own prices.

    Attributes
    ----------
    verdicts
        Whether the last spans with a strong move had the expected side, oldest first.

    """

    def __init__(self) -> None:
        self._spans: dict[str, _Span] = {}
        self.verdicts: deque[bool] = deque(maxlen=_REMEMBERED)

    @property
    def inverted(self) -> bool:
        """Whether the sides are persistently inverted."""
        wrong = self.verdicts.count(False)
        return len(self.verdicts) >= FEWEST_VERDICTS and wrong >= INVERTED_SHARE * len(self.verdicts)

    def add(self, message: Feed) -> None:
        """Take a message; prices and liquidations count."""
        if isinstance(message, Price):
            span = self._span(message)
            span.first = span.first or message.price
            span.last = message.price
        elif isinstance(message, Liquidation):
            span = self._span(message)
            span.events += 1
            span.usd[message.side] += message.value_usd or 0.0

    def _span(self, message: Price | Liquidation) -> _Span:
        number = int(message.timestamp // SPAN_S)
        span = self._spans.get(message.symbol)
        if span is None or number > span.number:
            if span is not None and (verdict := span.verdict()) is not None:
                self.verdicts.append(verdict)
            span = self._spans[message.symbol] = _Span(number)
        return span
