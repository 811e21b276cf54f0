"""Faust's recovery of tables, which ends in silence when a broker is slow to answer."""

from __future__ import annotations

import asyncio
from typing import Any

from faust.tables import recovery
from mode.utils.times import want_seconds

from pipeline.runtime.store import ChangelogLostError


class RecoveryStuckError(Exception):
    """The broker did not answer while state was being recovered."""


class Recovery(recovery.Recovery):
    """Recovery that fails when a step takes too long, or a changelog fell behind what is known of it.

    Faust (0.15) takes a step that timed out for the order to stop: the worker would stay a member of its
    group, with partitions that it never reads. It looks for changelogs that fell, but not at those with a
    single record.
    """

    active_highwaters: Any

    async def _build_offsets(self, consumer: Any, tps: Any, destination: Any, title: str) -> None:
        await super()._build_offsets(consumer, tps, destination, title)
        for tp in tps:
            if destination[tp] > self.active_highwaters[tp]:
                raise ChangelogLostError(tp, self.active_highwaters[tp], destination[tp])

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(None if timeout is None else want_seconds(timeout)):
                await super()._wait(coro)
        except TimeoutError:
            raise RecoveryStuckError(
                f"no answer from the broker for {want_seconds(timeout):.0f} s while state was being "
                "recovered: is its group coordinator there? Restart the worker"
            ) from None
