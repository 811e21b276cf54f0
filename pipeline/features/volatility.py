"""The volatility stage: prices in, each symbol's volatility and what to make of it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from msgspec import Meta, Struct

from pipeline.contract import PRICES, VOLATILITY
from pipeline.features.judgement import Judge, Judgement, JudgementConstants
from pipeline.features.measurements import VolatilityReading
from pipeline.features.sampling import Sampler, SamplingConstants
from pipeline.features.spans import RealisedVolatility
from pipeline.features.stage import Stage
from pipeline.features.state import State
from pipeline.messages import SECOND, Price, VolatilityUpdate, rounded, rounded_if_known, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.features.event import Event
    from pipeline.features.states import States


class VolatilityConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How volatility is measured, judged and sent.

    Attributes
    ----------
    sampling, judgement
        Which ticks count; what to make of them.
    refresh_s
        Seconds after which an unchanged state is sent again, lest its Redis keys expire.

    """

    sampling: SamplingConstants = SamplingConstants()
    judgement: JudgementConstants = JudgementConstants()
    refresh_s: Annotated[int, Meta(ge=1, le=59)] = 30


SEED: Final = VolatilityConstants()


class VolatilityState(State):
    """What is known of one symbol's volatility."""

    __slots__ = (
        "_judge",
        "_judgement",
        "_price",
        "_realised",
        "_refresh",
        "_sampler",
        "_sent",
        "_sequence",
        "_volume",
    )

    def __init__(self, constants: VolatilityConstants) -> None:
        super().__init__()
        self._refresh = constants.refresh_s
        self._sampler = Sampler(constants.sampling)
        self._realised = RealisedVolatility()
        self._judge = Judge(constants.judgement)
        # Of the price with which the open second began; before the first one a judgement of nothing.
        self._price = 0.0
        self._judgement = self._judge.judge(0, 0, (0.0, 0.0, 0.0, 0.0))
        self._volume: float | None = None  # USD since the last message
        self._sent = 0  # the second of the last message
        self._sequence = 0

    @property
    def skipped(self) -> Mapping[str, int]:
        """Prices older than the newest of their venue, and prices that are not believed yet or never were."""
        return {"late_prices": self._sampler.late, "doubted_prices": self._sampler.doubted}

    def fold(self, event: Event, tick: Price) -> None:
        """Take a price; note the reading on the event, and send it when a second began.

        Late ticks, ticks of other venues and ticks that are not believed leave no reading.
        """
        time, price, volume, exchange = event.time, tick.price, tick.volume_usd, tick.exchange
        if not self._sampler.accept(exchange, time, price):
            return
        if volume is not None:
            self._volume = volume + (self._volume or 0.0)
        anew = self._sampler.anew
        if anew:
            self._realised = RealisedVolatility()
        second = time // SECOND
        whole = self._realised.move(second, price, self._sampler.start)
        if whole:
            self._begin(event, second, price)
        event.volatility = VolatilityReading(
            time, price, volume, tick.spread_bps, exchange, anew, whole, self._judgement
        )

    def _begin(self, event: Event, second: int, price: float) -> None:
        judgement = self._judge.judge(second, self._sampler.start, self._realised.volatilities())
        before, price_before = self._judgement, self._price
        self._judgement, self._price = judgement, price
        if second == self._sent:
            news = judgement.level != before.level
        else:
            changed = judgement != before or price != price_before or bool(self._volume)
            news = changed or second - self._sent >= self._refresh
        if news:
            self._send(event, second)

    def _send(self, event: Event, second: int) -> None:
        self._sequence += 1
        self._sent = second
        if VOLATILITY in event.told:
            event.send(VOLATILITY, event.symbol, self._update(event))
        self._volume = None

    def _update(self, event: Event) -> VolatilityUpdate:
        found = self._judgement
        return VolatilityUpdate(  # by position, in the order of its fields: by name it takes far longer
            event.symbol,
            seconds(event.time),
            self._price,
            rounded_if_known(self._volume, 6),
            found.regime,
            rounded(found.volatility_1m, 6),
            rounded(found.volatility_5m, 6),
            rounded(found.volatility_15m, 6),
            rounded(found.volatility_1h, 6),
            rounded_if_known(found.percentile, 6),
            rounded_if_known(found.z_score, 6),
            rounded(found.dispersion, 6),
            found.risk_multiplier,
            found.warming,
            self._sequence,
        )

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return [
            self._sampler.freeze(),
            self._realised.freeze(),
            self._judge.freeze(),
            list(self._judgement),
            self._price,
            self._volume,
            self._sent,
            self._sequence,
        ]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        sampler, realised, judge, judgement, self._price, self._volume, self._sent, self._sequence = frozen
        self._sampler.thaw(sampler)
        self._realised.thaw(realised)
        self._judge.thaw(judge)
        self._judgement = Judgement(*judgement)


class VolatilityStage(Stage[VolatilityState]):
    """Fold prices into the volatility of their symbol; note it for the market's regime, and send it."""

    table: ClassVar[str] = "volatility"
    topics: ClassVar[frozenset[str]] = frozenset((PRICES,))
    marked: ClassVar[frozenset[str]] = topics

    def __init__(self, constants: VolatilityConstants = SEED) -> None:
        self._constants = constants

    def new(self, key: str) -> VolatilityState:  # noqa: ARG002
        """Return the state of a symbol without prices."""
        return VolatilityState(self._constants)

    def step(self, event: Event, states: States[VolatilityState]) -> None:
        """Fold a price; other messages are none of this stage's concern."""
        tick = event.message
        if not isinstance(tick, Price):
            return
        state = states.open(event)
        if state is not None:
            state.fold(event, tick)
