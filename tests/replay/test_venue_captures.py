"""The venues' files on frames that were captured from them, or are printed in their documentation."""

import msgspec
import pytest
from conftest import RECORDED

from pipeline.collect.names import USUAL
from pipeline.collect.venue import Dropped, Reply, Request, State
from pipeline.collect.venues import VENUES

pytestmark = pytest.mark.recorded

EXAMPLES = RECORDED.parent / "feeds" / "examples"
SIDES = {
    "binance_force_order": ("STGUSDT", "long", 5 * 0.1355),
    "aster_force_order": ("PAIRUSDT", "long", 28_448 * 0.0044461),
    "bybit_all_liquidation_long": ("ICPUSDT", "long", 19.7 * 2.585),
    "bybit_all_liquidation_short": (None, "short", None),
    "okx_liquidation_orders_short": ("CNPYUSDT", "short", 2_137 * 0.4162),
    "okx_liquidation_orders_long_demo": (None, "long", None),
    "kraken_trade_liquidation_sell": ("XRPUSDT", "long", None),
    "kraken_trade_liquidation_buy": (None, "short", None),
    "deribit_trades_liquidation_taker": ("BTCUSDC", "long", None),
    "deribit_trades_liquidation_maker": (None, None, None),
    "gate_public_liquidates": ("BTCUSDT", "long", 124.5 * 215.1),
    "htx_liquidation_orders": ("ETHUSDT", "short", 12_231.3),
    "bitget_liquidation": ("APEUSDT", "long", 13.70319),
}
"""By example: the symbol, side and value in US dollars of its first liquidation, where they are pinned here.

Kraken's and Deribit's are of inverse contracts, which are not collected: their sides are what counts.
"""
PRICES = {
    "binance_book_ticker": 33_136.905,
    "bybit_tickers_snapshot": 63_561.55,
    "okx_tickers": 2.17375,
    "bitget_ticker": 76_631.25,
    "gate_book_ticker": 2_172.835,
    "htx_bbo": 47_176.55,
    "kraken_ticker": 123.85,
    "deribit_ticker": 10_095.25,
}


def told_of(name):
    """Return what an example tells, with an instrument for every name that is in it."""
    venue = name.partition("_")[0]
    frame = msgspec.json.decode((EXAMPLES / f"{name}.json").read_bytes())
    state = State((), price_every_ms=0)
    state.instruments = Everything(venue)
    return VENUES[venue].parse(frame, state)


class Everything(dict):
    """Instruments by any name: with contracts of one coin."""

    def __init__(self, venue):
        super().__init__()
        self._venue = venue

    def get(self, name, _=None):
        base = name.removesuffix("-SWAP").replace("_", "-").replace("-USDT", "").replace("-PERPETUAL", "")
        base = base.removeprefix("PF-").removeprefix("PI-").removesuffix("USDT").removesuffix("USD")
        return USUAL.instrument(self._venue, name, base, "USDC" if self._venue == "deribit" else "USDT")


@pytest.mark.parametrize("name", SIDES)
def test_the_side_of_a_captured_liquidation(name):
    symbol, side, usd = SIDES[name]
    first = next(each for each in told_of(name) if hasattr(each, "side"))
    assert symbol in {None, first.symbol}
    assert side in {None, first.side}
    assert usd is None or first.value_usd == pytest.approx(usd)


def test_who_was_liquidated_at_deribit_as_maker_has_the_other_side():
    frame = msgspec.json.decode((EXAMPLES / "deribit_trades_liquidation_maker.json").read_bytes())
    (trade,) = [each for each in frame["params"]["data"] if each.get("liquidation") == "M"][:1]
    first = next(each for each in told_of("deribit_trades_liquidation_maker") if hasattr(each, "side"))
    assert first.side == {"sell": "short", "buy": "long"}[trade["direction"]]


@pytest.mark.parametrize("name", PRICES)
def test_the_price_of_a_captured_ticker(name):
    first = next(each for each in told_of(name) if hasattr(each, "volume_usd"))
    assert first.price == pytest.approx(PRICES[name])


def test_every_captured_frame_of_a_venue_can_be_read():
    others = {"binance_funding_info_rest", "binance_open_interest_rest", "aster_open_interest_rest"}
    others |= {
        "htx_open_interest_rest_data",
        "bitget_books1",
        "bybit_orderbook_1",
        "hyperliquid_active_asset_ctx",
    }
    others |= {"okx_bbo_tbt", "okx_mark_price"}  # channels that are not subscribed to
    names = sorted(path.stem for path in EXAMPLES.glob("*.json"))
    frames = [name for name in names if name.partition("_")[0] in VENUES and name not in others]
    assert len(frames) > 25
    for name in frames:
        told = told_of(name)
        assert not any(isinstance(each, Dropped) for each in told), name


def test_a_ping_of_htx_is_answered_as_it_came():
    assert told_of("htx_ping") == [Reply('{"op":"pong","ts":"1789676447110"}')]


def test_open_interest_of_htx_is_halved():
    rows = msgspec.json.decode((EXAMPLES / "htx_open_interest_rest_data.json").read_bytes())
    state = State(())
    state.instruments = Everything("htx")
    answer = {"ts": 1_630_454_400_000, "data": rows}
    (told,) = VENUES["htx"].parse_poll(Request(url=""), answer, state)
    assert told.open_interest_usd == pytest.approx(60_398_313.5659 / 2)
