"""The order over topics: records of one partition's topics, merged by their timestamps.

A liquidation and a price lie on different topics, and nothing but time says which came first. After an
outage the small topics are read in one go while the large ones lag: without an order a symbol's clock would
run ahead of its liquidations. So records pass on in the order of their timestamps as far as it can be known,
as in Kafka Streams (`max.task.idle.ms`): a record waits while an older one may still lie on the broker.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

FRESH_MS: Final = 5_000
"""A record younger than this is live: it never waits for what has not been sent yet."""
PAUSE: Final = 1.0
"""Seconds without any record after which the next ones count as a new beginning."""

_time: Final = attrgetter("timestamp")


class Source:
    """The records of one topic that wait for their turn; their own order is never changed.

    Attributes
    ----------
    settle
        Seconds for which the topic has to bring nothing before an old record stops waiting for it.
    arrived, newest
        When the last record came (monotonic seconds), and its timestamp (milliseconds).

    """

    __slots__ = ("arrived", "newest", "settle", "topic", "waiting")

    def __init__(self, topic: str, settle: float, now: float) -> None:
        self.topic = topic
        self.settle = settle
        self.arrived = now
        self.newest = -math.inf
        self.waiting: deque[Any] = deque()

    def take(self, horizon: float) -> list[Any]:
        """Hand out what comes before the first record that is newer than the horizon, in milliseconds."""
        waiting = self.waiting
        if horizon == math.inf:
            taken = list(waiting)
            waiting.clear()
            return taken
        taken = []
        while waiting and waiting[0].timestamp <= horizon:
            taken.append(waiting.popleft())
        return taken


class Merge:
    """Merges the topics of one partition.

    Parameters
    ----------
    settle
        Topics in the order in which records of the same millisecond are to pass, with their seconds to
        settle.
    now
        The current monotonic time, in seconds.
    unawaited
        Topics that nothing waits for.

    """

    def __init__(self, settle: Mapping[str, float], now: float, unawaited: Collection[str] = ()) -> None:
        self.sources = {topic: Source(topic, seconds, now) for topic, seconds in settle.items()}
        self._awaited = [source for topic, source in self.sources.items() if topic not in unawaited]
        self._began = self._arrived = now

    @property
    def waiting(self) -> int:
        """How many records wait."""
        return sum(len(source.waiting) for source in self.sources.values())

    def add(self, topic: str, records: Sequence[Any], now: float) -> None:
        """Take records of a topic as they were fetched."""
        if now - self._arrived > PAUSE:
            self._began = now
        source = self.sources[topic]
        source.arrived = self._arrived = now
        source.newest = records[-1].timestamp
        source.waiting.extend(records)

    def release(self, caught_up: Callable[[str], bool], now: float, wall_ms: float) -> list[Any]:
        """Return the records whose turn has come.

        Parameters
        ----------
        caught_up
            Tells of a topic whether everything on the broker has been fetched, as far as is known.
        now, wall_ms
            Monotonic time in seconds, and the time of day in milliseconds.

        """
        heads = [source.waiting[0].timestamp for source in self.sources.values() if source.waiting]
        if not heads:
            return []
        fresh = wall_ms - min(heads) < FRESH_MS
        horizon = min(
            (
                source.newest - 1
                for source in self._awaited
                if not (caught_up(source.topic) and (fresh or self._is_quiet(source, now)))
            ),
            default=math.inf,
        )
        parts = [part for source in self.sources.values() if (part := source.take(horizon))]
        return parts[0] if len(parts) == 1 else list(heapq.merge(*parts, key=_time))

    def _is_quiet(self, source: Source, now: float) -> bool:
        """Tell whether a topic has brought nothing for long enough, counted from where others began."""
        return now - max(source.arrived, self._began) >= source.settle
