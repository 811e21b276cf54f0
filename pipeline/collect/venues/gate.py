"""Gate: every liquidation since August 2026, by the second; the sign of its size is that of the order."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pipeline.collect.names import USUAL
from pipeline.collect.venue import (
    NOW,
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
    as_text,
    collected,
    decode_json,
    funding,
    liquidation,
    nothing_to_ask,
    nothing_told,
    one_by_one,
    open_interest,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.collect.instruments import Instrument
    from pipeline.collect.names import Names
    from pipeline.messages import Side

NAME: Final = "gate"
COVERAGE: Final = "all since August 2026"
HEARTBEAT: Final = Heartbeat(every=15.0, text=f'{{"time":{NOW},"channel":"futures.ping"}}', silence=45.0)
LIMITS: Final = Limits(streams=200, frames_per_second=10.0, lifetime=None)
WS: Final = "wss://fx-ws.gateio.ws/v4/ws/usdt"
REST: Final = "https://api.gateio.ws/api/v4/futures/usdt"
HEADERS: Final = (("X-Gate-Size-Decimal", "1"),)
"""Without it sizes are cut to whole contracts."""
_BY_CONTRACT: Final = ("futures.tickers", "futures.book_ticker", "futures.trades")
_CONTRACTS: Final = 66
"""Contracts of one connection: a mark price stands in for quotes, so that both have to come there."""
_PAGE: Final = 1_000
"""Contracts of one answer, at most."""
_HOUR: Final = 3_600
_SECONDS_END: Final = 100_000_000_000
"""A time below is in seconds, above in milliseconds: the venue changed from one to the other."""
VOLUMES: Final = Request(url=f"{REST}/tickers")
CLOCK: Final = Request(url=f"{REST}/order_book?contract=BTC_USDT&limit=1")

decode = decode_json
polls = nothing_to_ask
parse_poll = nothing_told


def _page(first: int) -> Request:
    return Request(url=f"{REST}/contracts?limit={_PAGE}&offset={first}", about=str(first))


LISTING: Final = (_page(0),)


def next_page(request: Request, answer: Any) -> Request | None:
    """Return what to ask for the contracts after a page that is full."""
    return _page(int(request.about) + _PAGE) if len(answer) == _PAGE else None


def instruments(answers: Sequence[Any], names: Names = USUAL) -> tuple[list[Instrument], list[str]]:
    """Return the perpetuals against USDT; sizes are in contracts."""

    def make(each: Any) -> Instrument:
        base, quote = each["name"].split("_")
        hours = each["funding_interval"] / _HOUR
        unit = each["quanto_multiplier"]
        return names.instrument(NAME, each["name"], base, quote, unit=unit, funding_hours=hours)

    return collected(chain.from_iterable(answers), make, lambda each: not each["in_delisting"])


def traded(answer: Any) -> dict[str, float]:
    """Return what was traded in US dollars: quote coins are."""
    return amounts(answer, "contract", "volume_24h_quote")


def clock_ms(answer: Any) -> float:
    """Return the venue's Unix time in milliseconds: a book has it in seconds."""
    return float(answer["current"]) * 1_000


def subscriptions(instruments: Sequence[Instrument]) -> list[Connection]:
    """Return as many connections as the contracts need; the first brings liquidations of all, too."""
    requests = (_subscribe(channel, each.name) for each in instruments for channel in _BY_CONTRACT)
    first, *others = one_by_one(WS, requests, _CONTRACTS * len(_BY_CONTRACT), headers=HEADERS)
    liquidates = as_text(_subscribe("futures.public_liquidates", "!all"))
    return [msgspec.structs.replace(first, frames=(liquidates, *first.frames)), *others]


def _subscribe(channel: str, contract: str) -> Any:
    return {"time": msgspec.Raw(NOW), "channel": channel, "event": "subscribe", "payload": [contract]}


def parse(frame: Any, state: State) -> list[Told]:
    """Return what a frame tells."""
    if frame.get("error"):
        return [Refused(str(frame["error"]))]
    if frame.get("event") != "update":
        return [Accepted()] if frame.get("event") == "subscribe" else []
    return _CHANNELS[frame["channel"]](frame, state)


def _liquidations(frame: Any, state: State) -> list[Told]:
    return state.told_of_each(frame["result"], "contract", partial(_liquidation, Ids()))


def _liquidation(ids: Ids, each: Any, of: Instrument, state: State) -> list[Told]:
    """Below zero the order sold: a long was liquidated."""
    size, time_ms = str(each["size"]), _milliseconds(each["time"])
    side: Side = "long" if size.startswith("-") else "short"
    event_id = ids.of(NAME, each["contract"], size, each["price"], each["time"])
    return [liquidation(of, side, size, each["price"], time_ms, event_id=event_id)]


def _milliseconds(time: float) -> int:
    return round(time * 1_000 if time < _SECONDS_END else time)


def _tickers(frame: Any, state: State) -> list[Told]:
    return state.told_of_each(frame["result"], "contract", partial(_ticker, frame["time_ms"]))


def _ticker(time_ms: int, each: Any, of: Instrument, state: State) -> list[Told]:
    state.quote(of.name).mark = float(each["mark_price"])
    return [
        *state.tick(of, time_ms),
        open_interest(of, of.usd(each["total_size"], each["mark_price"]), time_ms),
        funding(of, each["funding_rate"], time_ms),
    ]


def _book(frame: Any, state: State) -> list[Told]:
    return state.told_of_each([frame["result"]], "s", _best)


def _best(best: Any, of: Instrument, state: State) -> list[Told]:
    return state.quoted(of, best["t"], float(best["b"] or 0), float(best["a"] or 0))


def _trades(frame: Any, state: State) -> list[Told]:
    return state.told_of_each(frame["result"], "contract", _trade)


def _trade(each: Any, of: Instrument, state: State) -> list[Told]:
    """Leave out trades beside the public book."""
    return [] if each.get("is_internal") else [state.trade(of, each["size"], each["price"])]


_CHANNELS: Final = {
    "futures.public_liquidates": _liquidations,
    "futures.tickers": _tickers,
    "futures.book_ticker": _book,
    "futures.trades": _trades,
}
