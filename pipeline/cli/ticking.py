"""Time that goes on between coarse prices: a bar feed is silent for minutes, a live one is not."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from msgspec import structs

from pipeline import contract
from pipeline.cli.recordings import Recorded
from pipeline.messages import Price

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PATIENCE_MS: Final = 15 * 60_000
"""How long after a real price its repetitions go on."""


def ticking(records: Iterable[Recorded], every_ms: int) -> Iterator[Recorded]:
    """Yield records, and between them each symbol's last price again whenever none came for so long.

    Nothing is known earlier than it was: what is repeated is the past. Repetitions bring no volume.
    """
    due: list[tuple[int, str]] = []
    last: dict[str, tuple[int, Price]] = {}
    for record in records:
        while due and due[0][0] < record.time_ms:
            yield from _repeat(due, last, every_ms)
        yield record
        if isinstance(record.message, Price):
            symbol = record.message.symbol
            last[symbol] = record.time_ms, record.message
            heappush(due, (record.time_ms + every_ms, symbol))


def _repeat(
    due: list[tuple[int, str]], last: dict[str, tuple[int, Price]], every_ms: int
) -> Iterator[Recorded]:
    moment, symbol = heappop(due)
    since, price = last[symbol]
    if (moment - since) % every_ms or moment - since > _PATIENCE_MS:
        return  # another price came meanwhile, or the feed is down
    yield Recorded(
        moment,
        contract.PRICES,
        structs.replace(price, timestamp=moment / 1_000, volume_usd=None, spread_bps=None),
    )
    heappush(due, (moment + every_ms, symbol))
