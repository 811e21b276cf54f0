"""How the simulated market moves from one moment to the next.

Liquidations are a Hawkes process: each one raises the rate of the next ones for a moment. They push the
price down, a falling price liquidates more, and what happens to the reference symbol reaches the others a
little later. All symbols are stepped together, one element of an array each.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline import contract
from pipeline.cli.simulated.scenario import (
    BURST_SIGMA,
    CALM_RATE,
    CASCADE_RATE,
    COINS,
    VENUE_SHARES,
    VENUES,
    Floats,
    Phase,
    Tick,
    tick,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

STEP_MS: Final = 20
STEP_S: Final = STEP_MS / 1000
DECAY_S: Final = 0.25
"""Mean time from a liquidation to those that it causes."""
BURST_STEPS: Final = 12
"""Steps that one burst of the cascade, or lull, lasts."""
PRICE_EVERY: Final = 500
INTEREST_EVERY: Final = 2_000
FUNDING_EVERY: Final = 10_000
"""Milliseconds between messages of one symbol and venue."""
SIZE_SIGMA: Final = 1.3
LARGEST_USD: Final = 2e7
FALL: Final = 0.05
"""Log return of the reference that the liquidations of a typical cascade cause."""
REBOUND: Final = 0.01
"""Log return of the reference over the recovery."""
DELEVERAGING: Final = 0.06
"""Share of the open interest that a typical cascade closes."""
PANIC: Final = 20.0
"""Rise of the rate, as a share of it, for every unit of log return that the price fell in the last second."""

_SHARE: Final = np.array([coin.share for coin in COINS])
_BETA: Final = np.array([coin.beta for coin in COINS])
_PRICE: Final = np.array([coin.price for coin in COINS])
_OPEN_INTEREST: Final = np.array([coin.open_interest_usd for coin in COINS])


class Dynamics:
    """Where the market stands: prices, rates and open interest of all symbols.

    `pull` is the share of their distance from the beginning that prices and open interest lose a second.
    """

    def __init__(self, rng: np.random.Generator, lags: list[int], pull: float = 0.0) -> None:
        self.pull = pull * STEP_S
        self.rng = rng
        self.lags = lags
        self.price = _PRICE
        self.open_interest = _OPEN_INTEREST
        self.excitation = np.zeros(len(COINS))
        self.counts = np.zeros(len(COINS), dtype=np.int64)
        self.long_usd = np.zeros(len(COINS))
        self.burst = 1.0
        self.steps = 0
        self.past_rates = deque([CALM_RATE] * (max(lags) + 1), maxlen=max(lags) + 1)
        self.fall = np.zeros(len(COINS))
        self.liquidated: list[tuple[int, float, bool]] = []

    def advance(self, phase: Phase, target: float) -> None:
        """Move on by one step; `target` is the rate of the reference that the scenario asks for."""
        rates = self._rates(phase, target)
        self.counts = self.rng.poisson(rates * STEP_S)
        decay = np.exp(-STEP_S / DECAY_S)
        self.excitation = self.excitation * decay + phase.branching * self.counts / DECAY_S
        self._liquidate(phase)
        self._move_prices(phase)

    def _rates(self, phase: Phase, target: float) -> Floats:
        self.steps += 1
        if self.steps % BURST_STEPS == 0:
            self.burst = self.rng.lognormal(-(BURST_SIGMA**2) / 2, BURST_SIGMA)
        burst = self.burst if phase.name == "cascade" else 1.0
        # What excitation adds on average is left out of the drive, so that the mean stays on target.
        panic = 1 + np.minimum(PANIC * np.maximum(self.fall, 0.0), 0.5)
        leaders = np.array([self.past_rates[-lag] if lag else target * burst for lag in self.lags])
        drive = (1 - phase.branching) * leaders * _SHARE * panic
        rates: Floats = np.minimum(drive + self.excitation, 5 * CASCADE_RATE * _SHARE)
        self.past_rates.append(float(rates[0]))
        return rates

    def _liquidate(self, phase: Phase) -> None:
        self.liquidated = []
        self.long_usd[:] = 0.0
        for index in np.flatnonzero(self.counts):
            usd = self.rng.lognormal(np.log(phase.size_usd), SIZE_SIGMA, self.counts[index])
            long = self.rng.random(self.counts[index]) < phase.long_share
            usd = np.minimum(usd, LARGEST_USD)
            self.liquidated += [(int(index), *pair) for pair in zip(usd.tolist(), long.tolist(), strict=True)]
            self.long_usd[index] = usd[long].sum() - usd[~long].sum()

    def _move_prices(self, phase: Phase) -> None:
        cascade_usd = CASCADE_RATE * _SHARE * phase.length * _mean_size(phase)
        pushed = self.long_usd / cascade_usd if phase.name == "cascade" else 0.0 * self.long_usd
        common, *own = self.rng.normal(size=len(COINS) + 1) * phase.volatility * np.sqrt(STEP_S)
        rebound = REBOUND * STEP_S / phase.length if phase.name == "recovery" else 0.0
        returns = _BETA * (0.8 * common + 0.6 * np.array(own) + rebound - FALL * pushed)
        back = self.pull * np.log(_PRICE / self.price)
        self.price = self.price * np.exp(returns + back)
        regained = self.pull * np.log(_OPEN_INTEREST / self.open_interest)
        self.open_interest = self.open_interest * np.exp(regained - DELEVERAGING * pushed)
        self.fall = self.fall * (1 - STEP_S) - returns

    def ticks(self, phase: Phase, elapsed_ms: int, start_ms: int) -> Iterator[Tick]:
        """Yield the messages of the step that begins `elapsed_ms` after the start, in no order."""
        yield from self._liquidations(start_ms + elapsed_ms)
        for index, coin in enumerate(COINS):
            for place, venue in enumerate(VENUES):
                now = start_ms + elapsed_ms
                phase_ms = elapsed_ms + STEP_MS * (7 * index + 8 * place)
                if phase_ms % PRICE_EVERY < STEP_MS:
                    yield self._price(index, venue, place, phase, now)
                if phase_ms % INTEREST_EVERY < STEP_MS:
                    usd = round(float(self.open_interest[index]) * VENUE_SHARES[place], 2)
                    yield tick(contract.OPEN_INTEREST, coin.symbol, now, venue, open_interest_usd=usd)
                if phase_ms % FUNDING_EVERY < STEP_MS:
                    rate = round(phase.funding_rate * (1 + 0.1 * place), 6)
                    yield tick(contract.FUNDING, coin.symbol, now, venue, rate=rate)

    def _price(self, index: int, venue: str, place: int, phase: Phase, now: int) -> Tick:
        coin = COINS[index]
        noise = self.rng.lognormal(0.0, 0.2)
        return tick(
            contract.PRICES,
            coin.symbol,
            now,
            venue,
            price=float(f"{self.price[index]:.7g}"),
            volume_usd=round(
                coin.volume_usd_s * VENUE_SHARES[place] * phase.trading * noise * PRICE_EVERY / 1000, 2
            ),
            spread_bps=round(phase.spread_bps * noise * (1 + 0.2 * place), 2),
        )

    def _liquidations(self, now: int) -> Iterator[Tick]:
        moments = self.rng.integers(0, STEP_MS, len(self.liquidated))
        venues = self.rng.choice(len(VENUES), len(self.liquidated), p=VENUE_SHARES)
        for (index, usd, long), moment, venue in zip(
            self.liquidated, moments.tolist(), venues.tolist(), strict=True
        ):
            price = float(f"{self.price[index]:.7g}")
            yield tick(
                contract.LIQUIDATIONS,
                COINS[index].symbol,
                now + moment,
                VENUES[venue],
                side="long" if long else "short",
                price=price,
                quantity=float(f"{usd / price:.8g}"),
            )


def _mean_size(phase: Phase) -> float:
    return phase.size_usd * float(np.exp(SIZE_SIGMA**2 / 2))
