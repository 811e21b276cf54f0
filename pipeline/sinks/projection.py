"""Patience with Redis: a batch is tried until it is written, while Kafka keeps what comes after it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Literal, TypeVar

import structlog
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import TimeoutError as RedisTimeoutError

from pipeline.sinks.connection import TROUBLE, advise
from pipeline.sinks.plan import Record
from pipeline.sinks.redis import RedisSink

_LONGEST_EXPONENT: Final = 16
"""The backoff computes a power of two that overflows after 1,024 failures, an hour or two without Redis."""

_MOST, _FEWEST = 10_000, 50
"""Records of one write: as many as that, down to so few where Redis, or the way to it, takes too long."""

_T = TypeVar("_T")

_log = structlog.get_logger(__name__)


class Projection:
    """Writes batches to Redis, however long that takes.

    Parameters
    ----------
    sink
        Writes a batch, or raises one of `TROUBLE`.
    longest_wait_s
        Seconds between two tries at most: they grow from a tenth of a second, and are spread at random so
        that workers do not all come back at once.
    now
        The clock, in Unix seconds, for `since`.

    Attributes
    ----------
    state, since
        Whether Redis took what it was last asked to, and since when that is so.
    last_error
        The last trouble and what to do about it; kept when it is over.
    failures
        How many tries failed.

    """

    def __init__(
        self, sink: RedisSink, *, longest_wait_s: float = 5.0, now: Callable[[], float] = time.time
    ) -> None:
        self.sink = sink
        self._now = now
        self._backoff = ExponentialWithJitterBackoff(cap=longest_wait_s, base=0.1)
        self.state: Literal["up", "down"] = "up"
        self.since = now()
        self.last_error: str | None = None
        self.failures = 0
        self._given: set[str] = set()
        self._most = _MOST

    async def begin(self) -> None:
        """Prepare Redis as `project` writes, so that trouble is known before there is anything to write."""
        await self._insist(self.sink.load)
        self._went_well()

    async def project(self, records: Sequence[Record]) -> None:
        """Write a batch: return when it is written, trying until then; may be cancelled at any time."""
        written, asked = 0, False
        while written < len(records):
            count, needed = await self._insist(partial(self._write_some, records[written:]))
            written, asked = written + count, asked or needed
        if asked:
            self._went_well()

    async def _write_some(self, records: Sequence[Record]) -> tuple[int, bool]:
        """Write the first records; return how many, and whether there was anything to write.

        What takes too long would take too long again: the next try is half of it, and later ones grow.
        """
        part = records[: self._most]
        try:
            needed = await self.sink.write(part)
        except RedisTimeoutError:
            self._most = max(len(part) // 2, _FEWEST)
            raise
        self._most = min(self._most + self._most // 8, _MOST)
        return len(part), needed

    async def _insist(self, work: Callable[[], Awaitable[_T]]) -> _T:
        failures = 0
        while True:
            try:
                return await work()
            except TROUBLE as error:
                self._went_wrong(error)
            failures += 1
            self.failures += 1
            await asyncio.sleep(self._backoff.compute(min(failures, _LONGEST_EXPONENT)))

    async def close(self) -> None:
        """Close the sink."""
        await self.sink.close()

    def _went_wrong(self, error: Exception) -> None:
        advice = advise(error)
        self.last_error = f"{error} ({advice})"
        if self.state == "up":
            self._turn("down")
        if advice not in self._given:  # a lost connection may turn out to be a refused password
            self._given.add(advice)
            _log.warning("Redis is not updated, Kafka keeps the rest", error=str(error), advice=advice)

    def _went_well(self) -> None:
        self._given.clear()
        if self.state == "down":
            seconds = round(self._now() - self.since, 1)
            self._turn("up")
            _log.info("Redis is updated again", seconds_down=seconds)

    def _turn(self, state: Literal["up", "down"]) -> None:
        self.state = state
        self.since = self._now()
