"""The regime stage: prices of the reference symbol in, market regime and market-wide context out."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from msgspec import Struct

from pipeline.contract import CONTEXT, PRICES, REGIME, REGIME_HISTORY_LENGTH
from pipeline.features.closes import Closes
from pipeline.features.ladder import REGIMES
from pipeline.features.stage import Stage
from pipeline.features.state import State
from pipeline.features.turnover import Turnover
from pipeline.messages import SECOND, Context, Price, RegimeContext, RegimeUpdate, rounded_if_known, seconds
from pipeline.signals.liquidity import Liquidity, LiquidityConstants, judge_liquidity
from pipeline.signals.market import Consequences, MarketConstants, consequences, market_level, thresholds
from pipeline.signals.trend import Trend, TrendConstants, judge_trend

if TYPE_CHECKING:
    from pipeline.features.event import Event
    from pipeline.features.measurements import VolatilityReading
    from pipeline.features.states import States


class RegimeConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the market regime is judged: its liquidity, its trend, and what follows."""

    liquidity: LiquidityConstants = LiquidityConstants()
    trend: TrendConstants = TrendConstants()
    market: MarketConstants = MarketConstants()


SEED: Final = RegimeConstants()


class _Market(NamedTuple):
    """The market as of a second that has just begun."""

    level: int
    changed: bool
    liquidity: Liquidity
    volume_percentile: float | None


class RegimeState(State):
    """What is known of the market, read from the reference symbol.

    Attributes
    ----------
    level
        The market regime's place in `REGIMES`; None before the first price.
    since
        When it began, in microseconds.
    changes
        The newest 100 changes: when, in microseconds, and to which level.

    """

    __slots__ = ("_closes", "_constants", "_follows", "_sequence", "_turnover", "changes", "level", "since")

    def __init__(self, constants: RegimeConstants) -> None:
        super().__init__()
        self._constants = constants
        self._turnover = Turnover(constants.liquidity.least_history)
        self._closes = Closes()
        self._sequence = 0
        self._follows: dict[tuple[int, Liquidity, Trend], Consequences] = {}  # of what was asked for
        self.level: int | None = None
        self.since = 0
        self.changes: deque[tuple[int, int]] = deque(maxlen=REGIME_HISTORY_LENGTH)

    def fold(self, event: Event, reading: VolatilityReading) -> None:
        """Take a price; with the first one of a second, judge the market, note the context and send both."""
        second = reading.time // SECOND
        self._turnover.add(reading.volume_usd, reading.spread_bps)
        self._closes.add(second, reading.price)
        if reading.whole:
            market = self._judge(second, reading)
            self._sequence += 1
            event.context = self._context(event.symbol, reading, market)
            if REGIME in event.told:
                event.send(REGIME, event.symbol, self._update(event.symbol, reading, market))
            event.send(CONTEXT, event.symbol, event.context)

    def _judge(self, second: int, reading: VolatilityReading) -> _Market:
        turnover = self._turnover.read(second)
        liquidity = judge_liquidity(turnover, self._constants.liquidity)
        level = market_level(reading.judgement.level, liquidity)
        changed = self._enter(level, reading.time)
        return _Market(level, changed, liquidity, turnover.percentile)

    def _follow(self, level: int, liquidity: Liquidity, trend: Trend) -> Consequences:
        known = self._follows.get((level, liquidity, trend))
        if known is None:
            known = consequences(level, liquidity, trend, self._constants.market)
            self._follows[level, liquidity, trend] = known
        return known

    def _enter(self, level: int, time: int) -> bool:
        """Note the level at a time; tell whether it is another than before."""
        before = self.level
        if level == before:
            return False
        self.level, self.since = level, time
        if before is None:
            return False
        self.changes.append((time, level))
        return True

    def _context(self, symbol: str, reading: VolatilityReading, market: _Market) -> Context:
        judgement, follows = reading.judgement, thresholds(market.level, self._constants.market)
        return Context(  # by position, in the order of its fields: by name it takes far longer
            symbol,
            seconds(reading.time),
            self._sequence,
            reading.price,
            judgement.regime,
            REGIMES[market.level],
            judgement.risk_multiplier,
            follows.cascade_sensitivity,
            follows.velocity_multiplier,
            judgement.warming,
        )

    def _update(self, symbol: str, reading: VolatilityReading, market: _Market) -> RegimeUpdate:
        trend = judge_trend(self._closes.direction(), self._constants.trend)
        follows = self._follow(market.level, market.liquidity, trend)
        return RegimeUpdate(  # by position, as above
            seconds(reading.time),
            REGIMES[market.level],
            follows.confidence,
            reading.judgement.regime,
            market.liquidity,
            trend,
            market.changed,
            seconds(reading.time - self.since),
            follows.thresholds,
            RegimeContext(
                reading.price,
                rounded_if_known(market.volume_percentile, 6),
                rounded_if_known(reading.judgement.percentile, 6),
            ),
            follows.adjustments,
            symbol,
            self._sequence,
        )

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return [
            self._turnover.freeze(),
            self._closes.freeze(),
            self._sequence,
            self.level,
            self.since,
            list(self.changes),
        ]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        turnover, closes, self._sequence, self.level, self.since, changes = frozen
        self._turnover.thaw(turnover)
        self._closes.thaw(closes)
        self.changes.extend((time, level) for time, level in changes)


class RegimeStage(Stage[RegimeState]):
    """Read the market regime from the reference symbol's prices, and tell every partition of it.

    Each second that brings a price (with bars, each bar) sends the regime, and the context that later
    stages and other partitions judge by. A regime can change only then, so a change is sent at once.

    Parameters
    ----------
    reference
        The reference symbol; prices of others are none of this stage's concern.
    constants
        How the market regime is judged.

    """

    table: ClassVar[str] = "regime"
    topics: ClassVar[frozenset[str]] = frozenset((PRICES,))

    def __init__(self, reference: str, constants: RegimeConstants = SEED) -> None:
        self._reference = reference
        self._constants = constants

    def new(self, key: str) -> RegimeState:  # noqa: ARG002
        """Return the state of a market without prices."""
        return RegimeState(self._constants)

    def step(self, event: Event, states: States[RegimeState]) -> None:
        """Fold a price of the reference symbol that the volatility stage let count."""
        if event.symbol != self._reference or not isinstance(event.message, Price):
            return
        state = states.open(event)
        if state is not None and event.volatility is not None:
            state.fold(event, event.volatility)
