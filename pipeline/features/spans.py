"""Sums over sliding spans of event time, and the realised volatility made of them."""

import math
from typing import Any, Final, TypeAlias

from pipeline.messages import rounded

BUCKETS: Final = 60
_SIZE: Final = BUCKETS + 1  # the oldest bucket is the one that the span's start cuts through

SPANS: Final = (60, 300, 900, 3_600)
"""Spans of the four volatilities in seconds. Messages name them, so they are no profile's to change."""

Volatilities: TypeAlias = tuple[float, float, float, float]


class Ring:
    """The sum of values over the newest `span_s` seconds, in 60 buckets.

    Second `s` stands for the time after `s - 1` up to `s`; bucket `k` holds the seconds `k * width + 1` to
    `(k + 1) * width`. The oldest bucket counts for the share of it that lies within the span. Sums are made
    anew of buckets that only ever grow, so nothing drifts and nothing falls below zero.

    Parameters
    ----------
    span_s
        Length of the span, a multiple of 60 seconds.

    """

    __slots__ = ("_buckets", "_head", "_span", "_width")

    def __init__(self, span_s: int) -> None:
        self._span = span_s
        self._width = span_s // BUCKETS
        self._head = 0
        self._buckets = [0.0] * _SIZE

    def add(self, start: int, end: int, value: float) -> None:
        """Add a value of the seconds after `start` up to `end`, spread evenly over them.

        `start` is no earlier than any `end` before it: buckets after that of `start` are empty yet.
        """
        self._advance(end)
        width, head, buckets = self._width, self._head, self._buckets
        if start >= head * width:
            buckets[head % _SIZE] += value
            return
        share = value / (end - start)
        start = max(start, (head - BUCKETS) * width)
        first = start // width
        buckets[first % _SIZE] += share * ((first + 1) * width - start)
        self._fill(first + 1, head - first - 1, share * width)
        buckets[head % _SIZE] += share * (end - head * width)

    def total(self, now: int) -> float:
        """Return the sum over the span that ends with the second `now`."""
        width = self._width
        if now > (self._head + 1) * width:
            self._advance(now)
        head, buckets = self._head, self._buckets
        oldest = (head + 1) % _SIZE
        within = 1.0 - (now - head * width) / width
        return sum(buckets[:oldest], 0.0) + sum(buckets[oldest + 1 :], 0.0) + within * buckets[oldest]

    def total_with(self, now: int, start: int, value: float) -> float:
        """Return the sum up to `now` as if `value` had been added for the seconds after `start`."""
        return self.total(now) + value * min(1.0, self._span / (now - start))

    def _advance(self, second: int) -> None:
        head = (second - 1) // self._width
        steps = head - self._head
        if steps > 0:
            self._fill(head - steps + 1, min(steps, _SIZE), 0.0)
            self._head = head

    def _fill(self, first: int, count: int, value: float) -> None:
        """Set so many buckets to a value, the oldest first."""
        place = first % _SIZE
        over = max(0, place + count - _SIZE)
        self._buckets[place : place + count] = [value] * (count - over)
        self._buckets[:over] = [value] * over

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return [self._head, list(self._buckets)]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        self._head, buckets = frozen
        self._buckets = list(buckets)


class RealisedVolatility:
    """Realised volatility over 1, 5 and 15 minutes and 1 hour, in percent.

    The price is sampled each second: the last price of the second, and for the second that is still open
    the newest price. Volatility over a span = 100 x sqrt(sum of squared log returns within the span): the
    size of a move over that span, not annualised. A return over several seconds without a price (a bar) is
    spread evenly over them, so a 5-minute bar counts one fifth of its square for the last minute.

    Attributes
    ----------
    second, price
        The open second, and its newest price.

    """

    __slots__ = ("_closed", "_rings", "_start", "price", "second")

    def __init__(self) -> None:
        self.second = 0
        self.price = 0.0
        self._start = 0
        self._closed: tuple[int, float] | None = None  # second and log price of the last complete second
        self._rings = tuple(Ring(span) for span in SPANS)

    def move(self, second: int, price: float, start: int) -> bool:
        """Take the newest price of the run that began with the second `start`; tell whether a second began.

        No return reaches from one run of prices into the next.
        """
        if second > self.second > 0:
            self._close()
        elif start == self._start:
            self.price = price
            return False
        if start != self._start:
            self._start = start
            self._closed = None
        self.second = second
        self.price = price
        return True

    def _close(self) -> None:
        log_price = math.log(self.price)
        if self._closed is not None:
            before, before_log = self._closed
            if log_price != before_log:
                for ring in self._rings:
                    ring.add(before, self.second, (log_price - before_log) ** 2)
        self._closed = (self.second, log_price)

    def volatilities(self) -> Volatilities:
        """Return the volatility over each of `SPANS`, in percent.

        Rounded to 9 decimals, lest markets that are equal but for the order of their sums seem to differ.
        """
        now = self.second
        start, before_log = self._closed or (now, math.log(self.price))
        square = (math.log(self.price) - before_log) ** 2
        if square:
            totals = [ring.total_with(now, start, square) for ring in self._rings]
        else:
            totals = [ring.total(now) for ring in self._rings]
        minute, five, fifteen, hour = [rounded(100.0 * math.sqrt(total), 9) for total in totals]
        return minute, five, fifteen, hour

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return [self._start, self.second, self.price, self._closed, [ring.freeze() for ring in self._rings]]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        self._start, self.second, self.price, closed, rings = frozen
        self._closed = None if closed is None else (closed[0], closed[1])
        for ring, content in zip(self._rings, rings, strict=True):
            ring.thaw(content)
