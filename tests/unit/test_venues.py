"""The venues' files: sides, sizes, values, prices, rates, ids, and what is left out."""

import copy
import gzip

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given
from venue_frames import CASES, T_MS, clock_of, deribit_trade, listing_of, parse, state_of

from pipeline import codec, contract
from pipeline.collect.collector import by_stream
from pipeline.collect.link import OVERLAP
from pipeline.collect.names import USUAL, UnknownUnitError
from pipeline.collect.reading import TOPIC_OF
from pipeline.collect.venue import (
    HISTORY,
    LARGEST,
    OTHER,
    UNKNOWN,
    UNREADABLE,
    Accepted,
    Closing,
    Dropped,
    Noted,
    Refused,
    Reply,
    Request,
    Unreadable,
)
from pipeline.collect.venues import VENUES
from pipeline.messages import FeedStatus, Funding, Liquidation, OpenInterest, Price

EVERY = sorted(VENUES)
LIQUIDATING = sorted(CASES)


def only(told, kind):
    return [each for each in told if isinstance(each, kind)]


@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize("name", LIQUIDATING)
def test_the_side_is_that_of_the_position_and_sizes_are_coins_and_dollars(name, side):
    case = CASES[name]
    (found,) = only(parse(name, getattr(case, side)), Liquidation)
    assert (found.symbol, found.exchange, found.side) == (case.symbol, name, side)
    assert (found.price, found.quantity, found.value_usd) == (60_000, 2, 120_000)
    assert found.timestamp == T_MS / 1_000


def test_every_venue_but_hyperliquid_publishes_liquidations():
    assert sorted({*VENUES} - {*CASES}) == ["hyperliquid"]
    assert VENUES["hyperliquid"].COVERAGE == "not published"


@pytest.mark.parametrize(("party", "sides"), [("T", ["long"]), ("M", ["short"]), ("MT", ["short", "long"])])
def test_deribit_tells_whether_maker_or_taker_was_liquidated(party, sides):
    found = only(parse("deribit", deribit_trade("sell", party)), Liquidation)
    assert [each.side for each in found] == sides
    assert [each.id for each in found] == (["77"] if len(sides) == 1 else ["77-M", "77-T"])


def test_a_net_position_at_okx_has_the_side_that_its_order_closed():
    frame = copy.deepcopy(CASES["okx"].long)
    frame["data"][0]["details"][0]["posSide"] = "net"
    assert parse("okx", frame)[0].side == "long"


@pytest.mark.parametrize(("time", "expected"), [(1_790_000_000, 1_790_000_000.0), (T_MS, T_MS / 1_000)])
def test_gate_tells_times_in_seconds_or_milliseconds(time, expected):
    frame = copy.deepcopy(CASES["gate"].long)
    frame["result"][0]["time"] = time
    assert parse("gate", frame)[0].timestamp == expected


@pytest.mark.parametrize(
    ("name", "rows_of"),
    [
        ("bybit", lambda frame: frame["data"]),
        ("okx", lambda frame: frame["data"]),
        ("okx", lambda frame: frame["data"][0]["details"]),
        ("gate", lambda frame: frame["result"]),
        ("htx", lambda frame: frame["data"]),
    ],
)
def test_equal_events_of_one_frame_have_ids_of_their_own_which_are_equal_on_another_connection(name, rows_of):
    frame = copy.deepcopy(CASES[name].long)
    rows = rows_of(frame)
    rows.append(copy.deepcopy(rows[0]))
    first, second = ([each.id for each in parse(name, frame)] for _ in range(2))
    assert first == second
    assert len(set(first)) == 2
    assert parse(name, CASES[name].short)[0].id not in first


def test_what_okx_repeats_at_first_is_history():
    state = state_of("okx", began_ms=T_MS + 5_001)
    assert parse("okx", CASES["okx"].long, state) == [HISTORY]


