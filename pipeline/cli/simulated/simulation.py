"""A simulated market: calm, build-up, a cascade that spreads, recovery. Deterministic for a seed."""

from __future__ import annotations

from itertools import chain, count
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline import contract
from pipeline.cli.simulated.dynamics import STEP_MS, STEP_S, Dynamics
from pipeline.cli.simulated.scenario import COINS, USUAL_S, Phase, Tick, rate_curve, schedule
from pipeline.cli.simulated.warmup import warm_up

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUND_S: Final = 300.0
"""Seconds from one cascade to the next of a market without an end."""
RETURN_ROUNDS: Final = 6
"""In so many rounds prices and open interest of such a market come back by e to where they began."""
_ORDER: Final = {topic: place for place, topic in enumerate(contract.INPUTS)}


class Market:
    """A market that lives through one cascade.

    Parameters
    ----------
    seconds
        How long it is played, 20 to 86400; every phase takes its share.
    seed
        The same seed gives the same market.

    Attributes
    ----------
    phases
        What happens when, in seconds since the start.
    onset
        When the cascade truly begins, in seconds since the start.

    """

    def __init__(self, seconds: float = USUAL_S, seed: int = 1) -> None:
        self.seconds = seconds
        self.seed = seed
        self.phases = schedule(seconds)
        self.onset = self.phases[2].begin
        self.symbols = tuple(coin.symbol for coin in COINS)
        self._curve = rate_curve(self.phases)

    def phase_at(self, second: float) -> Phase:
        """Return the phase at a time since the start; before it the first, after the end the last."""
        return next((phase for phase in self.phases if second < phase.end), self.phases[-1])

    def warm_up(self, start: float) -> Iterator[Tick]:
        """Yield what happened before `start` (Unix seconds), so that volatility and regime are known."""
        return warm_up(start, np.random.default_rng([self.seed, 0]))

    def play(self, start: float) -> Iterator[Tick]:
        """Yield the market from `start` (Unix seconds) on, in the order of time."""
        return self._round(self._dynamics(), start)

    def repeat(self, start: float) -> Iterator[Tick]:
        """Yield it for ever, one cascade after the other; prices go on from where they were."""
        dynamics = self._dynamics(pull=1 / (RETURN_ROUNDS * self.seconds))
        for number in count():
            yield from self._round(dynamics, start + number * self.seconds)

    def _dynamics(self, pull: float = 0.0) -> Dynamics:
        return Dynamics(np.random.default_rng([self.seed, 1]), self._lags(), pull)

    def _round(self, dynamics: Dynamics, start: float) -> Iterator[Tick]:
        start_ms = round(start * 1000)
        for step in range(round(self.seconds / STEP_S)):
            second = step * STEP_S
            phase = self.phase_at(second)
            target = float(np.exp(np.interp(second, *self._curve)))
            dynamics.advance(phase, target)
            yield from _sorted(dynamics.ticks(phase, step * STEP_MS, start_ms))

    def _lags(self) -> list[int]:
        return [round(coin.lag * self.phases[2].length / STEP_S) for coin in COINS]


def simulate(seconds: float = USUAL_S, seed: int = 1, start: float = 1_760_000_000.0) -> Iterator[Tick]:
    """Yield a whole simulated market, its past first, in the order of time."""
    market = Market(seconds, seed)
    return chain(market.warm_up(start), market.play(start))


def _sorted(ticks: Iterator[Tick]) -> list[Tick]:
    return sorted(ticks, key=lambda item: (item.time, _ORDER[item.topic]))
