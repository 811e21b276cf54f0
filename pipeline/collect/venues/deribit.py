"""Deribit, linear (against USDC): trades that are marked as liquidations of their taker, maker, or both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline.collect.names import USUAL
from pipeline.collect.venue import (
    Accepted,
    Connection,
    Heartbeat,
    Limits,
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
    groups,
    liquidation,
    nothing_to_ask,
    nothing_told,
    open_interest,
    position,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.collect.instruments import Instrument
    from pipeline.collect.names import Names
    from pipeline.messages import Side

NAME: Final = "deribit"
COVERAGE: Final = "trades marked as such"
HEARTBEAT: Final = Heartbeat(silence=45.0)
LIMITS: Final = Limits(streams=400, frames_per_second=5.0, lifetime=None)
WS: Final = "wss://streams.deribit.com/ws/api/v2"
REST: Final = "https://www.deribit.com/api/v2"
_ANSWER: Final = '{"jsonrpc":"2.0","id":9,"method":"public/test","params":{}}'
_OTHER: Final[Mapping[Side, Side]] = {"long": "short", "short": "long"}
LISTING: Final = (Request(url=f"{REST}/public/get_instruments?currency=any&kind=future"),)
VOLUMES: Final = Request(url=f"{REST}/public/get_book_summary_by_currency?currency=USDC&kind=future")
CLOCK: Final = Request(url=f"{REST}/public/get_time")

decode = decode_json
next_page = all_at_once
polls = nothing_to_ask
parse_poll = nothing_told


def instruments(answers: Sequence[Any], names: Names = USUAL) -> tuple[list[Instrument], list[str]]:
    """Return the linear perpetuals; amounts are in coins, funding is told for eight hours."""

    def make(each: Any) -> Instrument:
        return names.instrument(NAME, each["instrument_name"], each["base_currency"], each["quote_currency"])

    return collected(answers[0]["result"], make, _is_linear)


def _is_linear(each: Any) -> bool:
    return bool(
        each["settlement_period"] == "perpetual" and each["instrument_type"] == "linear" and each["is_active"]
    )


def traded(answer: Any) -> dict[str, float]:
    """Return what was traded in US dollars."""
    return amounts(answer["result"], "instrument_name", "volume_usd")


def clock_ms(answer: Any) -> float:
    """Return the venue's Unix time in milliseconds."""
    return float(answer["result"])


def subscriptions(instruments: Sequence[Instrument]) -> list[Connection]:
    """Return as many connections as the channels need; trades bring liquidations and volumes."""
    channels = [f"{kind}.{each.name}.100ms" for each in instruments for kind in ("trades", "ticker")]
    return [
        Connection(
            url=WS,
            frames=(
                _call(0, "public/set_heartbeat", {"interval": 15}),
                _call(len(group), "public/subscribe", {"channels": group}),
            ),
        )
        for group in groups(channels, LIMITS.streams)
    ]


def _call(number: int, method: str, params: Any) -> str:
    return as_text({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def parse(frame: Any, state: State) -> list[Told]:
    """Return what a frame tells."""
    if "error" in frame:
        return [Refused(str(frame["error"]))]
    if (method := frame.get("method")) is None:
        return _answered(frame["id"], frame["result"])
    if method == "heartbeat":
        return [Reply(_ANSWER)] if frame["params"]["type"] == "test_request" else []
    data = frame["params"]["data"]
    if frame["params"]["channel"].startswith("trades."):
        return state.told_of_each(data, "instrument_name", _trade)
    return state.told_of_each([data], "instrument_name", _ticker)


def _answered(asked: int, channels: Any) -> list[Told]:
    """Read an answer: one to a subscription lists what there is, and has the number asked for as its own."""
    if not isinstance(channels, list):
        return []
    missing = asked - len(channels)
    return [Refused(f"{missing} of {asked} channels are left out")] if missing > 0 else [Accepted()]


def _trade(trade: Any, of: Instrument, state: State) -> list[Told]:
    """`M`: the maker was liquidated, whose side is the other one; `MT`: both were."""
    parties = trade.get("liquidation", "")
    return [
        state.trade(of, trade["amount"], trade["price"]),
        *(_liquidation(trade, of, party, both=len(parties) > 1) for party in parties),
    ]


def _liquidation(trade: Any, of: Instrument, party: str, *, both: bool) -> Told:
    taker = position(trade["direction"])
    side = {"T": taker, "M": _OTHER[taker]}[party]
    event_id = f"{trade['trade_id']}-{party}" if both else str(trade["trade_id"])
    return liquidation(of, side, trade["amount"], trade["price"], trade["timestamp"], event_id=event_id)


def _ticker(ticker: Any, of: Instrument, state: State) -> list[Told]:
    time_ms, mark = ticker["timestamp"], float(ticker["mark_price"])
    bid, ask = float(ticker["best_bid_price"] or 0), float(ticker["best_ask_price"] or 0)
    return [
        *state.quoted(of, time_ms, bid, ask, mark),
        open_interest(of, of.usd(ticker["open_interest"], mark), time_ms),
        funding(of, ticker["funding_8h"], time_ms),
    ]