def test_history_after_a_subscription_is_no_event():
    assert parse("kraken", {"feed": "trade_snapshot", "product_id": "PF_XBTUSD", "trades": []}) == [HISTORY]
    about = {"instType": "usdt-futures", "topic": "publicTrade", "symbol": "BTCUSDT"}
    assert parse("bitget", {"action": "snapshot", "arg": about, "data": [{"v": "1", "p": "2"}]}) == [HISTORY]


@pytest.mark.parametrize("name", LIQUIDATING)
def test_what_is_not_collected_is_left_out_and_a_name_that_nobody_knows_is_told_apart(name):
    state = state_of(name)
    state.instruments.clear()
    assert parse(name, CASES[name].long, state) == [OTHER]
    state._known = ()
    assert parse(name, CASES[name].long, state) == [UNKNOWN]


@pytest.mark.parametrize("change", [{"st": 2}, {"s": "BTCUSD_PERP"}])
def test_binance_sends_coin_margined_orders_among_others(change):
    frame = copy.deepcopy(CASES["binance"].long)
    frame["o"] |= change
    assert parse("binance", frame) == [Dropped("coin-margined or dated")]


def test_binance_names_the_stream_where_there_are_several():
    assert parse("binance", {"stream": "!forceOrder@arr", "data": CASES["binance"].long}) == parse(
        "binance", CASES["binance"].long
    )


def book_and_trades():
    """Yield for each venue frames that bring best quotes of 59,990 and 60,010 after trades of $120,000."""
    yield "binance", _binance_like()
    yield "aster", _binance_like()
    ticker = {"bid1Price": "59990", "ask1Price": "60010", "markPrice": "60001"}
    yield (
        "bybit",
        [
            {"topic": "publicTrade.BTCUSDT", "data": [{"v": "1", "p": "60000"}, {"v": "1", "p": "60000"}]},
            {"topic": "tickers.BTCUSDT", "type": "snapshot", "ts": T_MS, "data": ticker},
        ],
    )
    yield (
        "okx",
        [
            {
                "arg": {"channel": "trades"},
                "data": [{"instId": "BTC-USDT-SWAP", "px": "60000", "sz": "200", "ts": str(T_MS)}],
            },
            {
                "arg": {"channel": "tickers"},
                "data": [
                    {"instId": "BTC-USDT-SWAP", "bidPx": "59990", "askPx": "60010", "ts": str(T_MS)},
                ],
            },
        ],
    )
    about = {"instType": "usdt-futures", "symbol": "BTCUSDT"}
    bitget = ticker | {"fundingRate": "0.0001", "openInterest": "10"}
    yield (
        "bitget",
        [
            {"action": "update", "arg": about | {"topic": "publicTrade"}, "data": [{"v": "2", "p": "60000"}]},
            {"action": "snapshot", "arg": about | {"topic": "ticker"}, "data": [bitget], "ts": T_MS},
        ],
    )
    trade = {"contract": "BTC_USDT", "size": -20_000, "price": "60000"}
    yield (
        "gate",
        [
            {
                "channel": "futures.trades",
                "event": "update",
                "result": [trade, trade | {"is_internal": True}],
            },
            {
                "channel": "futures.book_ticker",
                "event": "update",
                "result": {"t": T_MS, "s": "BTC_USDT", "b": "59990", "a": "60010"},
            },
        ],
    )
    yield (
        "htx",
        [
            {"ch": "market.BTC-USDT.trade.detail", "tick": {"data": [{"amount": 4_000, "price": 60_000}]}},
            {
                "ch": "market.BTC-USDT.bbo",
                "tick": {"bid": [59_990, 1], "ask": [60_010, 1], "ts": T_MS},
            },
        ],
    )
    kraken = {"feed": "trade", "product_id": "PF_XBTUSD", "type": "fill", "qty": 2, "price": 60_000}
    yield (
        "kraken",
        [
            kraken,
            {"feed": "ticker", "product_id": "PF_XBTUSD", "time": T_MS, "bid": 59_990, "ask": 60_010},
        ],
    )
    best = {"best_bid_price": 59_990, "best_ask_price": 60_010, "mark_price": 60_001, "open_interest": 1}
    yield (
        "deribit",
        [
            deribit_trade("buy", ""),
            {
                "method": "subscription",
                "params": {
                    "channel": "ticker.BTC_USDC-PERPETUAL.100ms",
                    "data": best
                    | {"instrument_name": "BTC_USDC-PERPETUAL", "timestamp": T_MS, "funding_8h": 0},
                },
            },
        ],
    )
    sides = [{"px": "59990", "sz": "1"}, {"px": "60010", "sz": "1"}]
    yield (
        "hyperliquid",
        [
            {"channel": "trades", "data": [{"coin": "BTC", "px": "60000", "sz": "2", "time": T_MS}]},
            {"channel": "bbo", "data": {"coin": "BTC", "time": T_MS, "bbo": sides}},
        ],
    )


