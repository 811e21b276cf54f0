"""What a demo says at its end: signals by level, times, and the onset against the first warnings."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from pipeline.cli.output import counted
from pipeline.messages import LEVELS
from pipeline.signals.levels import ALERT, CRITICAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Times(Struct):
    """Milliseconds from a liquidation to where its signal was read; null when there was none."""

    count: int
    p50_ms: float | None
    p99_ms: float | None


class Summary(Struct, kw_only=True):
    """A demo's outcome; times after the onset are negative for a warning that came before it.

    `symbols` maps each symbol to the highest level that it reached; `first_signal_s` is the time from the
    demo's start to its first signal.
    """

    seconds: float
    seed: int
    events: int
    signals: dict[str, int]
    event_to_kafka: Times
    event_to_redis: Times
    onset: float
    first_alert_after_onset_s: float | None
    first_critical_after_onset_s: float | None
    symbols: dict[str, str]
    first_signal_s: float | None
    dead_letters: int


class Tally:
    """Counts the signals of a demo, and how long they took.

    Parameters
    ----------
    opened
        Unix seconds at which the market opened: what is older belongs to its past and is not counted.
    onset
        Unix seconds at which the cascade began.

    """

    def __init__(self, opened: float, onset: float) -> None:
        self.opened = opened
        self.onset = onset
        self.levels: Counter[str] = Counter()
        self.highest: dict[str, int] = {}
        self.first: dict[int, float] = {}
        self.to_kafka_ms: list[float] = []
        self.to_redis_ms: list[float] = []

    def add_signal(self, message: Mapping[str, Any], received: float) -> None:
        """Count a signal read from Kafka at `received` (Unix seconds)."""
        if message["timestamp"] < self.opened:
            return
        level = message["signal_level"]
        self.levels[message["signal"]] += 1
        self.highest[message["symbol"]] = max(level, self.highest.get(message["symbol"], 0))
        for reached in range(1, level + 1):
            self.first[reached] = min(message["timestamp"], self.first.get(reached, float("inf")))
        self._measure(self.to_kafka_ms, message, received)

    def add_published(self, message: Mapping[str, Any], received: float) -> None:
        """Count a signal heard from Redis at `received` (Unix seconds)."""
        self._measure(self.to_redis_ms, message, received)

    def _measure(self, times: list[float], message: Mapping[str, Any], received: float) -> None:
        happened = message["meta"]["event_timestamp"]
        # A signal that a price or the context brought about has a clock that is not its newest event's.
        if happened == message["timestamp"] >= self.opened:
            times.append((received - happened) * 1000)

    def after_onset(self, level: int) -> float | None:
        """Return the seconds from the onset to the first signal of a level, negative when it led."""
        first = self.first.get(level)
        return None if first is None else round(first - self.onset, 3)

    def summarise(self, **known: Any) -> Summary:
        """Return the summary, given what the signals do not tell."""
        return Summary(
            **known,
            signals={level: self.levels[level] for level in LEVELS},
            event_to_kafka=times(self.to_kafka_ms),
            event_to_redis=times(self.to_redis_ms),
            onset=round(self.onset, 3),
            first_alert_after_onset_s=self.after_onset(ALERT),
            first_critical_after_onset_s=self.after_onset(CRITICAL),
            symbols={symbol: LEVELS[level] for symbol, level in sorted(self.highest.items())},
        )


def times(milliseconds: Sequence[float]) -> Times:
    """Return the count, the median and the 99th percentile."""
    if not milliseconds:
        return Times(0, None, None)
    p50, p99 = np.percentile(milliseconds, [50, 99])
    return Times(len(milliseconds), round(float(p50), 1), round(float(p99), 1))


def summary_lines(summary: Summary) -> Iterator[str]:
    """Yield the summary as lines that a person would paste into a chat."""
    counts = ", ".join(f"{summary.signals[level]} {level}" for level in LEVELS[::-1])
    yield (
        f"cascade demo, {summary.seconds:g} s, seed {summary.seed}: {summary.events:,} events,"
        f" {sum(summary.signals.values()):,} signals ({counts})"
    )
    yield f"event to Kafka: {_spread(summary.event_to_kafka)}; to Redis: {_spread(summary.event_to_redis)}"
    yield (
        f"the cascade's onset: first ALERT {_lag(summary.first_alert_after_onset_s)},"
        f" first CRITICAL {_lag(summary.first_critical_after_onset_s)}"
    )
    yield "highest: " + ", ".join(f"{symbol} {level}" for symbol, level in summary.symbols.items())
    if summary.first_signal_s is not None:
        yield f"first signal {summary.first_signal_s:.1f} s after starting"
    if summary.dead_letters:
        yield f"{counted(summary.dead_letters, 'dead letter')}: something is wrong"


def _spread(measured: Times) -> str:
    if measured.p50_ms is None:
        return "nothing came"
    return f"p50 {measured.p50_ms:.1f} ms, p99 {measured.p99_ms:.1f} ms"


def _lag(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return f"{abs(seconds):.2f} s {'before' if seconds < 0 else 'after'} it"
