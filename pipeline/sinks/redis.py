"""The Redis side of the contract: batches of output records, each written in one pipeline.

Redis compares and publishes inside one script a key, so writing a batch again, or two workers writing at
the same time, never moves a key backwards and never publishes a signal twice while its key lives.
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError

from pipeline.sinks import scripts
from pipeline.sinks.connection import TROUBLE, Client
from pipeline.sinks.plan import Call, Plan, Record, Rules

_log = structlog.get_logger(__name__)


class RedisSink:
    """Writes output records to Redis.

    Parameters
    ----------
    client
        Made by `connect`.
    rules
        What is projected; the contract's by default.
    now
        The clock, in Unix seconds, that records' ages are taken from.

    Attributes
    ----------
    written, superseded
        Updates of a key that took effect, and those that were not newer than what the key held.
    published
        Signals that went to the channels.
    late
        Signals too old to be published; they still update their keys.
    expired
        Updates older than their key lives, which were left out.
    errors
        Values that are not their topic's message, which were left out.

    """

    def __init__(
        self, client: Client, rules: Rules | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._rules = rules or Rules()
        self._now = now
        self._complained: set[str] = set()
        self.written = 0
        self.superseded = 0
        self.published = 0
        self.late = 0
        self.expired = 0
        self.errors = 0

    async def write(self, records: Sequence[Record]) -> bool:
        """Write a batch of records of the projected topics; safe to repeat.

        Returns whether Redis was asked for anything: what is older than its key lives is left out.

        Raises
        ------
        TROUBLE
            Some or all of it could not be written: repeat the whole batch later.

        """
        plan = Plan(self._rules, self._now())
        for record in records:
            plan.add(record)
        async with self._asking():
            await self._perform(plan.calls)
        self._account(plan)
        return bool(plan.calls)

    async def load(self) -> None:
        """Give Redis the scripts, or raise one of `TROUBLE`."""
        async with self._asking():
            for script in scripts.ALL:
                await self._client.script_load(script.text)

    async def close(self) -> None:
        """Close the connections; that Redis does not take leave in time is no trouble any more."""
        with suppress(*TROUBLE):
            await self._client.aclose()

    async def _perform(self, calls: list[Call]) -> None:
        results = await self._run(calls)
        unknown = [number for number, result in enumerate(results) if isinstance(result, NoScriptError)]
        if unknown:
            await self.load()
            again = await self._run([calls[number] for number in unknown])
            for number, result in zip(unknown, again, strict=True):
                results[number] = result
        for call, result in zip(calls, results, strict=True):
            if not isinstance(result, Exception):
                self._count(call, result)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _run(self, calls: list[Call]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command("EVALSHA", call.script.sha, 1, call.key, *call.arguments)
        return await pipeline.execute(raise_on_error=False)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """Ask Redis for something, which raises one of `TROUBLE` where it does not answer.

        redis-py (8.1) takes a connection for good that was reset while it was idle, and uvloop refuses to
        write to it with a RuntimeError.
        """
        try:
            yield
        except (*TROUBLE, RuntimeError) as error:
            # The next try connects anew: the address may be another server's by now, while the old one goes
            # on as a replica, and a cluster's client asks who holds what only when it starts.
            await self.close()
            if isinstance(error, RuntimeError):
                raise RedisConnectionError(str(error)) from error
            raise

    def _count(self, call: Call, result: list[int]) -> None:
        newer, published = result
        self.written += newer
        self.superseded += call.updates - newer
        self.published += published

    def _account(self, plan: Plan) -> None:
        self.late += plan.late
        self.expired += plan.expired
        self.errors += len(plan.unreadable)
        for topic, error in plan.unreadable:
            if topic not in self._complained:
                self._complained.add(topic)
                _log.error("unreadable records are left out of Redis, and counted", topic=topic, error=error)
