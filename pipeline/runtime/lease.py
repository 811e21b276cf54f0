"""The right to act for a group: lost when the broker has not confirmed it for most of the session timeout.

Kafka refuses the commits of a worker that was taken for dead, but not the records that it produces. A worker
that was stopped (SIGSTOP, a frozen machine, a long collection) has to notice by itself that others may have
taken over, before it sends anything.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_SHARE: Final = 0.8
"""The part of the session timeout after which a lease is not trusted any more."""


class LeaseLostError(Exception):
    """The worker was out of touch for so long that another may have taken its partitions."""


def _uptime() -> float:
    """Return seconds that also pass while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """A lease that heartbeats renew.

    Parameters
    ----------
    session_timeout
        The group's session timeout, in seconds.
    now
        A clock in seconds that never goes back.

    """

    def __init__(self, session_timeout: float, now: Callable[[], float] = _uptime) -> None:
        self._lifetime = session_timeout * _SHARE
        self._now = now
        self._renewed = now()

    def renew(self, asked: float | None = None) -> None:
        """Note that the broker confirmed the membership, asked at that time (by default now)."""
        self._renewed = self._now() if asked is None else asked

    def check(self) -> None:
        """Raise LeaseLostError when the lease has run out."""
        silence = self._now() - self._renewed
        if silence > self._lifetime:
            raise LeaseLostError(
                f"no heartbeat was confirmed for {silence:.1f} s, so another worker may have taken over: "
                "this one stops and sends nothing more. Restart it; if this repeats, look for a frozen "
                "process, or raise PIPELINE_SESSION_TIMEOUT"
            )

    def watch(self, coordinator: Any) -> None:
        """Renew the lease with every heartbeat that aiokafka's group coordinator gets confirmed."""
        beat = coordinator._do_heartbeat

        async def heartbeat() -> bool:
            asked = self._now()
            confirmed: bool = await beat()
            if confirmed:
                self.renew(asked)
            return confirmed

        coordinator._do_heartbeat = heartbeat
