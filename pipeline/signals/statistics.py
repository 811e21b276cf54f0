"""Statistics of the signals sent, per worker and over all workers."""

from collections import deque
from collections.abc import Iterable
from typing import Final, TypedDict

from msgspec import Struct

from pipeline.messages import LEVELS, Level, Signal
from pipeline.signals.levels import CRITICAL

RECENT: Final = 10


class RecentSignal(TypedDict):
    """What is shown of a recent signal."""

    symbol: str
    timestamp: float
    signal: Level
    probability: float
    id: str


class StatisticsReport(Struct):
    """Statistics as they are published; CRITICAL counts CRITICAL and above, the rate is a fraction."""

    signals_generated: int
    critical_signals: int
    critical_rate: float
    avg_processing_time_ms: float
    current_weights: dict[str, float]
    recent_signals: list[RecentSignal]


class Statistics:
    """Count what one worker sent.

    Attributes
    ----------
    current_weights
        The weights in force by component name; to be set whenever they change.
    levels
        How many signals of each level were sent, from NONE to EXTREME.

    """

    def __init__(self) -> None:
        self.current_weights: dict[str, float] = {}
        self.levels = [0] * len(LEVELS)
        self._processing_time_ms = 0.0
        self._recent: deque[Signal] = deque(maxlen=RECENT)

    def add(self, signal: Signal) -> None:
        """Count a signal, once its processing time is stamped."""
        self.levels[signal.signal_level] += 1
        self._processing_time_ms += signal.meta.processing_time_ms
        self._recent.append(signal)

    def report(self) -> StatisticsReport:
        """Return the statistics so far, newest signals last."""
        return _report(
            sum(self.levels),
            sum(self.levels[CRITICAL:]),
            self._processing_time_ms,
            self.current_weights,
            [_shown(signal) for signal in self._recent],
        )


def merge(reports: Iterable[StatisticsReport]) -> StatisticsReport:
    """Return the statistics over several workers.

    The average is weighted by the signals of each; the weights are those of the worker that sent last.
    """
    ordered = sorted(reports, key=_last_sent)
    recent = [signal for report in ordered for signal in report.recent_signals]
    return _report(
        sum(report.signals_generated for report in ordered),
        sum(report.critical_signals for report in ordered),
        sum(report.avg_processing_time_ms * report.signals_generated for report in ordered),
        ordered[-1].current_weights if ordered else {},
        sorted(recent, key=lambda signal: signal["timestamp"])[-RECENT:],
    )


def _report(
    generated: int,
    critical: int,
    processing_time_ms: float,
    weights: dict[str, float],
    recent: list[RecentSignal],
) -> StatisticsReport:
    signals = max(generated, 1)
    return StatisticsReport(
        signals_generated=generated,
        critical_signals=critical,
        critical_rate=round(critical / signals, 4),
        avg_processing_time_ms=round(processing_time_ms / signals, 2),
        current_weights=dict(weights),
        recent_signals=recent,
    )


def _shown(signal: Signal) -> RecentSignal:
    return {
        "symbol": signal.symbol,
        "timestamp": signal.timestamp,
        "signal": signal.signal,
        "probability": signal.probability,
        "id": signal.id,
    }


def _last_sent(report: StatisticsReport) -> float:
    return report.recent_signals[-1]["timestamp"] if report.recent_signals else 0.0
