"""The order over topics: records of one partition's topics, merged by their timestamps.

A liquidation and a price lie on different topics, and nothing but time says which came first. After an
outage the small topics are read in one go while the large ones lag: without an order a symbol's clock would
run ahead of its liquidations. So records pass on in the order of their timestamps as far as it can be known,
as in Kafka Streams (`max.task.idle.ms`): a record waits while an older one may still lie on the broker.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FRESH_MS: Final = 5_000
"""A record younger than this is live: it never waits for what has not been sent yet."""
PAUSE: Final = 1.0
"""Seconds without any record after which the next ones count as a new beginning."""
LONGEST_QUEUE: Final = 2_000
LARGEST_QUEUE: Final = 8 << 20
"""Records of one topic that may wait, and their bytes; more are not fetched."""


class Source:
    """The records of one topic that wait for their turn; their own order is never changed.

    What lies behind a record waits for it, so in the queue each counts as being as old as the newest before
    it: one wrong timestamp holds nothing up for ever.

    Attributes
    ----------
    settle
        Seconds for which the topic has to bring nothing before an old record stops waiting for it.
    arrived, last
        When the last record came (monotonic seconds), and its timestamp (milliseconds).
    waiting, size
        The records that wait, each with its place in time, and their bytes.

    """

    __slots__ = ("arrived", "last", "settle", "size", "topic", "waiting")

    def __init__(self, topic: str, settle: float, now: float) -> None:
        self.topic = topic
        self.settle = settle
        self.arrived = now
        self.last = -math.inf
        self.waiting: deque[tuple[float, Any]] = deque()
        self.size = 0

    @property
    def is_full(self) -> bool:
        """Whether no more are to be fetched before some of them have passed."""
        return len(self.waiting) >= LONGEST_QUEUE or self.size >= LARGEST_QUEUE

    def add(self, records: Sequence[Any], now: float) -> None:
        """Take records as they were fetched."""
        time = self.waiting[-1][0] if self.waiting else -math.inf
        for record in records:
            if record.timestamp > time:  # noqa: PLR1730 - for each record, and `max` takes longer
                time = record.timestamp
            self.waiting.append((time, record))
            self.size += len(record.value or b"")
        self.arrived, self.last = now, records[-1].timestamp

    @property
    def reach(self) -> float:
        """The time up to which this topic is known: nothing older can still come, in milliseconds."""
        if self.is_full:
            return self.waiting[-1][0]
        return (self.waiting[-1][0] if self.waiting else self.last) - 1

    def take(self, horizon: float) -> list[Any]:
        """Hand out what is at most as new as the horizon, in milliseconds."""
        waiting = self.waiting
        if waiting and waiting[-1][0] <= horizon:
            taken = [record for _, record in waiting]
            waiting.clear()
            self.size = 0
            return taken
        taken = []
        while waiting and waiting[0][0] <= horizon:
            record = waiting.popleft()[1]
            taken.append(record)
            self.size -= len(record.value or b"")
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

    """

    def __init__(self, settle: Mapping[str, float], now: float) -> None:
        self.sources = {topic: Source(topic, seconds, now) for topic, seconds in settle.items()}
        self._ranked = list(self.sources.values())
        self._awaited = self._ranked
        self._began = self._arrived = now

    @property
    def waiting(self) -> int:
        """How many records wait."""
        return sum(len(source.waiting) for source in self._ranked)

    def add(self, topic: str, records: Sequence[Any], now: float) -> None:
        """Take records of a topic as they were fetched."""
        if now - self._arrived > PAUSE:
            self._began = now
        self._arrived = now
        self.sources[topic].add(records, now)

    def await_no_more(self, topic: str) -> None:
        """Let nothing wait for a topic from now on."""
        self._awaited = [source for source in self._awaited if source.topic != topic]

    def release(self, caught_up: Callable[[str], bool], now: float, wall_ms: float) -> list[Any]:
        """Return the records whose turn has come.

        Parameters
        ----------
        caught_up
            Tells of a topic whether everything on the broker has been fetched, as far as is known.
        now, wall_ms
            Monotonic time in seconds, and the time of day in milliseconds.

        """
        filled = [source for source in self._ranked if source.waiting]
        if not filled:
            return []
        fresh = wall_ms - min(source.waiting[0][0] for source in filled) < FRESH_MS
        unsettled = [
            source
            for source in self._awaited
            if not (caught_up(source.topic) and (fresh or self._is_quiet(source, now)))
        ]
        released: list[Any] = []
        while filled:
            first = min(filled, key=_head)  # of equal ones the first in rank
            part = first.take(self._horizon(first, filled, unsettled))
            if not part:
                break
            released += part
            filled = [source for source in filled if source.waiting]
        return released

    def _horizon(self, first: Source, filled: list[Source], unsettled: list[Source]) -> float:
        """Return the time up to which a topic's records may pass: others' turn, or what may yet come."""
        place = filled.index(first)
        before = [_head(source) - 1 for source in filled[:place]]  # at the same time they pass first
        after = [_head(source) for source in filled[place + 1 :]]
        reaches = [source.reach for source in unsettled if source is not first]
        return min(chain(before, after, reaches), default=math.inf)

    def _is_quiet(self, source: Source, now: float) -> bool:
        """Tell whether a topic has brought nothing for long enough, counted from where others began."""
        return now - max(source.arrived, self._began) >= source.settle


def _head(source: Source) -> float:
    return source.waiting[0][0]
