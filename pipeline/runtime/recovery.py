"""Faust's recovery of tables, which ends in silence when a broker is slow to answer."""

from __future__ import annotations

import asyncio
from typing import Any

from faust.tables import recovery
from mode.utils.times import want_seconds


class RecoveryStuckError(Exception):
    """The broker did not answer while state was being recovered."""


class Recovery(recovery.Recovery):
    """Recovery that fails when a step takes too long.

    Faust (0.15) takes a step that timed out for the order to stop: the worker would stay a member of its
    group, with partitions that it never reads.
    """

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(None if timeout is None else want_seconds(timeout)):
                await super()._wait(coro)
        except TimeoutError:
            raise RecoveryStuckError(
                f"no answer from the broker for {want_seconds(timeout):.0f} s while state was being "
                "recovered: is its group coordinator there? Restart the worker"
            ) from None
