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
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

FRESH_MS: Final = 5_000
"""A record younger than this is live: it never waits for what has not been sent yet."""

_key: Final = itemgetter(0)


class Source:
    """The records of one topic that wait for their turn.

    Their order is never changed: a record that is older than the one before it counts as being as old.
    """

    __slots__ = ("arrived", "newest", "settle", "topic", "waiting")

    def __init__(self, topic: str, settle: float, now: float) -> None:
        self.topic = topic
        self.settle = settle
        self.arrived = now
        self.newest = -math.inf
        self.waiting: deque[tuple[float, Any]] = deque()

    def add(self, records: Sequence[Any], now: float) -> None:
        """Take records as they were fetched."""
        self.arrived = now
        for record in records:
            self.newest = max(self.newest, record.timestamp)
            self.waiting.append((self.newest, record))

    def take(self, horizon: float) -> list[tuple[float, Any]]:
        """Hand out what is at most as old as the horizon, in milliseconds."""
        waiting = self.waiting
        if not waiting or waiting[0][0] > horizon:
            return []
        if waiting[-1][0] <= horizon:
            taken = list(waiting)
            waiting.clear()
            return taken
        return [waiting.popleft() for _ in range(sum(key <= horizon for key, _ in waiting))]


class Merge:
    """Merges the topics of one partition.

    Parameters
    ----------
    settle
        Topics in the order in which records of the same millisecond are to pass; for each the seconds for
        which it has to bring nothing before an old record stops waiting for it.
    now
        The current monotonic time, in seconds.
    unawaited
        Topics that nothing waits for.

    """

    def __init__(self, settle: Mapping[str, float], now: float, unawaited: Collection[str] = ()) -> None:
        self.sources = {topic: Source(topic, seconds, now) for topic, seconds in settle.items()}
        self._awaited = [source for topic, source in self.sources.items() if topic not in unawaited]

    @property
    def waiting(self) -> int:
        """How many records wait."""
        return sum(len(source.waiting) for source in self.sources.values())

    def release(self, caught_up: Callable[[str], bool], now: float, wall_ms: float) -> list[Any]:
        """Return the records whose turn has come.

        Parameters
        ----------
        caught_up
            Tells of a topic whether everything on the broker has been fetched, as far as is known.
        now, wall_ms
            Monotonic time in seconds, and the time of day in milliseconds.

        """
        oldest = min(
            (source.waiting[0][0] for source in self.sources.values() if source.waiting), default=None
        )
        if oldest is None:
            return []
        fresh = wall_ms - oldest < FRESH_MS
        horizon = min(
            (
                source.newest - 1
                for source in self._awaited
                if not (caught_up(source.topic) and (fresh or now - source.arrived >= source.settle))
            ),
            default=math.inf,
        )
        parts = [part for source in self.sources.values() if (part := source.take(horizon))]
        merged = parts[0] if len(parts) == 1 else heapq.merge(*parts, key=_key)
        return [record for _, record in merged]