def _binance_like():
    return [
        {"e": "aggTrade", "s": "BTCUSDT", "p": "60000", "q": "2", "T": T_MS},
        {"e": "bookTicker", "s": "BTCUSDT", "b": "59990", "a": "60010", "T": T_MS},
    ]


BOOKS = dict(book_and_trades())


@pytest.mark.parametrize("name", EVERY)
def test_a_price_is_the_middle_of_the_best_quotes_with_what_was_traded_since_the_last(name):
    state = state_of(name)
    told = [each for frame in BOOKS[name] for each in parse(name, frame, state)]
    (found,) = only(told, Price)
    assert (found.price, found.volume_usd) == (60_000, 120_000)
    assert found.spread_bps == pytest.approx(20 / 60_000 * 10_000)
    assert (found.exchange, found.timestamp) == (name, T_MS / 1_000)
    again = [each for frame in BOOKS[name] for each in parse(name, frame, state)]
    assert only(again, Price) == []  # one a second, by the venue's clock


@pytest.mark.parametrize("name", EVERY)
def test_quotes_and_trades_between_two_prices_are_data_too(name):
    """Else a connection with trades alone, or one between two rare prices, would count as silent."""
    state = state_of(name, price_every_ms=3_600_000)
    assert all(parse(name, frame, state) for frame in BOOKS[name] * 2)


def test_quotes_that_have_ceased_are_no_price_while_mark_prices_still_come():
    state = state_of("gate")
    _, book = BOOKS["gate"]
    told = parse("gate", book, state)
    for seconds in (1, 60, 61, 62):
        told += parse("gate", gate_ticker(T_MS + 1_000 * seconds, "61000"), state)
    told += parse("gate", book | {"result": book["result"] | {"t": T_MS + 63_000}}, state)
    prices = [(price.price, price.spread_bps) for price in only(told, Price)]
    assert [price for price, _ in prices] == [60_000, 60_000, 60_000, 61_000, 61_000, 60_000]
    assert [spread is None for _, spread in prices] == [False, False, False, True, True, False]


def gate_ticker(time_ms, mark):
    ticker = {"contract": "BTC_USDT", "mark_price": mark, "funding_rate": "0", "total_size": "100000"}
    return {"channel": "futures.tickers", "event": "update", "time_ms": time_ms, "result": [ticker]}


@pytest.mark.parametrize("off", [1_000, 1 + 1e-6])
def test_one_time_that_is_far_ahead_holds_up_no_price_after_it(off):
    _, book = _binance_like()
    state = state_of("binance")
    parse("binance", book | {"T": round(T_MS * off)}, state)
    times = [T_MS, T_MS + 500, T_MS + 1_000]
    told = [each for time in times for each in parse("binance", book | {"T": time}, state)]
    assert [price.timestamp for price in only(told, Price)] == [T_MS / 1_000, T_MS / 1_000 + 1]


def test_quotes_in_disorder_are_no_more_prices_and_none_goes_back():
    _, book = _binance_like()
    state, times = (
        state_of("binance"),
        [T_MS + step + back for step in range(0, 3_000, 100) for back in (0, -1_200)],
    )
    told = [each for time in times for each in parse("binance", book | {"T": time}, state)]
    assert [price.timestamp for price in only(told, Price)] == [T_MS / 1_000 + number for number in range(3)]


