from pipeline import contract
from pipeline.cli.recorded.recordings import Recorded
from pipeline.cli.recorded.ticking import ticking
from pipeline.messages import Liquidation, Price

START = 1_700_000_000


def price(second, value, symbol="BTCUSDT"):
    return Recorded(
        (START + second) * 1_000, contract.PRICES, Price(symbol, value, START + second, volume_usd=9.0)
    )


def liquidation(second):
    message = Liquidation("BTCUSDT", "okx", "long", 1.0, 1.0, START + second)
    return Recorded((START + second) * 1_000, contract.LIQUIDATIONS, message)


def told(records, every=60):
    return [
        (found.time_ms // 1_000 - START, found.message.symbol, found.message.price)
        for found in ticking(records, every * 1_000)
        if isinstance(found.message, Price)
    ]


def test_between_bars_the_last_price_is_told_again_each_minute():
    bars = [price(0, 1.0), price(300, 2.0), price(600, 3.0)]
    assert told(bars) == [
        *((second, "BTCUSDT", 1.0) for second in range(0, 300, 60)),
        *((second, "BTCUSDT", 2.0) for second in range(300, 600, 60)),
        (600, "BTCUSDT", 3.0),
    ]
    again = list(ticking(bars, 60_000))[1].message
    assert (again.volume_usd, again.timestamp) == (None, START + 60)


def test_a_feed_that_ticks_is_left_alone():
    ticks = [price(second, 1.0 + second) for second in range(0, 300, 5)]
    assert list(ticking(ticks, 60_000)) == ticks


def test_a_price_that_moves_the_rhythm_is_followed():
    assert told([price(0, 1.0), price(90, 2.0), price(170, 3.0)]) == [
        (0, "BTCUSDT", 1.0),
        (60, "BTCUSDT", 1.0),
        (90, "BTCUSDT", 2.0),
        (150, "BTCUSDT", 2.0),
        (170, "BTCUSDT", 3.0),
    ]


def test_of_prices_of_one_moment_the_last_is_told_again_and_once():
    assert told([price(0, 1.0), price(0, 2.0), liquidation(100)])[2:] == [(60, "BTCUSDT", 2.0)]


def test_each_symbol_has_its_own_and_order_is_kept():
    records = [price(0, 1.0), price(30, 5.0, "ETHUSDT"), liquidation(61), liquidation(200)]
    found = list(ticking(records, 60_000))
    assert [record.time_ms for record in found] == sorted(record.time_ms for record in found)
    assert {name for _, name, _ in told(records)} == {"BTCUSDT", "ETHUSDT"}


def test_a_feed_that_is_down_is_not_kept_alive():
    assert told([price(0, 1.0), liquidation(5_000)])[-1][0] == 900
