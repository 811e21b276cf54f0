from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from pipeline import codec, contract
from pipeline.cli.simulated.scenario import COINS, SHORTEST_S, schedule
from pipeline.cli.simulated.simulation import Market, simulate

START = 1_760_000_000.0


@pytest.fixture(scope="module")
def ticks():
    return list(simulate(30, 7, START))


def liquidations(ticks, symbol="BTCUSDT"):
    times = [tick.time for tick in ticks if tick.topic == contract.LIQUIDATIONS and tick.symbol == symbol]
    return np.array(times) - START


def test_same_seed_gives_the_same_market_and_another_seed_another(ticks):
    assert list(simulate(30, 7, START)) == ticks
    assert list(simulate(30, 8, START)) != ticks


def test_another_start_moves_every_time_and_nothing_else(ticks):
    moved = simulate(30, 7, START + 3_600)
    assert [(tick.topic, tick.symbol, round(tick.time - 3_600, 3)) for tick in moved] == [
        (tick.topic, tick.symbol, tick.time) for tick in ticks
    ]


def test_ticks_come_in_the_order_of_time_in_whole_milliseconds(ticks):
    assert all(before.time <= after.time for before, after in pairwise(ticks))
    assert all(tick.time == round(tick.time, 3) == tick.message["timestamp"] for tick in ticks)


def test_every_message_is_one_that_the_pipeline_takes(ticks):
    for tick in ticks:
        decoded = codec.decode(tick.topic, codec.encode(tick.message))
        assert not decoded.rejections, tick
        assert decoded.messages[0].symbol == tick.symbol


def test_every_symbol_and_venue_speaks_on_every_topic(ticks):
    spoken = {(tick.topic, tick.symbol, tick.message["exchange"]) for tick in ticks if tick.time >= START}
    assert spoken == {
        (topic, coin.symbol, venue)
        for topic in contract.FEEDS
        for coin in COINS
        for venue in ("binance", "bybit", "okx")
    }


@pytest.mark.parametrize("seconds", [20, 30, 60, 3_600])
def test_every_duration_has_all_phases_without_gaps(seconds):
    phases = schedule(seconds)
    assert [phase.name for phase in phases] == ["calm", "build-up", "cascade", "recovery"]
    assert all(before.end == after.begin for before, after in pairwise(phases))
    assert (phases[0].begin, phases[-1].end) == (0, pytest.approx(seconds))
    assert Market(seconds).onset == phases[2].begin


@pytest.mark.parametrize("seconds", [SHORTEST_S - 0.1, 86_401, float("nan")])
def test_impossible_durations_are_refused(seconds):
    with pytest.raises(ValueError, match="seconds: expected 20 to 86400"):
        Market(seconds)


def test_phase_before_the_start_is_the_first_and_after_the_end_the_last():
    market = Market(60)
    assert [market.phase_at(second).name for second in (-5, 0, 12, 24, 45, 60, 99)] == [
        "calm",
        "calm",
        "build-up",
        "cascade",
        "recovery",
        "recovery",
        "recovery",
    ]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("seconds", [20, 60])
def test_cascade_is_many_times_as_violent_as_what_is_before_and_after(seconds, seed):
    market = Market(seconds, seed)
    played = list(market.play(START))
    times = liquidations(played)
    rates = {
        phase.name: np.sum((times >= phase.begin) & (times < phase.end)) / (phase.end - phase.begin)
        for phase in market.phases
    }
    assert rates["calm"] < 5
    assert rates["cascade"] > 10 * max(rates["calm"], rates["build-up"], 1)
    assert rates["cascade"] > 2 * rates["recovery"]


def test_liquidations_push_the_price_down_and_close_open_interest():
    market = Market(60, 7)
    messages = [(tick.time - START, tick) for tick in market.play(START) if tick.symbol == "BTCUSDT"]
    cascade = [tick.message for time, tick in messages if market.phase_at(time).name == "cascade"]
    prices = [message["price"] for message in cascade if "spread_bps" in message]
    interest = [
        m["open_interest_usd"] for m in cascade if m.get("open_interest_usd") and m["exchange"] == "okx"
    ]
    assert prices[-1] < 0.98 * prices[0]
    assert interest[-1] < 0.95 * interest[0]


def test_the_others_follow_the_reference_one_after_the_other():
    market = Market(120, 3)
    played = list(market.play(START))
    middle = [
        np.median(times[times >= market.onset]) for times in (liquidations(played, c.symbol) for c in COINS)
    ]
    assert middle == sorted(middle)


def test_liquidations_cause_liquidations():
    # A Poisson process has a variance of counts equal to their mean; with a branching ratio of 0.3 a Hawkes
    # process has twice that in windows much longer than its memory: 1 / (1 - 0.3)^2.
    market = Market(4_000, 5)
    calm = market.phases[0]
    played = (tick for tick in market.play(START) if tick.time < START + calm.end)
    times = liquidations(_until(played, START + calm.end - 1))
    counts = np.histogram(times, bins=np.arange(0, calm.end - 2, 4))[0]
    assert 1.6 < counts.var() / counts.mean() < 2.6


def _until(ticks, end):
    found = []
    for tick in ticks:
        if tick.time >= end:
            break
        found.append(tick)
    return found


def test_past_ends_where_the_market_begins_and_covers_a_day_of_the_reference(ticks):
    past = [tick for tick in ticks if tick.time < START]
    prices = [tick for tick in past if tick.topic == contract.PRICES]
    reference = [tick for tick in prices if tick.symbol == "BTCUSDT"]
    assert reference[0].time == START - 86_400
    assert max(after.time - before.time for before, after in pairwise(reference)) <= 60
    assert Counter(tick.symbol for tick in prices if tick.time >= START - 300) == {
        coin.symbol: 300 for coin in COINS
    }
    assert [tick.message["price"] for tick in prices[-5:]] == [coin.price for coin in COINS]
    assert not [tick for tick in past if tick.topic == contract.LIQUIDATIONS]


def test_a_market_without_an_end_has_cascade_after_cascade_and_comes_back_from_each():
    market, rounds = Market(20, 3), 40
    prices, largest = [], Counter()
    before = START
    for each in market.repeat(START):
        if each.time >= START + rounds * 20:
            break
        assert before <= each.time
        before = each.time
        if each.topic == contract.PRICES and each.symbol == "BTCUSDT":
            prices.append(each.message["price"])
        elif each.topic == contract.LIQUIDATIONS and each.symbol == "BTCUSDT":
            largest[int((each.time - START) // 20)] += 1
    assert all(largest[number] > 100 for number in range(rounds))
    assert min(prices) > 64_000 / 2
    # From one round to the next too a price goes on from where it was.
    assert max(abs(np.diff(np.log(prices)))) < 0.05


def test_the_first_round_of_a_market_without_an_end_is_nearly_the_one_that_ends():
    one, first = Market(20, 3).play(START), Market(20, 3).repeat(START)
    for played, repeated in zip(one, first, strict=False):
        assert (repeated.topic, repeated.symbol) == (played.topic, played.symbol)
        if played.topic == contract.PRICES:
            assert repeated.message["price"] == pytest.approx(played.message["price"], rel=0.05)