def test_volumes_add_up_to_the_trades_whenever_prices_are_told():
    state, told = state_of("binance", price_every_ms=250), []
    for number in range(100):
        trade, book = _binance_like()
        told += parse("binance", trade, state)
        told += parse("binance", book | {"T": T_MS + number * 100}, state)
    told += parse("binance", book | {"T": T_MS + 60_000}, state)
    assert sum(price.volume_usd for price in only(told, Price)) == 100 * 120_000
    assert len(only(told, Price)) == 35


def test_a_bundle_of_coins_is_told_as_coins():
    book = {"e": "bookTicker", "s": "1000PEPEUSDT", "b": "0.01", "a": "0.01", "T": T_MS}
    (price,) = parse("binance", book)
    assert (price.symbol, price.price) == ("PEPEUSDT", pytest.approx(0.00001))
    order = copy.deepcopy(CASES["binance"].long)
    order["o"] |= {"s": "1000PEPEUSDT", "z": "5000", "ap": "0.01"}
    (found,) = parse("binance", order)
    assert (found.symbol, found.quantity, found.value_usd) == ("PEPEUSDT", 5_000_000, 50)
    assert found.price == pytest.approx(0.00001)


@pytest.mark.parametrize("base", ["1000NEWCOIN", "NEWCOIN1000", "1MNEWCOIN", "kNEWCOIN", "1000000NEWCOIN"])
def test_a_bundle_that_nobody_knows_is_refused(base):
    with pytest.raises(UnknownUnitError, match="how many coins"):
        USUAL.instrument("binance", f"{base}USDT", base, "USDT")


@pytest.mark.parametrize("base", ["1INCH", "4STOCK", "BTC", "OKB", "1000X"])
def test_a_name_with_a_number_in_it_is_no_bundle(base):
    assert USUAL.instrument("binance", f"{base}USDT", base, "USDT").multiplier == 1


@pytest.mark.parametrize("unit", ["", None, 0, "nan", -1])
def test_an_instrument_whose_contract_size_is_unknown_is_refused(unit):
    with pytest.raises(UnknownUnitError, match="contract size"):
        USUAL.instrument("okx", "NEW-USDT-SWAP", "NEW", "USDT", unit=unit)


@pytest.mark.parametrize("change", [{"quanto_multiplier": "?"}, {"name": "ODD"}, {"funding_interval": None}])
def test_one_instrument_that_is_not_as_documented_is_refused_alone(change):
    (listed,) = listing_of("gate")
    found, refused = VENUES["gate"].instruments([[listed[0] | change, *listed]])
    assert [each.name for each in found] == [each["name"] for each in listed]
    assert len(refused) == 1


def test_instruments_are_live_linear_perpetuals_and_others_are_refused_by_name():
    found, refused = VENUES["okx"].instruments(listing_of("okx"))
    assert [each.name for each in found] == ["BTC-USDT-SWAP"]
    assert refused == ["okx NEW-USDT-SWAP: its contract size is 0.0"]
    assert [each.symbol for each in VENUES["binance"].instruments(listing_of("binance"))[0]] == [
        "BTCUSDT",
        "PEPEUSDT",
    ]
    assert [each.symbol for each in VENUES["bybit"].instruments(listing_of("bybit"))[0]] == [
        "BTCUSDT",
        "SHIBUSDT",
    ]
    assert [each.symbol for each in VENUES["hyperliquid"].instruments(listing_of("hyperliquid"))[0]] == [
        "BTCUSDT",
        "PEPEUSDT",
    ]


def test_contracts_of_gate_are_asked_for_until_a_page_is_not_full():
    gate = VENUES["gate"]
    (first,) = gate.LISTING
    second = gate.next_page(first, [{}] * 1_000)
    assert second.url.endswith("limit=1000&offset=1000")
    assert gate.next_page(second, [{}] * 1_000).url.endswith("offset=2000")
    assert gate.next_page(second, [{}] * 999) is None


