"""HTX linear swaps: every frame is gzip, and liquidations have a connection of their own.

That a closing sell order liquidates a long is reasoned from the field's name, not measured.
"""

from __future__ import annotations

import zlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pipeline import contract
from pipeline.collect.names import USUAL
from pipeline.collect.venue import (
    LARGEST,
    Accepted,
    Connection,
    Dropped,
    Heartbeat,
    Ids,
    Limits,
    Read,
    Refused,
    Reply,
    Request,
    State,
    Told,
    all_at_once,
    amounts,
    as_text,
    collected,
    decode_json,
    funding,
    liquidation,
    one_by_one,
    open_interest,
    position,
    read_each,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pipeline.collect.instruments import Instrument
    from pipeline.collect.names import Names

NAME: Final = "htx"
COVERAGE: Final = "all, as far as is known"
HEARTBEAT: Final = Heartbeat(silence=30.0)
LIMITS: Final = Limits(streams=200, frames_per_second=10.0, lifetime=None, poll=15.0)
NOTIFICATIONS: Final = "wss://api.hbdm.com/linear-swap-notification"
MARKET: Final = "wss://api.hbdm.com/linear-swap-ws"
REST: Final = "https://api.hbdm.com/linear-swap-api/v1"
_GZIP: Final = zlib.MAX_WBITS | 16
_LISTED: Final = 1
_ALREADY: Final = 2014
"""The error of a subscription that is there already."""
_HELD: Final = Request(url=f"{REST}/swap_open_interest")
"""Tells open interest and volumes of all swaps."""
_SIDES: Final = 2
"""Open interest and volumes are sums of both sides."""
LISTING: Final = (Request(url=f"{REST}/swap_contract_info?business_type=swap"),)
VOLUMES: Final = _HELD
CLOCK: Final = Request(url=f"{REST}/swap_open_interest?contract_code=BTC-USDT")

next_page = all_at_once


def decode(frame: str | bytes) -> Any:
    """Return what a frame says."""
    return decode_json(_unpacked(frame) if isinstance(frame, bytes) else frame)


def _unpacked(frame: bytes) -> bytes:
    unpacking = zlib.decompressobj(_GZIP)
    text = unpacking.decompress(frame, LARGEST)
    if not unpacking.eof:
        raise ValueError(f"a frame that is cut short, or has more than {LARGEST} bytes")
    return text


def instruments(answers: Sequence[Any], names: Names = USUAL) -> tuple[list[Instrument], list[str]]:
    """Return the swaps against USDT; sizes of trades are in contracts."""

    def make(each: Any) -> Instrument:
        base, quote = each["contract_code"].split("-")
        return names.instrument(NAME, each["contract_code"], base, quote, unit=each["contract_size"])

    return collected(answers[0]["data"], make, _is_swap)


def _is_swap(each: Any) -> bool:
    return bool(each["contract_status"] == _LISTED and each["business_type"] == "swap")


def traded(answer: Any) -> dict[str, float]:
    """Return what was traded in US dollars."""
    return {
        name: usd / _SIDES for name, usd in amounts(answer["data"], "contract_code", "trade_turnover").items()
    }


def clock_ms(answer: Any) -> float:
    """Return the venue's Unix time in milliseconds: every answer has it."""
    return float(answer["ts"])


def subscriptions(instruments: Sequence[Instrument]) -> list[Connection]:
    """Return a connection for notifications, and as many for quotes and trades as there are instruments."""
    notified = ["public.*.liquidation_orders", *(f"public.{each.name}.funding_rate" for each in instruments)]
    market = [f"market.{each.name}.{kind}" for each in instruments for kind in ("bbo", "trade.detail")]
    return [
        *one_by_one(
            NOTIFICATIONS, ({"op": "sub", "topic": each, "cid": each} for each in notified), LIMITS.streams
        ),
        *one_by_one(MARKET, ({"sub": each, "id": each} for each in market), LIMITS.streams),
    ]


def parse(frame: Any, state: State) -> list[Told]:
    """Return what a frame of either connection tells."""
    if "ping" in frame:
        return [Reply(as_text({"pong": frame["ping"]}))]
    if frame.get("op") == "ping":
        return [Reply(as_text({"op": "pong", "ts": frame["ts"]}))]  # as it came: a text stays a text
    if frame.get("op") == "notify":
        read = _orders if frame["topic"].endswith("liquidation_orders") else _rates
        return read(frame, state)
    return _market(frame, state) if "tick" in frame else _control(frame)


def _control(frame: Any) -> list[Told]:
    code = frame.get("err-code", 0)
    if frame.get("status") == "error" or code not in {0, _ALREADY}:
        return [Refused(f"{code} {frame.get('err-msg')}")]
    return [Accepted()]


def _orders(frame: Any, state: State) -> list[Told]:
    """`amount` is in coins, `trade_turnover` in US dollars."""
    return read_each(frame["data"], partial(_of_swap, state, partial(_order, Ids())))


def _of_swap(state: State, read: Read, each: Any) -> list[Told]:
    if each["business_type"] != "swap" or each["offset"] != "close":
        return [Dropped("no closing order of a swap")]
    return state.told_of(each["contract_code"], each, read)


def _order(ids: Ids, each: Any, of: Instrument, state: State) -> list[Told]:
    parts = (each["contract_code"], each["direction"], each["price"], each["volume"], each["created_at"])
    side, time_ms = position(each["direction"]), each["created_at"]
    event_id = ids.of(NAME, *parts)
    told = liquidation(of, side, each["volume"], each["price"], time_ms, event_id=event_id)
    quantity = each["amount"] * of.multiplier
    return [msgspec.structs.replace(told, quantity=quantity, value_usd=each["trade_turnover"])]


def _rates(frame: Any, state: State) -> list[Told]:
    return state.told_of_each(frame["data"], "contract_code", partial(_rate, frame["ts"]))


def _rate(time_ms: int, each: Any, of: Instrument, state: State) -> list[Told]:
    return [funding(of, each["funding_rate"], time_ms)]


def _market(frame: Any, state: State) -> list[Told]:
    _, name, kind = frame["ch"].split(".", 2)
    return state.told_of(name, frame["tick"], _book if kind == "bbo" else _trades)


def _book(tick: Any, of: Instrument, state: State) -> list[Told]:
    bid, ask = (float(side[0]) if side else 0.0 for side in (tick["bid"], tick["ask"]))
    return state.quoted(of, tick["ts"], bid, ask)


def _trades(tick: Any, of: Instrument, state: State) -> list[Told]:
    return read_each(tick["data"], lambda each: [state.trade(of, each["amount"] / _SIDES, each["price"])])


def polls(instruments: Sequence[Instrument], topics: Collection[str]) -> list[Request]:
    """Return what brings open interest, of all swaps at once."""
    return [_HELD] if contract.OPEN_INTEREST in topics else []


def parse_poll(request: Request, answer: Any, state: State) -> list[Told]:
    """Return the open interest of one side in US dollars."""
    return state.told_of_each(answer["data"], "contract_code", partial(_held, answer["ts"]))


def _held(time_ms: int, each: Any, of: Instrument, state: State) -> list[Told]:
    return [open_interest(of, each["value"] / _SIDES, time_ms)]
