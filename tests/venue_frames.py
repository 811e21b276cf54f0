"""What each venue sends, made up in the shape that its documentation describes.

For each venue: the answers with its instruments, and frames for a long and a short that were liquidated,
with what has to come of them.
"""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from pipeline.collect.venue import State
from pipeline.collect.venues import VENUES

T_MS = 1_790_000_000_123
"""When everything happens."""


class Case(NamedTuple):
    """A venue's instruments, and frames of liquidated longs and shorts: 2 BTC at 60,000 each."""

    listing: list[Any]
    name: str
    symbol: str
    long: Any
    short: Any


def _binance_info(**changes):
    listed = {
        "symbol": "BTCUSDT",
        "contractType": "PERPETUAL",
        "status": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
    }
    return listed | changes


def binance_listing():
    symbols = [
        _binance_info(),
        _binance_info(symbol="1000PEPEUSDT", baseAsset="1000PEPE"),
        _binance_info(symbol="BTCUSDT_261225", contractType="CURRENT_QUARTER"),
        _binance_info(symbol="OLDUSDT", status="SETTLING"),
    ]
    return [{"symbols": symbols}, [{"symbol": "1000PEPEUSDT", "fundingIntervalHours": 4}]]


def _force_order(side):
    order = {
        "s": "BTCUSDT",
        "S": side,
        "q": "3",
        "p": "61000",
        "ap": "60000",
        "X": "FILLED",
        "l": "1",
        "z": "2",
    }
    return {"e": "forceOrder", "E": T_MS + 900, "o": order | {"T": T_MS, "st": 1}}


def _bybit(side):
    event = {"T": T_MS, "s": "BTCUSDT", "S": side, "v": "2", "p": "60000"}
    return {"topic": "allLiquidation.BTCUSDT", "type": "snapshot", "ts": T_MS + 400, "data": [event]}


def _okx(position, side):
    detail = {"bkLoss": "0", "bkPx": "60000", "ccy": "", "posSide": position, "side": side, "sz": "200"}
    data = {"details": [detail | {"ts": str(T_MS)}], "instId": "BTC-USDT-SWAP", "instType": "SWAP"}
    return {"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": [data]}


def _bitget(side):
    event = {"symbol": "BTCUSDT", "side": side, "price": "60000", "amount": "120000", "ts": str(T_MS)}
    about = {"instType": "usdt-futures", "topic": "liquidation"}
    return {"action": "update", "arg": about, "data": [event], "ts": T_MS + 15_000}


def _gate(size):
    event = {"price": "60000", "size": size, "time": T_MS, "contract": "BTC_USDT"}
    return {
        "channel": "futures.public_liquidates",
        "event": "update",
        "time": 1_790_000_001,
        "result": [event],
    }


def _htx(direction):
    event = {
        "contract_code": "BTC-USDT",
        "direction": direction,
        "offset": "close",
        "volume": 2_000,
        "price": 60_000,
        "created_at": T_MS,
        "amount": 2,
        "trade_turnover": 120_000,
        "business_type": "swap",
    }
    return {"op": "notify", "topic": "public.BTC-USDT.liquidation_orders", "ts": T_MS + 5, "data": [event]}


def _kraken(side):
    trade = {"feed": "trade", "product_id": "PF_XBTUSD", "uid": "u-1", "side": side, "type": "liquidation"}
    return trade | {"seq": 7, "time": T_MS, "qty": 2, "price": 60_000}


def _deribit(direction, party="T"):
    trade = {
        "trade_id": "77",
        "timestamp": T_MS,
        "price": 60_000,
        "liquidation": party,
        "instrument_name": "BTC_USDC-PERPETUAL",
        "direction": direction,
        "amount": 2,
    }
    params = {"channel": "trades.BTC_USDC-PERPETUAL.100ms", "data": [trade]}
    return {"jsonrpc": "2.0", "method": "subscription", "params": params}


deribit_trade = _deribit