@pytest.mark.parametrize("name", EVERY)
def test_a_venue_tells_its_time(name):
    assert VENUES[name].clock_ms(clock_of(name, T_MS)) == pytest.approx(T_MS, abs=0.5)


VOLUMES = {
    "binance": [{"symbol": "BTCUSDT", "volume": "2", "quoteVolume": "120000"}],
    "aster": [{"symbol": "BTCUSDT", "volume": "2", "quoteVolume": "120000"}],
    "bybit": {"result": {"list": [{"symbol": "BTCUSDT", "turnover24h": "120000", "volume24h": "2"}]}},
    "okx": {"data": [{"instId": "BTC-USDT-SWAP", "last": "60000", "vol24h": "200", "volCcy24h": "2"}]},
    "bitget": {"data": [{"symbol": "BTCUSDT", "baseVolume": "2", "quoteVolume": "120000"}]},
    "gate": [{"contract": "BTC_USDT", "volume_24h": "20000", "volume_24h_quote": "120000"}],
    "htx": {"ts": T_MS, "data": [{"contract_code": "BTC-USDT", "trade_turnover": 240_000}]},
    "kraken": {"tickers": [{"symbol": "PF_XBTUSD", "vol24h": 2, "volumeQuote": 120_000}]},
    "deribit": {"result": [{"instrument_name": "BTC_USDC-PERPETUAL", "volume_usd": 120_000}]},
    "hyperliquid": [{"universe": [{"name": "BTC"}]}, [{"dayNtlVlm": "120000", "dayBaseVlm": "2"}]],
}
"""What each venue says of 2 BTC traded at 60,000 within 24 hours."""


@pytest.mark.parametrize("name", EVERY)
def test_what_was_traded_is_told_in_dollars(name):
    (found,) = VENUES[name].traded(VOLUMES[name]).items()
    assert found == (next(iter(state_of(name).instruments)), 120_000)


def rate(told):
    (found,) = only(told, Funding)
    return found.rate


def test_rates_are_for_eight_hours_whatever_the_venue_s_interval():
    mark = {"e": "markPriceUpdate", "E": T_MS, "s": "1000PEPEUSDT", "p": "0.01", "r": "0.0001"}
    assert rate(parse("binance", mark)) == pytest.approx(0.0002)
    ticker = {"fundingRate": "0.0001", "fundingIntervalHour": "1"}
    frame = {"topic": "tickers.BTCUSDT", "type": "snapshot", "ts": T_MS, "data": ticker}
    assert rate(parse("bybit", frame)) == pytest.approx(0.0008)
    times = {"fundingTime": "1790006400000", "nextFundingTime": "1790020800000", "ts": str(T_MS)}
    data = {"instId": "BTC-USDT-SWAP", "fundingRate": "0.0001"} | times
    assert rate(parse("okx", {"arg": {"channel": "funding-rate"}, "data": [data]})) == pytest.approx(0.0002)
    kraken = {"feed": "ticker", "product_id": "PF_XBTUSD", "time": T_MS, "relative_funding_rate": 0.0001}
    assert rate(parse("kraken", kraken)) == pytest.approx(0.0008)
    notice = {"op": "notify", "topic": "public.BTC-USDT.funding_rate", "ts": T_MS}
    row = {"contract_code": "BTC-USDT", "funding_rate": "0.0001"}
    assert rate(parse("htx", notice | {"data": [row]})) == pytest.approx(0.0001)


def held(told):
    (found,) = only(told, OpenInterest)
    return found.open_interest_usd


