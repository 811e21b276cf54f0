"""What aiokafka's clients (0.14) lack where brokers go away and come back."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import structlog
from aiokafka.conn import CloseReason

log = structlog.get_logger(__name__)


def keep_steady(user: Any) -> None:
    """Let a consumer or a producer of aiokafka bear brokers that are away."""
    client = getattr(user, "client", None) or user._client
    _pace_updates(client)
    _leave_closed_connections(client)


def _pace_updates(client: Any) -> None:
    """Wait for `retry_backoff_ms` from one look at the cluster's metadata to the next, as Kafka's clients do.

    While a partition has no leader aiokafka looks again at once: without a broker it tried to connect 13,000
    times a second, and kept a core busy. And one look that fails otherwise than was foreseen must not be the
    last: whoever asked for the next would wait for ever.
    """
    update, pause, ended = client._metadata_update, client._retry_backoff, -math.inf

    async def update_paced(*args: Any) -> bool:
        nonlocal ended
        now = asyncio.get_running_loop().time
        await asyncio.sleep(ended + pause - now())
        try:
            updated: bool = await update(*args)
        except Exception:
            log.exception("the cluster's metadata cannot be read, trying again")
            return False
        finally:
            ended = now()
        return updated

    client._metadata_update = update_paced


def _leave_closed_connections(client: Any) -> None:
    """Connect anew where a connection was closed, and aiokafka learns of it in the next turn of the loop.

    Until then it writes to it, which uvloop refuses with a RuntimeError that nobody expects: it ends the
    task that reads metadata, or sends, or fetches.
    """
    get = client._get_conn

    async def get_open(node_id: Any, **kwargs: Any) -> Any:
        connection = await get(node_id, **kwargs)
        while connection is not None and connection.connected() and connection._writer.is_closing():
            connection.close(CloseReason.CONNECTION_BROKEN)
            connection = await get(node_id, **kwargs)
        return connection

    client._get_conn = get_open
