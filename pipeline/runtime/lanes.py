"""Two lanes to each broker: what is read to be projected does not hold up what is read to be judged.

aiokafka (0.14) has one fetch at a time under way to a broker, for all partitions. The worker reads back what
it sends, so most answers would tell of outputs alone, and an input that comes meanwhile would wait for the
next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

GROUP: Final = 2
"""The connections of the second lane, beside aiokafka's own groups of them (`ConnectionGroup`)."""


WAIT_MS: Final = 100
"""How long a broker holds back an empty fetch of the second lane."""

_NOBODY: Final = (None, -1)
"""What aiokafka says of a partition without a leader."""


class Lane(NamedTuple):
    """The second lane to a broker; aiokafka's fetcher takes it for one more broker."""

    node: int


def fetch_apart(consumer: Any, topics: Collection[str]) -> None:
    """Let a consumer that was started fetch these topics by requests and over connections of their own."""
    fetcher, client = consumer._fetcher, consumer._client
    select, send = fetcher._select_read_replica, client.send
    apart = frozenset(topics)

    def select_lane(tp: Any) -> Any:
        node = select(tp)
        return Lane(node) if tp.topic in apart and node not in _NOBODY else node

    async def send_in_lane(node: Any, request: Any, **options: Any) -> Any:
        if isinstance(node, Lane):
            request._max_wait_ms = WAIT_MS
            return await send(node.node, request, group=GROUP)
        return await send(node, request, **options)

    fetcher._select_read_replica, client.send = select_lane, send_in_lane