def test_open_interest_is_of_one_side_in_dollars():
    ticker = {"openInterest": "20", "singleOpenInterestValue": "600000"}
    frame = {"topic": "tickers.BTCUSDT", "type": "snapshot", "ts": T_MS, "data": ticker}
    assert held(parse("bybit", frame)) == 600_000
    data = {"instId": "BTC-USDT-SWAP", "oi": "1000", "oiCcy": "10", "oiUsd": "600000", "ts": str(T_MS)}
    assert held(parse("okx", {"arg": {"channel": "open-interest"}, "data": [data]})) == 600_000
    assert held(parse("gate", gate_ticker(T_MS, "60000"))) == 600_000
    kraken = {
        "feed": "ticker",
        "product_id": "PF_XBTUSD",
        "time": T_MS,
        "openInterest": 10,
        "markPrice": 60_000,
    }
    assert held(parse("kraken", kraken)) == 600_000
    answer = {"ts": T_MS, "data": [{"contract_code": "BTC-USDT", "value": 1_200_000}]}
    assert held(VENUES["htx"].parse_poll(Request(url=""), answer, state_of("htx"))) == 600_000
    answer["data"].append({"contract_code": "X-USDT", "value": 1})
    assert UNKNOWN in VENUES["htx"].parse_poll(Request(url=""), answer, state_of("htx"))


@pytest.mark.parametrize("name", ["binance", "aster"])
def test_open_interest_that_is_asked_for_is_valued_at_the_mark_price_of_its_round(name):
    venue, state = VENUES[name], state_of(name)
    prices, one, _ = venue.polls(list(state.instruments.values()), contract.FEEDS)
    answer = {"symbol": "BTCUSDT", "openInterest": "10", "time": T_MS}
    assert venue.parse_poll(one, answer, state) == []
    assert venue.parse_poll(prices, [{"symbol": "BTCUSDT", "markPrice": "60000"}], state) == []
    assert held(venue.parse_poll(one, answer, state)) == 600_000


def test_hyperliquid_is_asked_for_open_interest_and_funding_which_have_no_time_of_their_own():
    venue, state = VENUES["hyperliquid"], state_of("hyperliquid")
    state.now_ms = T_MS
    (request,) = venue.polls(list(state.instruments.values()), contract.FEEDS)
    context = {"openInterest": "10", "markPx": "60000", "funding": "0.0001"}
    told = venue.parse_poll(request, [{"universe": [{"name": "BTC"}, {"name": "X"}]}, [context] * 2], state)
    assert (held(told), rate(told)) == (600_000, pytest.approx(0.0008))
    assert told.pop() == UNKNOWN
    assert {each.timestamp for each in told} == {T_MS / 1_000}


def test_a_field_that_a_delta_of_bybit_leaves_out_is_unchanged_and_an_empty_one_is_no_value():
    state = state_of("bybit")
    first = {"bid1Price": "59990", "ask1Price": "60010", "fundingRate": "0.0001", "fundingIntervalHour": "8"}
    parse("bybit", {"topic": "tickers.BTCUSDT", "type": "snapshot", "ts": T_MS, "data": first}, state)
    delta = {"topic": "tickers.BTCUSDT", "type": "delta", "ts": T_MS + 1_000}
    (price,) = parse("bybit", delta | {"data": {"ask1Price": "60030", "fundingRate": ""}}, state)
    assert price.price == 60_010


def test_only_binance_and_aster_are_sent_pings_of_the_protocol():
    """The others may not answer them, and have pings of their own."""
    assert {name for name in EVERY if VENUES[name].HEARTBEAT.protocol} == {"aster", "binance"}


def test_venues_that_ask_are_answered_in_their_own_words():
    assert parse("htx", {"op": "ping", "ts": "1789676447110"}) == [
        Reply('{"op":"pong","ts":"1789676447110"}')
    ]
    assert parse("htx", {"ping": 17}) == [Reply('{"pong":17}')]
    assert parse("deribit", {"id": 0, "result": "ok"}) == []
    (reply,) = parse("deribit", {"method": "heartbeat", "params": {"type": "test_request"}})
    assert msgspec.json.decode(reply.text)["method"] == "public/test"
    assert parse("okx", {"event": "notice", "code": "64008", "msg": "soon"}) == [Closing()]


