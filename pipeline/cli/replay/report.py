"""What a replay says at its end: rows used and refused, signals by level, the busiest day, speed."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pipeline import contract
from pipeline.messages import LEVELS, DeadLetter, Signal
from pipeline.signals.levels import ALERT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.cli.recorded.recordings import Recordings
    from pipeline.features.event import Output

SKIPPED: Final = {
    "repeated_liquidations": "repeats among the used liquidations",
    "late_liquidations": "too late among the used liquidations",
    "forgotten_liquidations": "liquidations forgotten before their repeats could come",
    "late_prices": "too late among the used prices",
    "doubted_prices": "not believed among the used prices",
    "ignored_positioning": "too late among the used open interest and funding, or of a venue too many",
}
"""What the engine's counts of messages that changed nothing mean."""


class SignalCounts:
    """Counts of what came out of a replay; `skipped` is what the engine says of it at the end."""

    def __init__(self) -> None:
        self.by_level: Counter[str] = Counter()
        self.alerts_by_day: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()

    def add(self, output: Output) -> None:
        """Count one output."""
        body = output.body
        if output.topic == contract.SIGNALS and isinstance(body, Signal):
            self.by_level[body.signal] += 1
            if body.signal_level >= ALERT:
                self.alerts_by_day[datetime.fromtimestamp(body.timestamp, UTC).date().isoformat()] += 1
        elif isinstance(body, DeadLetter):
            self.refused[body.reason] += 1


def report(recordings: Recordings, counts: SignalCounts | None, seconds: float) -> Iterator[tuple[str, str]]:
    """Yield the lines of the closing table: what, and how much.

    Parameters
    ----------
    recordings
        What was read.
    counts
        What came of it, None when it went to a running pipeline.
    seconds
        How long it took.

    """
    used = recordings.used
    yield "rows", f"{recordings.done:,}"
    yield from ((f"used: {topic}", f"{used[topic]:,}") for topic in contract.FEEDS if used[topic])
    for (file, reason), count in sorted(recordings.refused.items()):
        yield f"refused: {file}: {reason}", f"{count:,}"
    if counts is not None:
        yield from _outcome(counts)
    yield "events a second", f"{used.total() / seconds:,.0f}"


def _outcome(counts: SignalCounts) -> Iterator[tuple[str, str]]:
    skipped = counts.skipped
    yield from ((text, f"{skipped[name]:,}") for name, text in SKIPPED.items() if skipped[name])
    yield from ((f"refused among the used: {reason}", f"{n:,}") for reason, n in counts.refused.items())
    yield "signals", f"{counts.by_level.total():,}"
    yield from ((f"signals: {level}", f"{counts.by_level[level]:,}") for level in LEVELS)
    if counts.alerts_by_day:
        day, count = max(counts.alerts_by_day.items(), key=lambda item: (item[1], item[0]))
        yield "busiest day", f"{day} ({count:,} signals of ALERT and above)"
