"""The past of the simulated market: a calm day, so that volatility, liquidity and trend are known at once.

The reference symbol is quoted once a minute for a day; in its last minutes every symbol is quoted once a
second, by its first venue, and open interest and funding are known.
"""

from __future__ import annotations

from heapq import merge
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline import contract
from pipeline.cli.simulated.scenario import COINS, VENUE_SHARES, VENUES, Coin, Floats, Tick, tick

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY_S: Final = 86_400
MINUTES_S: Final = 420
"""Seconds with a price each: volatility over five minutes needs four of them covered."""
INTEREST_EVERY_S: Final = 10
FUNDING_EVERY_S: Final = 60
VOLATILITY: Final = 0.0003
"""Standard deviation of the reference's log return over one second."""
TURBULENT_S: Final = (-50_000, -40_000)
TURBULENCE: Final = 5
"""When that day was turbulent, and how many times as volatile it was then."""
SPREAD_BPS: Final = 1.5
FUNDING_RATE: Final = 0.0002


def warm_up(start: float, rng: np.random.Generator) -> Iterator[Tick]:
    """Yield the day before `start` (Unix seconds), in the order of time; prices end where it begins."""
    start_ms = round(start * 1000)
    streams = [_day(COINS[0], start_ms, rng)]
    streams += [_last_minutes(coin, start_ms, rng) for coin in COINS]
    streams += [_positioning(coin, start_ms) for coin in COINS]
    return merge(*streams, key=lambda item: item.time)


def _day(coin: Coin, start_ms: int, rng: np.random.Generator) -> list[Tick]:
    moments = np.arange(-DAY_S, -MINUTES_S, 60)
    # A day has quiet and turbulent hours: without them any move would be out of all proportion to it.
    swing = 1 + 0.5 * np.sin(np.linspace(0, 10 * np.pi, len(moments)))
    swing[(moments >= TURBULENT_S[0]) & (moments < TURBULENT_S[1])] *= TURBULENCE
    path = _path(coin, swing * VOLATILITY * np.sqrt(60), rng)
    return _prices(coin, start_ms, moments, path, 60.0, rng)


def _last_minutes(coin: Coin, start_ms: int, rng: np.random.Generator) -> list[Tick]:
    moments = np.arange(-MINUTES_S, 0)
    path = _path(coin, np.full(len(moments), coin.beta * VOLATILITY), rng)
    return _prices(coin, start_ms, moments, path, 1.0, rng)


def _path(coin: Coin, deviations: Floats, rng: np.random.Generator) -> Floats:
    """Return a random walk that ends at the coin's price, and begins there too (a Brownian bridge)."""
    walk = np.cumsum(rng.normal(size=len(deviations)) * deviations)
    bridge: Floats = walk - np.linspace(0, 1, len(walk)) * walk[-1]
    return coin.price * np.exp(bridge)


def _prices(  # noqa: PLR0913, PLR0917
    coin: Coin, start_ms: int, moments: np.ndarray, path: Floats, length_s: float, rng: np.random.Generator
) -> list[Tick]:
    noise = rng.lognormal(0.0, 0.3, len(moments))
    volumes = coin.volume_usd_s * length_s * noise
    spreads = SPREAD_BPS * noise
    return [
        tick(
            contract.PRICES,
            coin.symbol,
            start_ms + moment * 1000,
            VENUES[0],
            price=float(f"{price:.7g}"),
            volume_usd=round(volume, 2),
            spread_bps=round(spread, 2),
        )
        for moment, price, volume, spread in zip(
            moments.tolist(), path.tolist(), volumes.tolist(), spreads.tolist(), strict=True
        )
    ]


def _positioning(coin: Coin, start_ms: int) -> list[Tick]:
    found = []
    for moment in range(-MINUTES_S, 0, INTEREST_EVERY_S):
        now = start_ms + moment * 1000
        for venue, share in zip(VENUES, VENUE_SHARES, strict=True):
            if moment % FUNDING_EVERY_S == 0:
                found.append(tick(contract.FUNDING, coin.symbol, now, venue, rate=FUNDING_RATE))
            usd = round(coin.open_interest_usd * share, 2)
            found.append(tick(contract.OPEN_INTEREST, coin.symbol, now, venue, open_interest_usd=usd))
    return found
