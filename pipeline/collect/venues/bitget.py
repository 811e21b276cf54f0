"""Bitget, version 3: the largest long and the largest short liquidation of each pair and second."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pipeline.collect.names import USUAL
from pipeline.collect.venue import (
    HISTORY,
    Accepted,
    Connection,
    Heartbeat,
    Limits,
    Refused,
    Request,
    State,
    Told,
    all_at_once,
    amounts,
    collected,
    decode_but_pong,
    funding,
    liquidation,
    nothing_to_ask,
    nothing_told,
    open_interest,
    read_each,
    together,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.collect.instruments import Instrument
    from pipeline.collect.names import Names
    from pipeline.messages import Side

NAME: Final = "bitget"
COVERAGE: Final = "the largest long and short of each pair and second"
HEARTBEAT: Final = Heartbeat(every=25.0, text="ping", silence=60.0)
LIMITS: Final = Limits(streams=50, frames_per_second=5.0)
WS: Final = "wss://ws.bitget.com/v3/ws/public"
REST: Final = "https://api.bitget.com/api/v2/mix/market"
_KIND: Final = "usdt-futures"
_POSITIONS: Final[Mapping[str, Side]] = {"buy": "long", "sell": "short"}
"""`side` is the side of the position, not of the order that closed it."""
LISTING: Final = (Request(url=f"{REST}/contracts?productType={_KIND}"),)
VOLUMES: Final = Request(url=f"{REST}/tickers?productType={_KIND}")
CLOCK: Final = Request(url=f"{REST}/current-fund-rate?symbol=BTCUSDT&productType={_KIND}")

decode = decode_but_pong
next_page = all_at_once
polls = nothing_to_ask
parse_poll = nothing_told


def instruments(answers: Sequence[Any], names: Names = USUAL) -> tuple[list[Instrument], list[str]]:
    """Return the perpetuals against USDT; sizes are in coins."""

    def make(each: Any) -> Instrument:
        hours = each["fundInterval"]
        return names.instrument(
            NAME, each["symbol"], each["baseCoin"], each["quoteCoin"], funding_hours=hours
        )

    return collected(answers[0]["data"], make, _is_perpetual)


def _is_perpetual(each: Any) -> bool:
    return bool(
        each["symbolType"] == "perpetual" and each["symbolStatus"] == "normal" and each["quoteCoin"] == "USDT"
    )


def traded(answer: Any) -> dict[str, float]:
    """Return what was traded in US dollars: quote coins are."""
    return amounts(answer["data"], "symbol", "quoteVolume")


def clock_ms(answer: Any) -> float:
    """Return the venue's Unix time in milliseconds: every answer has it."""
    return float(answer["requestTime"])


def subscriptions(instruments: Sequence[Instrument]) -> list[Connection]:
    """Return as many connections as the topics need; liquidations come for all pairs at once."""
    args = [
        {"instType": _KIND, "topic": "liquidation"},
        *(
            {"instType": _KIND, "topic": kind, "symbol": each.name}
            for each in instruments
            for kind in _TOPICS
        ),
    ]
    return together(WS, args, LIMITS.streams, LIMITS.streams)


def parse(frame: Any, state: State) -> list[Told]:
    """Return what a frame tells."""
    if (event := frame.get("event")) is not None:
        return [Refused(f"{frame.get('code')} {frame.get('msg')}")] if event == "error" else [Accepted()]
    about = frame["arg"]
    if about["topic"] == "liquidation":
        return state.told_of_each(frame["data"], "symbol", _liquidation)
    return state.told_of(about["symbol"], frame, _TOPICS[about["topic"]])


def _liquidation(each: Any, of: Instrument, state: State) -> list[Told]:
    """`amount` is in the quote coin; records come ten to twenty seconds late."""
    size = Decimal(each["amount"]) / Decimal(each["price"])
    told = liquidation(of, _POSITIONS[each["side"]], str(size), each["price"], int(each["ts"]))
    return [msgspec.structs.replace(told, value_usd=float(each["amount"]))]


def _ticker(frame: Any, of: Instrument, state: State) -> list[Told]:
    (each,), time_ms = frame["data"], frame["ts"]
    bid, ask = float(each["bid1Price"] or 0), float(each["ask1Price"] or 0)
    return [
        *state.quoted(of, time_ms, bid, ask, float(each["markPrice"])),
        open_interest(of, of.usd(each["openInterest"], each["markPrice"]), time_ms),
        funding(of, each["fundingRate"], time_ms),
    ]


def _trades(frame: Any, of: Instrument, state: State) -> list[Told]:
    """Count trades; the first message after a subscription, `snapshot`, is history."""
    if frame["action"] == "snapshot":
        return [HISTORY]
    return read_each(frame["data"], lambda each: [state.trade(of, each["v"], each["p"])])


_TOPICS: Final = {"ticker": _ticker, "publicTrade": _trades}
