"""Binance USD-M: one liquidation order a symbol and second, the largest.

Market data come from two roots: `/public` has the book, `/market` everything else. The root that had all of
it still connects and confirms, and stays silent.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pipeline import contract
from pipeline.collect.names import USUAL
from pipeline.collect.venue import (
    Accepted,
    Connection,
    Dropped,
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
    groups,
    liquidation,
    open_interest,
    position,
    read_each,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pipeline.collect.instruments import Instrument
    from pipeline.collect.names import Names

NAME: Final = "binance"
COVERAGE: Final = "the largest order of each symbol and second"
HEARTBEAT: Final = Heartbeat(silence=30.0, protocol=True)
LIMITS: Final = Limits(streams=200, frames_per_second=5.0, poll=30.0)
WS: Final = "wss://fstream.binance.com"
REST: Final = "https://fapi.binance.com/fapi/v1"
QUOTES: Final = ("USDT", "USDC")
_COIN_MARGINED: Final = 2
_CONTROL: Final = "btcusdt@aggTrade"
"""What always flows: liquidations may be silent for minutes."""
LISTING: Final = (Request(url=f"{REST}/exchangeInfo"), Request(url=f"{REST}/fundingInfo"))
VOLUMES: Final = Request(url=f"{REST}/ticker/24hr")
CLOCK: Final = Request(url=f"{REST}/time")

decode = decode_json
next_page = all_at_once


def instruments(answers: Sequence[Any], names: Names = USUAL) -> tuple[list[Instrument], list[str]]:
    """Return the perpetuals; funding is every eight hours where the second answer does not tell otherwise."""
    return listed(NAME, answers, names)


def listed(venue: str, answers: Sequence[Any], names: Names) -> tuple[list[Instrument], list[str]]:
    """Return the perpetuals of a venue that answers as Binance does."""
    info, hours = answers
    by_name = {each["symbol"]: each["fundingIntervalHours"] for each in hours}

    def make(each: Any) -> Instrument:
        name = each["symbol"]
        return names.instrument(
            venue, name, each["baseAsset"], each["quoteAsset"], funding_hours=by_name.get(name)
        )

    return collected(info["symbols"], make, _is_perpetual)


def _is_perpetual(each: Any) -> bool:
    return (
        each["contractType"] == "PERPETUAL" and each["status"] == "TRADING" and each["quoteAsset"] in QUOTES
    )


def traded(answer: Any) -> dict[str, float]:
    """Return what was traded in US dollars: quote coins are."""
    return amounts(answer, "symbol", "quoteVolume")


def clock_ms(answer: Any) -> float:
    """Return the venue's Unix time in milliseconds."""
    return float(answer["serverTime"])


def subscriptions(instruments: Sequence[Instrument]) -> list[Connection]:
    """Return a connection for each root, or more where there are many instruments."""
    names = [each.name.lower() for each in instruments]
    trades = [f"{name}@aggTrade" for name in names]
    market = ["!forceOrder@arr", "!markPrice@arr@1s", *dict.fromkeys([_CONTROL, *trades])]
    book = [f"{name}@bookTicker" for name in names]
    return [
        Connection(url=f"{WS}/{root}/stream?streams={'/'.join(group)}")
        for root, streams in (("market", market), ("public", book))
        for group in groups(streams, LIMITS.streams)
    ]


def parse(frame: Any, state: State) -> list[Told]:
    """Return what a frame tells; it may be bare, or under the name of its stream."""
    if "error" in frame:
        return [Refused(str(frame["error"]))]
    if "result" in frame:
        return [Accepted()]
    data = frame.get("data", frame)
    events = data if isinstance(data, list) else [data]
    return read_each(events, partial(_event, state))


def _event(state: State, event: Any) -> list[Told]:
    order = event.get("o") if event["e"] == "forceOrder" else None
    body = event if order is None else order
    if body.get("st") == _COIN_MARGINED or "_" in body["s"]:
        return [Dropped("coin-margined or dated")]
    read = _EVENTS.get(event["e"])
    return [] if read is None else state.told_of(body["s"], body, read)


def _force_order(order: Any, of: Instrument, state: State) -> list[Told]:
    """`z` is what was filled and `ap` at which average; `S` is the side of the order."""
    if order["X"] != "FILLED":
        return [Dropped("order not filled")]
    return [liquidation(of, position(order["S"]), order["z"], order["ap"], order["T"])]


def _book(event: Any, of: Instrument, state: State) -> list[Told]:
    return state.quoted(of, event["T"], float(event["b"]), float(event["a"]))


def _trade(event: Any, of: Instrument, state: State) -> list[Told]:
    return [state.trade(of, event["q"], event["p"])]


def _mark(event: Any, of: Instrument, state: State) -> list[Told]:
    """Return the rate, which is an estimate until the settlement."""
    state.quote(of.name).mark = float(event["p"])
    return [funding(of, event["r"], event["E"])] if event.get("r") else []


_EVENTS: Final = {
    "forceOrder": _force_order,
    "bookTicker": _book,
    "aggTrade": _trade,
    "markPriceUpdate": _mark,
}


def polls(instruments: Sequence[Instrument], topics: Collection[str]) -> list[Request]:
    """Return what brings open interest: mark prices of all, then each instrument's own."""
    return open_interest_requests(REST, instruments, topics)


def open_interest_requests(
    rest: str, instruments: Sequence[Instrument], topics: Collection[str]
) -> list[Request]:
    """Return those requests of a venue that answers as Binance does."""
    if contract.OPEN_INTEREST not in topics:
        return []
    return [
        Request(url=f"{rest}/premiumIndex"),
        *(Request(url=f"{rest}/openInterest?symbol={each.name}", about=each.name) for each in instruments),
    ]


def parse_poll(request: Request, answer: Any, state: State) -> list[Told]:
    """Return the open interest in US dollars, at the mark price of the same round."""
    if not request.about:
        return read_each(answer, partial(_valued, state))
    return state.told_of(request.about, answer, _held)


def _valued(state: State, each: Any) -> list[Told]:
    state.quote(each["symbol"]).mark = float(each["markPrice"])
    return []


def _held(answer: Any, of: Instrument, state: State) -> list[Told]:
    mark = state.quote(of.name).mark
    return [open_interest(of, of.usd(answer["openInterest"], mark), answer["time"])] if mark else []
