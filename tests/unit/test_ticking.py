from pipeline import contract
from pipeline.cli.recordings import Recorded
from pipeline.cli.ticking import ticking
from pipeline.messages import Price

MINUTE = 60_000


def prices(*minutes):
    return [
        Recorded(minute * MINUTE, contract.PRICES, Price("BTCUSDT", 100.0 + minute, minute * 60.0))
        for minute in minutes
    ]


def told(records):
    return [(record.time_ms // MINUTE, record.message.price) for record in ticking(records, MINUTE)]


def test_bars_are_repeated_each_minute_once_until_the_next():
    found = told(prices(0, 3, 6, 7))
    assert [minute for minute, _ in found] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert [price - 100 for _, price in found] == [0, 0, 0, 3, 3, 3, 6, 7]


def test_repetitions_end_where_a_feed_is_down():
    assert [minute for minute, _ in told(prices(0, 60))] == [*range(16), 60]