@pytest.mark.parametrize(
    ("name", "frame", "words"),
    [
        ("binance", {"error": {"code": 2, "msg": "Invalid"}, "id": 1}, "Invalid"),
        (
            "bybit",
            {"success": False, "ret_msg": "error:handler not found", "op": "subscribe"},
            "handler not found",
        ),
        ("okx", {"event": "error", "code": "60018", "msg": "wrong"}, "60018 wrong"),
        ("bitget", {"event": "error", "code": 30_001, "msg": "no such channel"}, "30001 no such channel"),
        (
            "gate",
            {"event": "subscribe", "channel": "futures.tickers", "error": {"code": 17}, "result": None},
            "17",
        ),
        ("htx", {"op": "sub", "err-code": 2011, "err-msg": "illegal topic"}, "2011 illegal topic"),
        ("kraken", {"event": "error", "message": "Invalid product id"}, "Invalid product id"),
        ("kraken", {"event": "subscribed_failed", "feed": "trade"}, "subscribed_failed"),
        ("deribit", {"id": 2, "error": {"code": 11_050, "message": "bad_request"}}, "bad_request"),
        ("deribit", {"id": 3, "result": ["trades.X.100ms", "ticker.X.100ms"]}, "1 of 3 channels"),
        ("hyperliquid", {"channel": "error", "data": "Invalid subscription"}, "Invalid subscription"),
    ],
)
def test_a_subscription_that_is_refused_is_told_in_the_venue_s_words(name, frame, words):
    (told,) = parse(name, frame)
    assert isinstance(told, Refused)
    assert words in told.reason


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("binance", {"result": None, "id": 1}),
        ("bybit", {"success": True, "ret_msg": "", "op": "subscribe"}),
        ("okx", {"event": "subscribe", "arg": {}}),
        ("bitget", {"event": "subscribe", "arg": {}}),
        ("gate", {"event": "subscribe", "channel": "futures.tickers", "result": {"status": "success"}}),
        ("htx", {"op": "sub", "err-code": 2014, "topic": "public.*.liquidation_orders"}),
        ("kraken", {"event": "subscribed", "feed": "trade"}),
        ("deribit", {"id": 1, "result": ["trades.future.any.100ms"]}),
        ("hyperliquid", {"channel": "subscriptionResponse", "data": {}}),
    ],
)
def test_an_acknowledgement_is_no_data(name, frame):
    assert parse(name, frame) == [Accepted()]


@pytest.mark.parametrize("name", ["okx", "bitget"])
def test_a_pong_that_is_no_json_says_nothing(name):
    assert VENUES[name].decode("pong") is None
    assert parse(name, VENUES[name].decode('{"event":"subscribe"}')) == [Accepted()]


def test_frames_of_htx_are_compressed():
    assert VENUES["htx"].decode(gzip.compress(b'{"ping":1}')) == {"ping": 1}


@pytest.mark.parametrize(
    "frame",
    [gzip.compress(b"[" + b" " * LARGEST + b"]"), gzip.compress(b"[]")[:-1], b"[]"],
    ids=["too large", "cut off", "not compressed"],
)
def test_a_compressed_frame_that_is_too_large_or_none_is_unreadable(frame):
    assert len(frame) < 20_000
    with pytest.raises(UNREADABLE):
        VENUES["htx"].decode(frame)


@pytest.mark.parametrize("name", EVERY)
def test_no_connection_has_more_subscriptions_than_the_venue_allows(name):
    venue = VENUES[name]
    many = [msgspec.structs.replace(each, name=f"N{n}") for n in range(900) for each in _first(name)]
    connections = venue.subscriptions(many)
    named = [text for each in connections for text in (each.url, *each.frames)]
    for each in connections:
        assert max(text.count("N") for text in (each.url, *each.frames)) <= 3 * venue.LIMITS.streams
        assert len(each.frames) / venue.LIMITS.frames_per_second < OVERLAP  # else none replaces another
    assert all(any(f"{n}".lower() in text.lower() for text in named) for n in ("N0", "N899"))


def test_quotes_of_a_contract_at_gate_and_its_mark_price_come_on_one_connection():
    """Else either makes prices of its own: the mark price stands in where there are no quotes."""
    many = [msgspec.structs.replace(each, name=f"N{n}_") for n in range(200) for each in _first("gate")]
    connections = VENUES["gate"].subscriptions(many)
    assert sum("!all" in frame for each in connections for frame in each.frames) == 1
    for each in many:
        assert sum(any(each.name in frame for frame in some.frames) for some in connections) == 1


