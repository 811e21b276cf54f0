"""What the terminal view knows: the newest of every symbol, of the market, and the last level changes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline import contract

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.messages import Level

SPARK_SECONDS: Final = 24
CHANGES: Final = 6
_RECENT_S: Final = 5
"""Seconds over which the change of a probability is taken for the order."""


class Change(NamedTuple):
    """A symbol went from one level to another; `heard` is when that was heard, in Unix seconds."""

    heard: float
    symbol: str
    before: Level
    after: Level
    probability: float
    reason: str


@dataclass
class SymbolView:
    """The newest of one symbol; `sparks` are its highest probabilities by second."""

    symbol: str
    level: Level = "NONE"
    probability: float = 0.0
    velocity: float = 0.0
    volume_usd: float = 0.0
    long_usd: float = 0.0
    short_usd: float = 0.0
    leading_exchange: str | None = None
    event_timestamp: float = 0.0
    sparks: deque[float] = field(default_factory=lambda: deque(maxlen=SPARK_SECONDS))
    second: int = 0

    @property
    def heat(self) -> tuple[float, float]:
        """What symbols are ordered by: probability, then how much it rose lately."""
        before = self.sparks[-_RECENT_S] if len(self.sparks) >= _RECENT_S else 0.0
        return self.probability, self.probability - before

    def add_spark(self, second: int, probability: float) -> None:
        """Note a probability; seconds without one repeat the last."""
        if self.second and second > self.second:
            missing = min(second - self.second, SPARK_SECONDS)
            self.sparks.extend([self.sparks[-1]] * (missing - 1))
        if second > self.second:
            self.sparks.append(probability)
            self.second = second
        elif self.sparks:
            self.sparks[-1] = max(self.sparks[-1], probability)


class Board:
    """What was heard of the pipeline so far; fed with its messages."""

    def __init__(self) -> None:
        self.symbols: dict[str, SymbolView] = {}
        self.changes: deque[Change] = deque(maxlen=CHANGES)
        self.regime: Mapping[str, Any] | None = None
        self.risk_multiplier = 1.0
        self.warming = True
        self.silent: list[str] = []

    def hear(self, topic: str, message: Mapping[str, Any], heard: float) -> Change | None:
        """Take a message of the pipeline and when it was heard; return the change of level that it brings.

        Symbols' clocks differ by seconds: by them, changes would not be in order.
        """
        if topic == contract.SIGNALS:
            return self._hear_signal(message, heard)
        if topic == contract.VELOCITY:
            self._hear_velocity(message)
        elif topic == contract.REGIME:
            self.regime = message
        return None

    def by_heat(self) -> list[SymbolView]:
        """Return the symbols, hottest first."""
        return sorted(self.symbols.values(), key=lambda view: (*(-heat for heat in view.heat), view.symbol))

    def _view(self, symbol: str) -> SymbolView:
        return self.symbols.setdefault(symbol, SymbolView(symbol))

    def _hear_signal(self, message: Mapping[str, Any], heard: float) -> Change | None:
        view = self._view(message["symbol"])
        before, view.level = view.level, message["signal"]
        view.probability = message["probability"]
        view.velocity = message["metrics"]["velocity"]
        view.volume_usd = message["metrics"]["volume_usd"]
        view.leading_exchange = message["context"]["leading_exchange"]
        view.event_timestamp = message["meta"]["event_timestamp"]
        view.add_spark(int(message["timestamp"]), view.probability)
        self.risk_multiplier = message["context"]["vol_risk_multiplier"]
        self.warming = message["context"]["warming"]
        feeds = message["context"].get("feeds", ())
        self.silent = [gap["exchange"] for gap in feeds if gap["to"] is None]
        if before == view.level:
            return None
        reason = message["meta"]["level_reason"]
        change = Change(heard, view.symbol, before, view.level, view.probability, reason)
        self.changes.append(change)
        return change

    def _hear_velocity(self, message: Mapping[str, Any]) -> None:
        view = self._view(message["symbol"])
        view.long_usd, view.short_usd = message["long_value_usd"], message["short_value_usd"]
        view.velocity, view.volume_usd = message["velocity_10s"], message["volume_usd"]
        view.leading_exchange = message["leading_exchange"]
