"""What the simulated market is made of: its symbols and venues, its phases, and how violent each is."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

VENUES: Final = ("binance", "bybit", "okx")
VENUE_SHARES: Final = (0.5, 0.3, 0.2)

CASCADE_SHAPE: Final = (2124, 946, 1099, 716, 440, 504, 763, 666, 295)
"""Liquidation fills a sampled second on Hyperliquid on 2025-10-10, 21:16:03 to 21:20:33 UTC, means of 30 s:
one burst (11,279 in its first second), four minutes of bursts, then an end within a minute."""
RECOVERY_SHAPE: Final = (79, 52, 28, 24, 9, 4, 3, 5, 2, 8, 6, 6, 3)
"""The same for the six and a half minutes that followed: down by e every 40 s or so, then after-shocks."""
BURST_SIGMA: Final = 0.8
"""Spread of the logarithm of the rate within those 30 s: their median second has about half their mean."""

CASCADE_RATE: Final = 150.0
"""Liquidations of the reference symbol a second, the cascade's mean."""
CALM_RATE: Final = 1.0
BUILT_UP_RATE: Final = 16.0
"""The same in calm, and when the cascade begins."""
SHORTEST_S: Final = 20.0
USUAL_S: Final = 120.0
"""Long enough for levels to come down again: the wildest minute has to be over, and then a minute more."""


class Tick(NamedTuple):
    """One message of the simulated market; `time` is its timestamp, Unix seconds in whole milliseconds."""

    topic: str
    symbol: str
    message: dict[str, Any]
    time: float


class Coin(NamedTuple):
    """A symbol: price in US dollars, liquidations relative to the reference, and how late it follows it."""

    symbol: str
    price: float
    share: float
    lag: float
    beta: float
    open_interest_usd: float
    volume_usd_s: float


COINS: Final = (
    Coin("BTCUSDT", 64_000, 1.0, 0.0, 1.0, 8.0e9, 250_000),
    Coin("ETHUSDT", 3_200, 0.60, 0.06, 1.2, 5.0e9, 160_000),
    Coin("SOLUSDT", 150, 0.40, 0.12, 1.5, 1.6e9, 60_000),
    Coin("XRPUSDT", 0.52, 0.25, 0.20, 1.3, 0.9e9, 30_000),
    Coin("DOGEUSDT", 0.12, 0.20, 0.28, 1.7, 0.7e9, 20_000),
)
"""The reference symbol first; `lag` is a fraction of the cascade's length."""


class Phase(NamedTuple):
    """A stretch of the scenario, in seconds since its start, and what the market is like in it.

    `branching` is the mean number of liquidations that one liquidation causes; `volatility` the standard
    deviation of the reference's log return over one second; `long_share` that of liquidated longs.
    """

    name: str
    begin: float
    end: float
    branching: float
    volatility: float
    long_share: float
    size_usd: float
    spread_bps: float
    trading: float
    funding_rate: float

    @property
    def length(self) -> float:
        """How many seconds it takes."""
        return self.end - self.begin


_PARTS: Final = (
    # share of the time, then the fields of Phase from `name` on, without the times
    (0.14, "calm", 0.3, 0.00017, 0.55, 4_000, 1.5, 1.0, 0.0002),
    (0.14, "build-up", 0.6, 0.0003, 0.70, 7_000, 2.5, 1.8, 0.0006),
    (0.22, "cascade", 0.8, 0.0025, 0.95, 20_000, 18.0, 7.0, 0.0003),
    (0.50, "recovery", 0.5, 0.0004, 0.60, 8_000, 6.0, 2.5, -0.0001),
)


def schedule(seconds: float) -> tuple[Phase, ...]:
    """Return the phases of a scenario that lasts `seconds`.

    Raises
    ------
    ValueError
        Too short for a cascade to show in windows of ten seconds.
    """
    if not SHORTEST_S <= seconds <= 86_400:  # noqa: PLR2004
        raise ValueError(f"seconds: expected {SHORTEST_S:.0f} to 86400, got {seconds:g}")
    ends = np.cumsum([part[0] for part in _PARTS]) * seconds
    begins = (0.0, *ends[:-1])
    return tuple(
        Phase(name, float(begin), float(end), *rest)
        for (_, name, *rest), begin, end in zip(_PARTS, begins, ends, strict=True)
    )


def rate_curve(phases: tuple[Phase, ...]) -> tuple[Floats, Floats]:
    """Return times, and the logarithms of the reference's liquidations a second there (linear between)."""
    calm, build_up, cascade, recovery = phases
    scale = CASCADE_RATE / float(np.mean(CASCADE_SHAPE))
    times = [0.0, calm.end, build_up.end, *_centres(cascade, CASCADE_SHAPE)]
    rates = [CALM_RATE, CALM_RATE, BUILT_UP_RATE, *(scale * fills for fills in CASCADE_SHAPE)]
    times += _centres(recovery, RECOVERY_SHAPE)
    rates += [CALM_RATE + scale * fills for fills in RECOVERY_SHAPE]
    return np.array(times), np.log(rates)


def _centres(phase: Phase, shape: tuple[int, ...]) -> list[float]:
    width = phase.length / len(shape)
    return [phase.begin + (index + 0.5) * width for index in range(len(shape))]


def tick(topic: str, symbol: str, time_ms: int, venue: str, **fields: Any) -> Tick:
    """Return one message of the simulated market."""
    time = time_ms / 1000
    return Tick(topic, symbol, {"symbol": symbol, "exchange": venue, **fields, "timestamp": time}, time)
