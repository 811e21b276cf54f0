"""OKX swaps: liquidation orders, of which the venue says that they do not represent the total."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pipeline.collect.names import USUAL, UnknownUnitError
from pipeline.collect.venue import (
    HISTORY,
    Accepted,
    Closing,
    Connection,
    Heartbeat,
    Ids,
    Limits,
    Refused,
    Request,
    State,
    Told,
    all_at_once,
    collected,
    decode_but_pong,
    funding,
    liquidation,
    nothing_to_ask,
    nothing_told,
    open_interest,
    position,
    read_each,
    together,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.collect.instruments import Instrument
    from pipeline.collect.names import Names
    from pipeline.messages import Side

NAME: Final = "okx"
COVERAGE: Final = "partial"
HEARTBEAT: Final = Heartbeat(every=25.0, text="ping", silence=60.0)
LIMITS: Final = Limits(streams=400, frames_per_second=3.0, lifetime=None)
WS: Final = "wss://ws.okx.com/ws/v5/public"
REST: Final = "https://www.okx.com/api/v5"
_FRAME: Final = 100
_LIQUIDATIONS: Final = "liquidation-orders"
_BY_SWAP: Final = ("tickers", "trades", "open-interest", "funding-rate")
_HOUR_MS: Final = 3_600_000
_CLOSES_SOON: Final = "64008"
_SIDES: Final[Mapping[str, Side]] = {"long": "long", "short": "short"}
LISTING: Final = (Request(url=f"{REST}/public/instruments?instType=SWAP"),)
VOLUMES: Final = Request(url=f"{REST}/market/tickers?instType=SWAP")
CLOCK: Final = Request(url=f"{REST}/public/time")

decode = decode_but_pong
next_page = all_at_once
polls = nothing_to_ask
parse_poll = nothing_told


def instruments(answers: Sequence[Any], names: Names = USUAL) -> tuple[list[Instrument], list[str]]:
    """Return the linear swaps against USDT; sizes are in contracts."""

    def make(each: Any) -> Instrument:
        base, quote, _ = each["instId"].split("-")
        if each["ctValCcy"] != base:
            raise UnknownUnitError(f"{NAME} {each['instId']}: a contract's value is in {each['ctValCcy']}")
        unit = float(each["ctVal"] or 0) * float(each["ctMult"] or 0)
        return names.instrument(NAME, each["instId"], base, quote, unit=unit)

    return collected(answers[0]["data"], make, _is_linear)


def _is_linear(each: Any) -> bool:
    return bool(each["ctType"] == "linear" and each["settleCcy"] == "USDT" and each["state"] == "live")


def traded(answer: Any) -> dict[str, float]:
    """Return what was traded in US dollars: coins at the last price."""
    return {
        each["instId"]: float(each["volCcy24h"] or 0) * float(each["last"] or 0) for each in answer["data"]
    }


def clock_ms(answer: Any) -> float:
    """Return the venue's Unix time in milliseconds."""
    return float(answer["data"][0]["ts"])


def subscriptions(instruments: Sequence[Instrument]) -> list[Connection]:
    """Return as many connections as the channels need; liquidations come for all swaps at once."""
    args = [
        {"channel": _LIQUIDATIONS, "instType": "SWAP"},
        *({"channel": channel, "instId": each.name} for each in instruments for channel in _BY_SWAP),
    ]
    return together(WS, args, LIMITS.streams, _FRAME)


def parse(frame: Any, state: State) -> list[Told]:
    """Return what a frame tells.

    Names have to be equal: BTC-USD-SWAP begins as BTC-USDT-SWAP does, and is another thing.
    """
    if (event := frame.get("event")) is not None:
        return _control(event, frame)
    channel = frame["arg"]["channel"]
    read = partial(_liquidations, Ids()) if channel == _LIQUIDATIONS else _CHANNELS[channel]
    return state.told_of_each(frame["data"], "instId", read)


def _control(event: str, frame: Any) -> list[Told]:
    if event == "notice" and frame.get("code") == _CLOSES_SOON:
        return [Closing()]
    if event == "error":
        return [Refused(f"{frame.get('code')} {frame.get('msg')}")]
    return [Accepted()] if event == "subscribe" else []


def _liquidations(ids: Ids, each: Any, of: Instrument, state: State) -> list[Told]:
    """Read liquidations; the first message after a subscription repeats a recent one."""
    return read_each(each["details"], partial(_liquidation, ids, of, state))


def _liquidation(ids: Ids, of: Instrument, state: State, detail: Any) -> list[Told]:
    if state.replayed(int(detail["ts"])):
        return [HISTORY]
    side = _SIDES.get(detail["posSide"]) or position(detail["side"])  # `net` tells no side
    parts = (of.name, detail["posSide"], detail["side"], detail["bkPx"], detail["sz"], detail["ts"])
    event_id = ids.of(NAME, *parts)
    return [liquidation(of, side, detail["sz"], detail["bkPx"], int(detail["ts"]), event_id=event_id)]


def _ticker(each: Any, of: Instrument, state: State) -> list[Told]:
    return state.quoted(of, int(each["ts"]), float(each["bidPx"] or 0), float(each["askPx"] or 0))


def _trade(each: Any, of: Instrument, state: State) -> list[Told]:
    return [state.trade(of, each["sz"], each["px"])]


def _open_interest(each: Any, of: Instrument, state: State) -> list[Told]:
    return [open_interest(of, each["oiUsd"], int(each["ts"]))]


def _funding(each: Any, of: Instrument, state: State) -> list[Told]:
    """Read the rate of the settlement at `fundingTime`; the one after it tells the interval."""
    hours = (int(each["nextFundingTime"]) - int(each["fundingTime"])) / _HOUR_MS
    return [funding(msgspec.structs.replace(of, funding_hours=hours), each["fundingRate"], int(each["ts"]))]


_CHANNELS: Final = {
    "tickers": _ticker,
    "trades": _trade,
    "open-interest": _open_interest,
    "funding-rate": _funding,
}
