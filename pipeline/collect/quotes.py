"""Price ticks out of quotes and trades: one a symbol and interval, by the venue's own clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.messages import Price

if TYPE_CHECKING:
    from pipeline.collect.instruments import Instrument

_BASIS_POINTS: Final = 10_000
_WRONG_MS: Final = 10_000
"""So far before the last tick a time shows that the last one's was wrong; a smaller step back is disorder."""
_LAST_MS: Final = 60_000
"""For how long best quotes are those of now: where they cease, other streams may go on."""


class Quote:
    """What is known of one instrument's price; 0 is not known."""

    __slots__ = ("ask", "bid", "mark", "quoted_ms", "told_ms")

    def __init__(self) -> None:
        self.bid = self.ask = self.mark = 0.0
        self.quoted_ms = self.told_ms = 0

    def tick(self, instrument: Instrument, time_ms: int, every_ms: int, traded_usd: float) -> Price | None:
        """Return a tick with what was traded, unless the last one is too young or the price is not known.

        The price is the middle of the best quotes, or the mark price where there are none of now.
        """
        quoted = 0 < self.bid <= self.ask and abs(time_ms - self.quoted_ms) <= _LAST_MS
        price = (self.bid + self.ask) / 2 if quoted else self.mark
        if self.told_ms - _WRONG_MS < time_ms < self.told_ms + every_ms or price <= 0:
            return None
        self.told_ms = time_ms
        return Price(
            symbol=instrument.symbol,
            exchange=instrument.venue,
            price=instrument.price(price),
            timestamp=time_ms / 1_000,
            volume_usd=traded_usd,
            spread_bps=(self.ask - self.bid) / price * _BASIS_POINTS if quoted else None,
        )
