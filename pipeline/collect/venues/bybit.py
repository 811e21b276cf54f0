"""Bybit linear: every liquidation, in batches of half a second; prices are bankruptcy prices."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from pipeline.collect.names import USUAL
from pipeline.collect.venue import (
    Accepted,
    Connection,
    Heartbeat,
    Ids,
    Limits,
    Refused,
    Request,
    State,
    Told,
    amounts,
    collected,
    decode_json,
    funding,
    liquidation,
    nothing_to_ask,
    nothing_told,
    one_by_one,
    open_interest,
    read_each,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.collect.instruments import Instrument
    from pipeline.collect.names import Names
    from pipeline.messages import Side

NAME: Final = "bybit"
COVERAGE: Final = "all"
HEARTBEAT: Final = Heartbeat(every=20.0, text='{"op":"ping"}', silence=45.0)
LIMITS: Final = Limits(streams=100, frames_per_second=10.0, lifetime=None)
WS: Final = "wss://stream.bybit.com/v5/public/linear"
REST: Final = "https://api.bybit.com/v5"
_INSTRUMENTS: Final = f"{REST}/market/instruments-info?category=linear&limit=1000"
_MINUTES: Final = 60
_POSITIONS: Final[Mapping[str, Side]] = {"Buy": "long", "Sell": "short"}
"""`S` is the side of the position, not of the order that closed it."""
LISTING: Final = (Request(url=_INSTRUMENTS),)
VOLUMES: Final = Request(url=f"{REST}/market/tickers?category=linear")
CLOCK: Final = Request(url=f"{REST}/market/time")

decode = decode_json
polls = nothing_to_ask
parse_poll = nothing_told


def next_page(request: Request, answer: Any) -> Request | None:
    """Return what to ask for the instruments after the venue's cursor."""
    cursor = answer["result"].get("nextPageCursor")
    return Request(url=f"{_INSTRUMENTS}&cursor={quote(cursor)}") if cursor else None


def instruments(answers: Sequence[Any], names: Names = USUAL) -> tuple[list[Instrument], list[str]]:
    """Return the perpetuals against USDT; the interval of funding is in minutes."""

    def make(each: Any) -> Instrument:
        hours = each["fundingInterval"] / _MINUTES
        return names.instrument(
            NAME, each["symbol"], each["baseCoin"], each["quoteCoin"], funding_hours=hours
        )

    return collected(chain.from_iterable(each["result"]["list"] for each in answers), make, _is_perpetual)


def _is_perpetual(each: Any) -> bool:
    return bool(
        each["contractType"] == "LinearPerpetual"
        and each["status"] == "Trading"
        and each["quoteCoin"] == "USDT"
    )


def traded(answer: Any) -> dict[str, float]:
    """Return what was traded in US dollars."""
    return amounts(answer["result"]["list"], "symbol", "turnover24h")


def clock_ms(answer: Any) -> float:
    """Return the venue's Unix time in milliseconds."""
    return float(answer["time"])


def subscriptions(instruments: Sequence[Instrument]) -> list[Connection]:
    """Return as many connections as the instruments need; all of one are asked for at once."""
    requests = (
        {"op": "subscribe", "args": [f"{kind}.{each.name}" for kind in _TOPICS]} for each in instruments
    )
    return one_by_one(WS, requests, LIMITS.streams)


def parse(frame: Any, state: State) -> list[Told]:
    """Return what a frame tells."""
    if (kind := frame.get("topic")) is None:
        return _control(frame)
    name, _, symbol = kind.partition(".")
    return state.told_of(symbol, frame, _TOPICS[name])


def _control(frame: Any) -> list[Told]:
    if frame.get("success") is False:
        return [Refused(str(frame.get("ret_msg")))]
    return [Accepted()] if frame.get("op") == "subscribe" else []


def _liquidations(frame: Any, of: Instrument, state: State) -> list[Told]:
    return read_each(frame["data"], partial(_liquidation, Ids(), of))


def _liquidation(ids: Ids, of: Instrument, each: Any) -> list[Told]:
    side, size, price, time_ms = _POSITIONS[each["S"]], each["v"], each["p"], each["T"]
    event_id = ids.of(NAME, each["s"], each["S"], price, size, time_ms)
    return [liquidation(of, side, size, price, time_ms, event_id=event_id)]


def _trades(frame: Any, of: Instrument, state: State) -> list[Told]:
    return read_each(frame["data"], lambda each: [state.trade(of, each["v"], each["p"])])


def _ticker(frame: Any, of: Instrument, state: State) -> list[Told]:
    """Read a ticker: a delta has only what changed, an empty text is no value and leaves what was known."""
    known = state.fields.setdefault(of.name, {})
    if frame["type"] == "snapshot":
        known.clear()
    changed = {field: value for field, value in frame["data"].items() if value != ""}
    known |= changed
    time_ms = frame["ts"]
    bid, ask, mark = (float(known.get(field, 0)) for field in ("bid1Price", "ask1Price", "markPrice"))
    told = state.quoted(of, time_ms, bid, ask, mark)
    if "singleOpenInterestValue" in changed:  # of one side; `openInterest` is the sum of both
        told.append(open_interest(of, changed["singleOpenInterestValue"], time_ms))
    if "fundingRate" in changed:
        hours = float(known.get("fundingIntervalHour") or of.funding_hours)
        of = msgspec.structs.replace(of, funding_hours=hours)
        told.append(funding(of, changed["fundingRate"], time_ms))
    return told


_TOPICS: Final = {"allLiquidation": _liquidations, "publicTrade": _trades, "tickers": _ticker}
