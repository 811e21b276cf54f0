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
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FRESH_MS: Final = 5_000
"""A record younger than this is live: it never waits for what has not been sent yet."""
PAUSE: Final = 1.0
"""Seconds without any record after which the next ones count as a new beginning, unless none has passed since
the last; a record waits no longer for the broker to tell of the other topics once more."""
LONGEST_QUEUE: Final = 2_000
LARGEST_QUEUE: Final = 8 << 20
"""Records of one topic that may wait, and their bytes; more are not fetched."""


class Queue:
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


class _Look(NamedTuple):
    newest: float
    now: float
    wall_ms: float


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
        self.queues = {topic: Queue(topic, seconds, now) for topic, seconds in settle.items()}
        self._ranked = list(self.queues.values())
        self._awaited = self._ranked
        self._began = self._arrived = now
        self._passed = False
        self._looks: deque[_Look] = deque()
        self._looked_to = self._certain = -math.inf

    @property
    def waiting(self) -> int:
        """How many records wait."""
        return sum(len(queue.waiting) for queue in self._ranked)

    def add(self, topic: str, records: Sequence[Any], now: float) -> None:
        """Take records of a topic as they were fetched."""
        if now - self._arrived > PAUSE and (self._passed or not self.waiting):
            self._began, self._passed = now, False
        self._arrived = now
        self.queues[topic].add(records, now)

    def await_no_more(self, topic: str) -> None:
        """Let nothing wait for a topic from now on."""
        self._awaited = [queue for queue in self._awaited if queue.topic != topic]

    def release(
        self,
        caught_up: Callable[[str], bool],
        now: float,
        wall_ms: float,
        answered: Callable[[str], float] = lambda _topic: math.inf,
    ) -> list[Any]:
        """Return the records whose turn has come.

        Parameters
        ----------
        caught_up
            Tells of a topic whether everything on the broker has been fetched, as far as is known.
        now, wall_ms
            Monotonic time in seconds, and the time of day in milliseconds.
        answered
            Tells of a topic when the broker last told of it, as the time of day in milliseconds.

        """
        filled = [queue for queue in self._ranked if queue.waiting]
        if not filled:
            return []
        fresh = wall_ms - min(queue.waiting[0][0] for queue in filled) < FRESH_MS
        unsettled = [
            queue
            for queue in self._awaited
            if not (caught_up(queue.topic) and (fresh or self._is_quiet(queue, now)))
        ]
        certain = math.inf
        if not (fresh or any(queue.is_full for queue in filled)):
            told = (answered(queue.topic) for queue in self._awaited if queue not in unsettled)
            certain = self._told_to(min(told, default=math.inf), max(map(_newest, filled)), now, wall_ms)
        released: list[Any] = []
        while filled:
            first = min(filled, key=_head)  # of equal ones the first in rank
            part = first.take(min(certain, self._horizon(first, filled, unsettled)))
            if not part:
                break
            released += part
            filled = [queue for queue in filled if queue.waiting]
        self._passed |= bool(released)
        return released

    def _told_to(self, told_ms: float, newest: float, now: float, wall_ms: float) -> float:
        """Return how new the records are that were here before the broker last told of the other topics.

        It reads the topics of a fetch one after the other. What is written meanwhile to one that it has read
        and then to one that it has not comes in two answers, and the newer first.
        """
        if newest != self._looked_to:
            self._looks.append(_Look(newest, now, wall_ms))
            self._looked_to = newest
        while self._looks and (self._looks[0].wall_ms < told_ms or now - self._looks[0].now > PAUSE):
            self._certain = self._looks.popleft().newest
        return self._certain

    def _horizon(self, first: Queue, filled: list[Queue], unsettled: list[Queue]) -> float:
        """Return the time up to which a topic's records may pass: others' turn, or what may yet come."""
        place = filled.index(first)
        before = [_head(queue) - 1 for queue in filled[:place]]  # at the same time they pass first
        after = [_head(queue) for queue in filled[place + 1 :]]
        reaches = [queue.reach for queue in unsettled if queue is not first]
        return min(chain(before, after, reaches), default=math.inf)

    def _is_quiet(self, queue: Queue, now: float) -> bool:
        """Tell whether a topic has brought nothing for long enough, counted from where others began."""
        return now - max(queue.arrived, self._began) >= queue.settle


def _head(queue: Queue) -> float:
    return queue.waiting[0][0]


def _newest(queue: Queue) -> float:
    return queue.waiting[-1][0]
