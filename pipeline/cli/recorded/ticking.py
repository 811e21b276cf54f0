"""Time that goes on between coarse prices: a bar feed is silent for minutes, a live one is not."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, cast

from msgspec import structs

from pipeline.cli.recorded.recordings import Recorded
from pipeline.messages import Price

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PATIENCE_MS: Final = 15 * 60_000
"""How long after a real price its repetitions go on."""


def ticking(records: Iterable[Recorded], every_ms: int) -> Iterator[Recorded]:
    """Yield records, and between them each symbol's last price again whenever none came for so long.

    Nothing is known earlier than it was: what is repeated is the past. Repetitions bring no volume.
    """
    due: list[tuple[int, str, int]] = []  # when, whose, and when the price came that is to be repeated
    last: dict[str, Recorded] = {}
    for record in records:
        while due and due[0][0] < record.time_ms:
            moment, symbol, since = heappop(due)
            known = last[symbol]
            if known.time_ms == since and moment - since <= _PATIENCE_MS:
                yield _again(known, moment)
                heappush(due, (moment + every_ms, symbol, since))
        yield record
        if isinstance(record.message, Price):
            symbol = record.message.symbol
            if symbol not in last or last[symbol].time_ms != record.time_ms:
                heappush(due, (record.time_ms + every_ms, symbol, record.time_ms))
            last[symbol] = record


def _again(record: Recorded, moment_ms: int) -> Recorded:
    """Return a price at a later moment, without what was traded."""
    message = structs.replace(
        cast("Price", record.message), timestamp=moment_ms / 1_000, volume_usd=None, spread_bps=None
    )
    return Recorded(moment_ms, record.topic, message)
