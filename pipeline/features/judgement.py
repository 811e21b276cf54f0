"""What to make of a symbol's volatilities: regime, rank within the day, risk multiplier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from msgspec import Meta, Struct

from pipeline.features.ladder import NORMAL, REGIMES, Ladder, LadderConstants
from pipeline.features.ranking import Ranking
from pipeline.features.risk import RiskConstants, dispersion, risk_multiplier

if TYPE_CHECKING:
    from pipeline.features.spans import Volatilities

_JUDGED_SPAN_S: Final = 300


class JudgementConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How volatility is judged.

    Attributes
    ----------
    ladder, risk
        Where regimes begin; factors of the risk multiplier.
    cover
        Share of 5 minutes that prices have to cover before there is a regime.
    least_history
        Values of the last 24 hours that percentile and z-score take.

    """

    ladder: LadderConstants = LadderConstants()
    risk: RiskConstants = RiskConstants()
    cover: Annotated[float, Meta(gt=0, le=1)] = 0.8
    least_history: Annotated[int, Meta(ge=2, le=288)] = 12


class Judgement(NamedTuple):
    """What was found with a price with which a second began.

    Attributes
    ----------
    regime, level
        The volatility regime and its place in `REGIMES`.
    volatility_1m, volatility_5m, volatility_15m, volatility_1h
        In percent, not annualised.
    percentile, z_score
        Of the 5-minute volatility among those of 24 hours; None without history.
    dispersion
        Of volatility / sqrt(span) over the four spans.
    risk_multiplier
        The cascade risk multiplier.
    warming
        Whether prices do not cover enough of 5 minutes yet.

    """

    regime: str
    level: int
    volatility_1m: float
    volatility_5m: float
    volatility_15m: float
    volatility_1h: float
    percentile: float | None
    z_score: float | None
    dispersion: float
    risk_multiplier: float
    warming: bool


class Judge:
    """Judge the volatilities of one symbol, second by second.

    While warming the regime is NORMAL and the risk multiplier that regime's factor: the other terms compare
    spans, and none of them is full. No such value enters the history of 24 hours.
    """

    __slots__ = ("_constants", "_ladder", "_ranking")

    def __init__(self, constants: JudgementConstants) -> None:
        self._constants = constants
        self._ladder = Ladder(constants.ladder)
        self._ranking = Ranking(constants.least_history)

    def judge(self, second: int, start: int, volatilities: Volatilities) -> Judgement:
        """Return what to make of the volatilities at a second; `start` is when prices began to come."""
        due = self._ranking.due(second)
        if second - start < self._constants.cover * _JUDGED_SPAN_S:
            return self._abstain(volatilities)
        judged = volatilities[1]
        level = self._ladder.climb(second, judged)
        percentile, z_score = self._ranking.percentile(judged), self._ranking.z_score(judged)
        if due:
            self._ranking.keep(judged)
        uneven = dispersion(volatilities)
        risk = risk_multiplier(level, volatilities, uneven, percentile, z_score, self._constants.risk)
        return Judgement(REGIMES[level], level, *volatilities, percentile, z_score, uneven, risk, False)

    def _abstain(self, volatilities: Volatilities) -> Judgement:
        self._ladder.leave()
        risk = self._constants.risk.by_regime[NORMAL]
        uneven = dispersion(volatilities)
        return Judgement(REGIMES[NORMAL], NORMAL, *volatilities, None, None, uneven, risk, True)

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return [self._ladder.freeze(), self._ranking.freeze()]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        ladder, ranking = frozen
        self._ladder.thaw(ladder)
        self._ranking.thaw(ranking)
