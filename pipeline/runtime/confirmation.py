"""The wait until the broker has confirmed what was sent, and what to do when it refuses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import structlog
from aiokafka import errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = structlog.get_logger(__name__)

Pending: TypeAlias = "dict[asyncio.Future[Any], str]"
"""What is to be confirmed, with its topic."""

_SLOW: Final = 5.0
"""Seconds without a confirmation after which the log says so, and each time that they pass again."""

_GONE: Final = "was it deleted? Run `cascade topics check`, which says what to do, and restart the worker"
_TOO_LARGE: Final = "raise the topic's max.message.bytes (Kafka's default is 1048588), and restart the worker"
_REMEDIES: Final = {
    errors.MessageSizeTooLargeError: _TOO_LARGE,
    errors.RecordListTooLargeError: _TOO_LARGE,
    errors.UnknownTopicOrPartitionError: _GONE,
    errors.NotLeaderForPartitionError: _GONE,
    errors.TopicAuthorizationFailedError: "let the Kafka user write to it, and restart the worker",
    errors.InvalidTimestampError: "set this machine's clock, or the broker's, and restart the worker",
}
OTHERWISE: Final = "look at the broker's log, and restart the worker"
"""What to do about an error of the broker's that nothing else is known to mend."""


class NotConfirmedError(Exception):
    """The broker did not take what was sent to a topic."""

    def __init__(self, topic: str, error: BaseException) -> None:
        super().__init__(
            f"{topic}: the broker did not take what was sent ({error}), and what was not confirmed is "
            f"repeated: {_REMEDIES.get(type(error), OTHERWISE)}"
        )


class NotCommittedError(Exception):
    """The broker takes no commits any more: it does not know some of the topics."""

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(missing)}: the broker takes no commits, and what was not committed is "
            f"repeated: {_GONE}"
        )


async def all_confirmed(pending: Mapping[asyncio.Future[Any], str]) -> None:
    """Wait for futures; one that is aiokafka's own must not be cancelled with whoever waits for it.

    Raises
    ------
    NotConfirmedError
        One of them failed.
    """
    waiting = set(pending)
    while waiting:
        done, waiting = await asyncio.wait(waiting, timeout=_SLOW, return_when=asyncio.FIRST_EXCEPTION)
        for future in done:
            if error := future.exception():
                raise NotConfirmedError(pending[future], error) from error
        if waiting:
            log.warning(
                "the broker does not confirm what was sent: checkpoints and commits wait for it; look at the "
                "broker's replicas (min.insync.replicas) and disks, at the network, and whether the topics "
                "are still there",
                batches=len(waiting),
                topics=sorted({pending[future] for future in waiting}),
                every_seconds=_SLOW,
            )


def look(confirmed: asyncio.Future[Any]) -> None:
    """Look at a failure: whoever waited for it may have given up, and asyncio would log a traceback then."""
    if not confirmed.cancelled():
        confirmed.exception()