CASES = {
    "binance": Case(binance_listing(), "BTCUSDT", "BTCUSDT", _force_order("SELL"), _force_order("BUY")),
    "aster": Case(binance_listing(), "BTCUSDT", "BTCUSDT", _force_order("SELL"), _force_order("BUY")),
    "bybit": Case(
        [
            {
                "result": {
                    "list": [
                        {
                            "symbol": "BTCUSDT",
                            "contractType": "LinearPerpetual",
                            "status": "Trading",
                            "baseCoin": "BTC",
                            "quoteCoin": "USDT",
                            "fundingInterval": 480,
                        },
                        {
                            "symbol": "SHIB1000USDT",
                            "contractType": "LinearPerpetual",
                            "status": "Trading",
                            "baseCoin": "SHIB1000",
                            "quoteCoin": "USDT",
                            "fundingInterval": 240,
                        },
                    ]
                }
            }
        ],
        "BTCUSDT",
        "BTCUSDT",
        _bybit("Buy"),
        _bybit("Sell"),
    ),
    "okx": Case(
        [
            {
                "data": [
                    {
                        "instId": "BTC-USDT-SWAP",
                        "ctType": "linear",
                        "settleCcy": "USDT",
                        "state": "live",
                        "ctVal": "0.01",
                        "ctMult": "1",
                        "ctValCcy": "BTC",
                    },
                    {
                        "instId": "NEW-USDT-SWAP",
                        "ctType": "linear",
                        "settleCcy": "USDT",
                        "state": "live",
                        "ctVal": "",
                        "ctMult": "1",
                        "ctValCcy": "NEW",
                    },
                ]
            }
        ],
        "BTC-USDT-SWAP",
        "BTCUSDT",
        _okx("long", "sell"),
        _okx("short", "buy"),
    ),
    "bitget": Case(
        [
            {
                "data": [
                    {
                        "symbol": "BTCUSDT",
                        "symbolType": "perpetual",
                        "symbolStatus": "normal",
                        "baseCoin": "BTC",
                        "quoteCoin": "USDT",
                        "fundInterval": "8",
                    }
                ]
            }
        ],
        "BTCUSDT",
        "BTCUSDT",
        _bitget("buy"),
        _bitget("sell"),
    ),
    "gate": Case(
        [
            [
                {
                    "name": "BTC_USDT",
                    "quanto_multiplier": "0.0001",
                    "funding_interval": 28_800,
                    "in_delisting": False,
                }
            ]
        ],
        "BTC_USDT",
        "BTCUSDT",
        _gate("-20000"),
        _gate("20000"),
    ),
    "htx": Case(
        [
            {
                "data": [
                    {
                        "contract_code": "BTC-USDT",
                        "contract_size": 0.001,
                        "contract_status": 1,
                        "business_type": "swap",
                    }
                ]
            }
        ],
        "BTC-USDT",
        "BTCUSDT",
        _htx("sell"),
        _htx("buy"),
    ),
    "kraken": Case(
        [
            {
                "instruments": [
                    {
                        "symbol": "PF_XBTUSD",
                        "type": "flexible_futures",
                        "tradeable": True,
                        "pair": "XBT:USD",
                        "contractSize": 1,
                    }
                ]
            }
        ],
        "PF_XBTUSD",
        "BTCUSDT",
        _kraken("sell"),
        _kraken("buy"),
    ),
    "deribit": Case(
        [
            {
                "result": [
                    {
                        "instrument_name": "BTC_USDC-PERPETUAL",
                        "base_currency": "BTC",
                        "quote_currency": "USDC",
                        "settlement_period": "perpetual",
                        "instrument_type": "linear",
                        "is_active": True,
                    }
                ]
            }
        ],
        "BTC_USDC-PERPETUAL",
        "BTCUSDC",
        _deribit("sell"),
        _deribit("buy"),
    ),
}
"""By venue; all that publish liquidations."""

HYPERLIQUID_LISTING = [
    {"universe": [{"name": "BTC"}, {"name": "kPEPE"}, {"name": "OLD", "isDelisted": True}]}
]


def clock_of(name, ms):
    """Return what a venue answers when it is asked for the time."""
    return {
        "binance": {"serverTime": ms},
        "aster": {"serverTime": ms},
        "bybit": {"retCode": 0, "result": {"timeSecond": "1"}, "time": ms},
        "okx": {"code": "0", "data": [{"ts": str(ms)}]},
        "bitget": {"code": "00000", "requestTime": ms, "data": []},
        "gate": {"current": ms / 1_000, "update": 1.0, "asks": [], "bids": []},
        "htx": {"status": "ok", "data": [], "ts": ms},
        "kraken": {"serverTime": datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds")},
        "deribit": {"jsonrpc": "2.0", "result": ms, "usIn": 1},
        "hyperliquid": {"coin": "BTC", "time": ms, "levels": [[], []]},
    }[name]


def listing_of(name):
    return HYPERLIQUID_LISTING if name == "hyperliquid" else CASES[name].listing


def state_of(name, began_ms=T_MS - 1_000, **options):
    """Return the state of a fresh connection to a venue."""
    instruments, _ = VENUES[name].instruments(listing_of(name))
    return State(instruments, {each.name for each in instruments}, began_ms, **options)


def parse(name, frame, state=None):
    return VENUES[name].parse(frame, state or state_of(name))
