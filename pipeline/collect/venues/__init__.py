"""The venues, by name: each file is pure, and says what that venue leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.collect.venues import (
    aster,
    binance,
    bitget,
    bybit,
    deribit,
    gate,
    htx,
    hyperliquid,
    kraken,
    okx,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.collect.venue import Venue

VENUES: Final[Mapping[str, Venue]] = {
    venue.NAME: venue
    for venue in (binance, bybit, okx, bitget, gate, htx, kraken, deribit, aster, hyperliquid)
}
