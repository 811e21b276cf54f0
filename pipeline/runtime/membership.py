"""The end of a worker's membership in its group: what the broker refuses for good ends the worker.

aiokafka (0.14) keeps such an error for whoever polls, and Faust (0.15) polls past that: the worker would
live on without partitions, and say nothing. And of two workers of one name each would take it from the other
again and again, as a heartbeat of aiokafka's does not tell its name.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiokafka import errors
from aiokafka.protocol.group import HeartbeatRequest

from pipeline.runtime.confirmation import OTHERWISE
from pipeline.runtime.lease import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipeline.runtime.lease import Lease
    from pipeline.settings import Settings

_REMEDIES: Final = {
    errors.InvalidSessionTimeoutError: "set PIPELINE_SESSION_TIMEOUT within the broker's "
    "group.min.session.timeout.ms and group.max.session.timeout.ms",
    errors.InconsistentGroupProtocolError: "another application has a group of this name: set another "
    "PIPELINE_APP_ID",
    errors.GroupAuthorizationFailedError: "let the Kafka user read the group",
}
_UNKNOWN: Final = errors.UnknownMemberIdError.errno


class MembershipError(Exception):
    """The broker does not have the worker as a member of its group."""


def watch(coordinator: Any, settings: Settings, lease: Lease, crash: Callable[..., Awaitable[None]]) -> None:
    """Crash with what aiokafka's group coordinator cannot mend, and when another worker took the name."""
    _tell_errors(coordinator, settings.app_id, crash)
    if settings.group_instance_id is not None:
        _notice_namesake(coordinator, settings.group_instance_id, lease, crash)


def _tell_errors(coordinator: Any, group: str, crash: Callable[..., Awaitable[None]]) -> None:
    push = coordinator._push_error_to_user

    async def push_and_crash(error: Exception) -> None:
        remedy = _REMEDIES.get(type(error), OTHERWISE)
        await crash(MembershipError(f"the broker refuses a worker in the group {group} ({error}): {remedy}"))
        await push(error)

    coordinator._push_error_to_user = push_and_crash


def _notice_namesake(
    coordinator: Any, name: str, lease: Lease, crash: Callable[..., Awaitable[None]]
) -> None:
    """Tell a worker that was replaced from one that was silent: its membership was confirmed just now."""
    send = coordinator._send_req

    async def send_and_look(request: Any) -> Any:
        response = await send(request)
        if isinstance(request, HeartbeatRequest) and response.error_code == _UNKNOWN and lease.is_good:
            reason = (
                f"another worker has taken the name {name}: each needs a PIPELINE_GROUP_INSTANCE_ID of its "
                "own. This one stops and sends nothing more"
            )
            lease.give_up(reason)
            await crash(LeaseLostError(reason))
            await asyncio.Event().wait()  # or aiokafka would take the name back; the stop ends the heartbeat
        return response

    coordinator._send_req = send_and_look
