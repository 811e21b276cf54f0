"""Kraken Futures, linear (PF_): trades that are marked as liquidations.

That the liquidated party is the taker is what the venue's documentation suggests; it was not measured.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

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
    decode_json,
    funding,
    liquidation,
    nothing_to_ask,
    nothing_told,
    one_by_one,
    open_interest,
    position,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.collect.instruments import Instrument
    from pipeline.collect.names import Names

NAME: Final = "kraken"
COVERAGE: Final = "trades marked as such"
HEARTBEAT: Final = Heartbeat(every=30.0, text='{"event":"ping"}', silence=75.0)
LIMITS: Final = Limits(streams=200, frames_per_second=20.0, lifetime=None)
WS: Final = "wss://futures.kraken.com/ws/v1"
REST: Final = "https://futures.kraken.com/derivatives/api/v3"
_QUOTE: Final = "USD"
LISTING: Final = (Request(url=f"{REST}/instruments"),)
VOLUMES: Final = Request(url=f"{REST}/tickers")
CLOCK: Final = Request(url=f"{REST}/tickers/PF_XBTUSD")

decode = decode_json
next_page = all_at_once
polls = nothing_to_ask
parse_poll = nothing_told


def instruments(answers: Sequence[Any], names: Names = USUAL) -> tuple[list[Instrument], list[str]]:
    """Return the linear perpetuals; sizes are in coins, funding is by the hour."""

    def make(each: Any) -> Instrument:
        base, quote = each["pair"].split(":")
        size = each["contractSize"]
        return names.instrument(NAME, each["symbol"], base, quote, unit=size, funding_hours=1)

    return collected(answers[0]["instruments"], make, _is_perpetual)


def _is_perpetual(each: Any) -> bool:
    return (
        each["type"] == "flexible_futures"
        and each["tradeable"]
        and "lastTradingTime" not in each
        and each["pair"].partition(":")[2] == _QUOTE
    )


def traded(answer: Any) -> dict[str, float]:
    """Return what was traded in US dollars: quote coins are."""
    return amounts(answer["tickers"], "symbol", "volumeQuote")


def clock_ms(answer: Any) -> float:
    """Return the venue's Unix time in milliseconds: every answer has it as text."""
    return datetime.fromisoformat(answer["serverTime"]).timestamp() * 1_000


def subscriptions(instruments: Sequence[Instrument]) -> list[Connection]:
    """Return as many connections as the topics need; trades bring liquidations and volumes."""
    requests = (
        {"event": "subscribe", "feed": feed, "product_ids": [each.name]}
        for each in instruments
        for feed in _FEEDS
    )
    return one_by_one(WS, requests, LIMITS.streams, first=('{"event":"subscribe","feed":"heartbeat"}',))


def parse(frame: Any, state: State) -> list[Told]:
    """Return what a frame tells."""
    if (event := frame.get("event")) is not None:
        if event in {"error", "alert"} or event.endswith("_failed"):
            return [Refused(str(frame.get("message", frame)))]
        return [Accepted()] if event == "subscribed" else []
    if (feed := frame["feed"]) == "trade_snapshot":
        return [HISTORY]
    if feed not in _FEEDS:
        return []
    return state.told_of(frame["product_id"], frame, _FEEDS[feed])


def _trade(trade: Any, of: Instrument, state: State) -> list[Told]:
    noted = state.trade(of, trade["qty"], trade["price"])
    if trade["type"] != "liquidation":
        return [noted]
    side = position(trade["side"])
    return [noted, liquidation(of, side, trade["qty"], trade["price"], trade["time"], event_id=trade["uid"])]


def _ticker(ticker: Any, of: Instrument, state: State) -> list[Told]:
    """`relative_funding_rate` is a fraction for an hour; fields that are zero are absent."""
    time_ms, mark = ticker["time"], float(ticker.get("markPrice", 0))
    return [
        *state.quoted(of, time_ms, float(ticker.get("bid", 0)), float(ticker.get("ask", 0)), mark),
        open_interest(of, of.usd(ticker.get("openInterest", 0), mark), time_ms),
        funding(of, ticker.get("relative_funding_rate", 0), time_ms),
    ]


_FEEDS: Final = {"trade": _trade, "ticker": _ticker}