@pytest.mark.parametrize("name", ["bybit", "gate", "htx", "hyperliquid", "kraken"])
def test_what_is_refused_of_one_instrument_fails_alone(name):
    """Elsewhere each topic of a frame is answered for, or what there is not is left out."""
    two = [msgspec.structs.replace(each, name=f"Q{n}") for n in range(2) for each in _first(name)]
    frames = [frame for each in VENUES[name].subscriptions(two) for frame in each.frames]
    alone = [frame for each in two for frame in frames if each.name in frame]
    assert len(alone) == len({*alone}) == len([frame for frame in frames if "Q" in frame])


@pytest.mark.parametrize("name", EVERY)
def test_each_connection_has_a_name_of_its_own_that_can_be_told(name):
    many = [msgspec.structs.replace(each, name=f"N{n}") for n in range(900) for each in _first(name)]
    connections = VENUES[name].subscriptions(many)
    names = by_stream(connections)
    assert len(names) == len(connections)
    told = [codec.encode(FeedStatus(name, stream, 1.7e9, None, "cut")) for stream in names]
    assert all(not codec.decode(contract.FEED_STATUS, value).rejections for value in told)


def _first(name):
    return VENUES[name].instruments(listing_of(name))[0][:1]


FRAMES = [(name, frame) for name in LIQUIDATING for frame in (CASES[name].long, *BOOKS[name])]


@given(st.data())
def test_a_frame_that_is_not_as_documented_is_refused_and_breaks_nothing(data):
    name, frame = data.draw(st.sampled_from(FRAMES))
    broken = _broken(copy.deepcopy(frame), data)
    try:
        told = parse(name, broken)
    except UNREADABLE:
        return
    for each in told:
        if type(each) in TOPIC_OF:
            assert each.exchange == name


def rows_of(name, frame):
    """Return the list of events in a frame, where it has one."""
    match name:
        case "okx":
            return frame["data"][0].get("details", frame["data"])
        case "gate":
            return frame["result"]
        case "deribit":
            return frame["params"]["data"]
        case "htx" if "tick" in frame:
            return frame["tick"]["data"]
    return frame["data"]


def lists():
    """Yield frames that have lists of liquidations and trades; Kraken's have one."""
    for name in (each for each in LIQUIDATING if each != "kraken"):
        one = CASES[name].long
        yield name, {"data": [one]} if name in {"aster", "binance"} else one, Liquidation
    for name in ("bybit", "okx", "bitget", "gate", "htx", "hyperliquid"):
        yield name, BOOKS[name][0], Noted


@pytest.mark.parametrize(("name", "frame", "kind"), [*lists()])
@pytest.mark.parametrize("bad", [{}, None, "x", 7])
def test_a_row_that_is_not_as_documented_costs_none_of_its_neighbours(name, frame, kind, bad):
    frame = copy.deepcopy(frame)
    rows = rows_of(name, frame)
    rows[:] = [rows[0], bad, rows[0]]
    told = parse(name, frame)
    assert len(only(told, kind)) == 2
    assert [each.row for each in only(told, Unreadable)] == [bad]


def _broken(frame, data):
    """Change one place of a frame, at any depth."""
    places = list(_places(frame))
    where, key = data.draw(st.sampled_from(places))
    junk = st.sampled_from([None, "", "x", -1, 1e400, [], {}, "1e999", True, [[]], {"a": 1}])
    if data.draw(st.booleans()):
        where[key] = data.draw(junk)
    else:
        del where[key]
    return frame


def _places(content):
    keys = list(content) if isinstance(content, dict) else range(len(content))
    for key in keys:
        yield content, key
        if isinstance(content[key], (dict, list)):
            yield from _places(content[key])


def test_every_kind_of_message_has_a_topic():
    assert {*TOPIC_OF} == {Liquidation, Price, OpenInterest, Funding}
    assert {*TOPIC_OF.values()} == {*contract.FEEDS}
