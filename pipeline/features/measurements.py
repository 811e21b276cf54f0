"""What stages measure, as they note it on an event for the stages after them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from pipeline.features.judgement import Judgement

Trigger: TypeAlias = Literal["liquidation", "price", "context"]


class Measurement(Struct, gc=False):
    """What is known of a symbol's liquidations at one moment of its clock.

    Attributes
    ----------
    symbol, trigger
        Whose it is, and what kind of event led to it.
    clock, event_time
        The symbol's clock, and the newest liquidation or price of the symbol so far, in microseconds.
    velocity, acceleration, jerk
        Liquidations a second, and its first and second derivative by time in seconds.
    volume_usd
        US dollars a second.
    recent
        Whether there was a liquidation in the minute up to the clock.
    correlation, leader
        How alike the venues move (-1 to 1), and the one with the most liquidations.

    """

    symbol: str
    trigger: Trigger
    clock: int
    event_time: int
    velocity: float
    acceleration: float
    jerk: float
    volume_usd: float
    recent: bool
    correlation: float
    leader: str | None


def silence(symbol: str, clock: int, event_time: int) -> Measurement:
    """Return what is measured of a symbol that had no liquidation for so long that no window counts one."""
    return Measurement(symbol, "context", clock, event_time, 0.0, 0.0, 0.0, 0.0, False, 0.0, None)


class PositioningReading(Struct, frozen=True, gc=False):
    """Open interest and funding of a symbol over its venues; times in microseconds, None without data.

    Attributes
    ----------
    time
        The newest of the two times below.
    open_interest_usd
        Sum over the venues.
    change_1m, change_5m
        Its change over 1 and 5 minutes, over venues known then and now, as a fraction.
    rate
        Funding rate, a fraction per 8 hours.
    open_interest_time, funding_time
        When the newest value of each was measured.

    """

    time: int
    open_interest_usd: float | None
    change_1m: float | None
    change_5m: float | None
    rate: float | None
    open_interest_time: int | None
    funding_time: int | None


class VolatilityReading(NamedTuple):
    """A price that counts, and what was found about its symbol's volatility, for the stages after.

    Attributes
    ----------
    time
        The price's, in microseconds.
    price, volume_usd, spread_bps, exchange
        The price itself.
    anew
        Whether it shows that all prices before it were wrong.
    whole
        Whether a second began with it, so that the judgement is new.
    judgement
        Regime, volatilities, risk multiplier and the rest as of the beginning of the second.

    """

    time: int
    price: float
    volume_usd: float | None
    spread_bps: float | None
    exchange: str
    anew: bool
    whole: bool
    judgement: Judgement
