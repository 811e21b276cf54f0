"""Two lanes to each broker: what can wait does not hold up what an event has to pass on its way to a signal.

aiokafka (0.14) has one fetch and one produce request at a time under way to a broker, for all partitions. The
worker reads back what it sends: most answers would tell of outputs alone, and an input that comes meanwhile
would wait for the next one. And a signal would wait until the snapshots of a checkpoint are confirmed.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

GROUP: Final = 2
"""The connections of the second lane, beside aiokafka's own groups of them (`ConnectionGroup`)."""
_NOBODY: Final = (None, -1)
"""What aiokafka says of a partition without a leader."""


class Lane(NamedTuple):
    """The second lane to a broker; whoever fetches or sends takes it for one more broker."""

    node: int


def fetch_apart(consumer: Any, topics: Collection[str]) -> None:
    """Let a consumer that was started fetch these topics by requests and over connections of their own."""
    fetcher = consumer._fetcher
    fetcher._select_read_replica = _with_lanes(fetcher._select_read_replica, topics)
    _connect_lanes(consumer._client)


def send_apart(producer: Any, topics: Collection[str]) -> None:
    """Let a producer send to these topics by requests and over connections of their own.

    Each partition is on one lane, and so its records stay in order, as one request at a time has them.
    """
    accumulator = producer._message_accumulator
    leader = _with_lanes(accumulator._cluster.leader_for_partition, topics)
    accumulator._cluster = SimpleNamespace(leader_for_partition=leader)
    _connect_lanes(producer.client)


def _with_lanes(node_of: Callable[[Any], Any], topics: Collection[str]) -> Callable[[Any], Any]:
    apart = frozenset(topics)

    def lane_of(tp: Any) -> Any:
        node = node_of(tp)
        return Lane(node) if tp.topic in apart and node not in _NOBODY else node

    return lane_of


def _connect_lanes(client: Any) -> None:
    send = client.send

    async def send_in_lane(node: Any, request: Any, **options: Any) -> Any:
        if isinstance(node, Lane):
            return await send(node.node, request, group=GROUP)
        return await send(node, request, **options)

    client.send = send_in_lane
