"""Hyperliquid: prices, open interest and funding. It publishes no liquidations, and none are guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline import contract
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
    collected,
    decode_json,
    funding,
    one_by_one,
    open_interest,
    read_each,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pipeline.collect.instruments import Instrument
    from pipeline.collect.names import Names

NAME: Final = "hyperliquid"
COVERAGE: Final = "not published"
HEARTBEAT: Final = Heartbeat(every=30.0, text='{"method":"ping"}', silence=75.0)
LIMITS: Final = Limits(streams=200, frames_per_second=10.0, lifetime=None, poll=15.0)
WS: Final = "wss://api.hyperliquid.xyz/ws"
REST: Final = "https://api.hyperliquid.xyz/info"
_QUOTE: Final = "USDC"
"""In which it settles; the list does not say so."""
_STATE: Final = Request(url=REST, body='{"type":"metaAndAssetCtxs"}')
LISTING: Final = (Request(url=REST, body='{"type":"meta"}'),)
VOLUMES: Final = _STATE
CLOCK: Final = Request(url=REST, body='{"type":"l2Book","coin":"BTC"}')

decode = decode_json
next_page = all_at_once


def instruments(answers: Sequence[Any], names: Names = USUAL) -> tuple[list[Instrument], list[str]]:
    """Return the perpetuals of the venue's own list; funding is by the hour."""

    def make(each: Any) -> Instrument:
        return names.instrument(NAME, each["name"], each["name"], _QUOTE, funding_hours=1)

    return collected(answers[0]["universe"], make, lambda each: not each.get("isDelisted"))


def traded(answer: Any) -> dict[str, float]:
    """Return what was traded in US dollars."""
    return {
        each["name"]: float(context["dayNtlVlm"])
        for each, context in zip(answer[0]["universe"], answer[1], strict=True)
    }


def clock_ms(answer: Any) -> float:
    """Return the Unix time in milliseconds of the venue's newest block: there is no other."""
    return float(answer["time"])


def subscriptions(instruments: Sequence[Instrument]) -> list[Connection]:
    """Return the connections that bring prices and volumes."""
    topics = [{"type": kind, "coin": each.name} for each in instruments for kind in ("bbo", "trades")]
    requests = ({"method": "subscribe", "subscription": topic} for topic in topics)
    return one_by_one(WS, requests, LIMITS.streams)


def parse(frame: Any, state: State) -> list[Told]:
    """Return what a frame tells."""
    channel = frame["channel"]
    if channel == "bbo":
        return state.told_of_each([frame["data"]], "coin", _book)
    if channel == "trades":
        return state.told_of_each(frame["data"], "coin", _trade)
    if channel == "error":
        return [Refused(str(frame["data"]))]
    return [Accepted()] if channel == "subscriptionResponse" else []


def _book(data: Any, of: Instrument, state: State) -> list[Told]:
    bid, ask = (float(side["px"]) if side else 0.0 for side in data["bbo"])
    return state.quoted(of, data["time"], bid, ask)


def _trade(trade: Any, of: Instrument, state: State) -> list[Told]:
    if state.replayed(trade["time"]):
        return [HISTORY]
    return [state.trade(of, trade["sz"], trade["px"])]


def polls(instruments: Sequence[Instrument], topics: Collection[str]) -> list[Request]:
    """Return what brings open interest and funding, of all coins at once."""
    return [] if {contract.OPEN_INTEREST, contract.FUNDING}.isdisjoint(topics) else [_STATE]


def parse_poll(request: Request, answer: Any, state: State) -> list[Told]:
    """Return open interest and funding; the answer has no time, so it is that of its receipt."""
    meta, contexts = answer
    rows = zip(meta["universe"], contexts, strict=True)
    return read_each(rows, lambda row: state.told_of(row[0]["name"], row[1], _context))


def _context(context: Any, of: Instrument, state: State) -> list[Told]:
    usd, now_ms = of.usd(context["openInterest"], context["markPx"]), state.now_ms
    return [open_interest(of, usd, now_ms), funding(of, context["funding"], now_ms)]
