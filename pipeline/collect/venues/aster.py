"""Aster: speaks as Binance did before it had two roots; one liquidation order a symbol and second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline.collect.names import USUAL
from pipeline.collect.venue import Connection, Heartbeat, Limits, Request, decode_json, groups
from pipeline.collect.venues import binance

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pipeline.collect.instruments import Instrument
    from pipeline.collect.names import Names

NAME: Final = "aster"
COVERAGE: Final = "one order of each symbol and second"
HEARTBEAT: Final = Heartbeat(silence=60.0, protocol=True)
LIMITS: Final = Limits(streams=200, frames_per_second=5.0, poll=30.0)
WS: Final = "wss://fstream.asterdex.com"
REST: Final = "https://fapi.asterdex.com/fapi/v1"
LISTING: Final = (Request(url=f"{REST}/exchangeInfo"), Request(url=f"{REST}/fundingInfo"))
VOLUMES: Final = Request(url=f"{REST}/ticker/24hr")
CLOCK: Final = Request(url=f"{REST}/time")

decode = decode_json
next_page = binance.next_page
traded = binance.traded
clock_ms = binance.clock_ms
parse = binance.parse
parse_poll = binance.parse_poll


def instruments(answers: Sequence[Any], names: Names = USUAL) -> tuple[list[Instrument], list[str]]:
    """Return the perpetuals against USDT and USDC."""
    return binance.listed(NAME, answers, names)


def subscriptions(instruments: Sequence[Instrument]) -> list[Connection]:
    """Return as many connections as the streams need."""
    names = [each.name.lower() for each in instruments]
    streams = ["!markPrice@arr@1s", "!forceOrder@arr"]
    streams += [f"{name}@{kind}" for name in names for kind in ("bookTicker", "aggTrade")]
    return [
        Connection(url=f"{WS}/stream?streams={'/'.join(group)}") for group in groups(streams, LIMITS.streams)
    ]


def polls(instruments: Sequence[Instrument], topics: Collection[str]) -> list[Request]:
    """Return what brings open interest."""
    return binance.open_interest_requests(REST, instruments, topics)
