"""Faust's recovery of tables, which ends in silence when a broker is slow to answer."""

from __future__ import annotations

import asyncio
from typing import Any

from faust.tables import recovery
from mode.utils.times import want_seconds


class RecoveryStuckError(Exception):
    """The broker did not answer while state was being recovered."""


class ChangelogLostError(Exception):
    """A changelog ends before what this worker has of it: it was deleted, or lost its end."""


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
                raise ChangelogLostError(
                    f"{tp.topic}-{tp.partition}: it ends at offset {self.active_highwaters[tp]}, and this "
                    f"worker wrote or read up to {destination[tp]}: it was deleted, or lost its end, and "
                    "with it state. Stop all workers, set another PIPELINE_APP_ID and run "
                    "`cascade topics apply`: state is then made again from what the input topics still hold"
                )

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(None if timeout is None else want_seconds(timeout)):
                await super()._wait(coro)
        except TimeoutError:
            raise RecoveryStuckError(
                f"no answer from the broker for {want_seconds(timeout):.0f} s while state was being "
                "recovered: is its group coordinator there? Restart the worker"
            ) from None
