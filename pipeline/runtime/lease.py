"""The right to act for a group: lost when the broker has not confirmed it for most of the session timeout.

Kafka refuses the commits of a worker that was taken for dead, but not the records that it produces. A worker
that was stopped (SIGSTOP, a frozen machine, a long collection) has to notice by itself that others may have
taken over, before it sends anything.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import NoError, RebalanceInProgressError
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

if TYPE_CHECKING:
    from collections.abc import Callable

_ASKING: Final = (HeartbeatRequest, SyncGroupRequest)
"""Requests that are soon answered: unlike a request to join, which waits for all other workers."""
_MEMBER: Final = (NoError.errno, RebalanceInProgressError.errno)
"""Answers to them that only a member of the group gets."""
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

    Attributes
    ----------
    given_up
        Why it was given back; None while it was not.

    """

    def __init__(self, session_timeout: float, now: Callable[[], float] = _uptime) -> None:
        self._lifetime = session_timeout * _SHARE
        self._now = now
        self._renewed = now()
        self.given_up: str | None = None

    def renew(self, asked: float) -> None:
        """Note that the broker confirmed the membership, asked at that time."""
        self._renewed = asked

    def give_up(self, reason: str) -> None:
        """Give the lease back: nothing may be sent from now on."""
        self.given_up = reason

    @property
    def is_good(self) -> bool:
        """Whether the lease has neither run out nor been given up."""
        return self.given_up is None and self._silence <= self._lifetime

    @property
    def _silence(self) -> float:
        return self._now() - self._renewed

    def check(self) -> None:
        """Raise LeaseLostError when the lease has run out or was given up."""
        if self.given_up is not None:
            raise LeaseLostError(self.given_up)
        if (silence := self._silence) > self._lifetime:
            raise LeaseLostError(
                f"no heartbeat was confirmed for {silence:.1f} s, so another worker may have taken over: "
                "this one stops and sends nothing more. Does the broker answer? If so, restart the worker; "
                "if this repeats, look for a frozen process, or raise PIPELINE_SESSION_TIMEOUT"
            )

    def watch(self, coordinator: Any) -> None:
        """Renew the lease whenever the broker tells aiokafka's group coordinator that it is a member."""
        send = coordinator._send_req

        async def send_and_renew(request: Any) -> Any:
            asked = self._now()
            response = await send(request)
            if isinstance(request, _ASKING) and response.error_code in _MEMBER:
                self.renew(asked)
            return response

        coordinator._send_req = send_and_renew

    def guard(self, sender: Any) -> None:
        """Let aiokafka's sender send nothing without the lease, also what was handed to it before.

        It keeps records while a broker is away, and sends them whenever it is back. Its failure ends all that
        waits for a confirmation, and itself: the lease stays lost.
        """
        send = sender._send_produce_req

        async def send_with_lease(node_id: int, batches: Any) -> None:
            try:
                self.check()
            except LeaseLostError as lost:
                self.give_up(str(lost))
                raise
            await send(node_id, batches)

        sender._send_produce_req = send_with_lease
