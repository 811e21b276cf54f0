import math
from itertools import count

import numpy as np
import pytest
from price_cases import START, Market, funding, price, sent

from pipeline.features.event import Event
from pipeline.features.judgement import JudgementConstants
from pipeline.features.risk import RiskConstants
from pipeline.features.sampling import SamplingConstants
from pipeline.features.states import snapshot
from pipeline.features.volatility import VolatilityConstants, VolatilityStage


def market(**constants):
    return Market(VolatilityStage(VolatilityConstants(**constants)))


def judgement(event):
    return event.volatility.judgement


def zigzag(seconds, size_bps, *, first=0, step=1):
    """Prices that go up and down by the same log return."""
    for index, second in enumerate(range(first, first + seconds, step)):
        yield price(second, 60_000 * math.exp(size_bps / 10_000 * (index % 2)))


def test_prices_every_second_give_the_five_minute_volatility():
    """They left it at 0 for ever in the system before."""
    found = judgement(market().feed(*zigzag(600, 5)))
    assert found.volatility_5m == pytest.approx(0.05 * math.sqrt(300))
    assert found.volatility_15m == pytest.approx(0.05 * math.sqrt(599))


def test_prices_every_five_seconds_give_the_five_minute_volatility():
    """They crashed the system before."""
    found = judgement(market().feed(*zigzag(600, 5, step=5)))
    assert found.volatility_5m == pytest.approx(0.05 * math.sqrt(60))


def test_volatility_is_not_annualised():
    """Annualised, a market as calm as this was EXTREME by bands made for five minutes."""
    found = judgement(market().feed(*zigzag(600, 2)))
    assert found.volatility_5m == pytest.approx(0.3464, abs=1e-4)
    assert found.regime == "DORMANT"


def test_the_volatility_score_follows_the_market():
    """The risk multiplier never changed in the system before, so the volatility score never did."""
    calm, wild = (judgement(market().feed(*zigzag(600, size))).risk_multiplier for size in (2, 20))
    assert calm == pytest.approx(1)
    assert wild == pytest.approx(3)


def test_regimes_rise_at_once_and_fall_after_30_seconds():
    wild = market()
    wild.feed(*zigzag(400, 2))
    event = wild.feed(price(400, 63_000))
    assert judgement(event).regime == "HIGH"
    regimes = [judgement(wild.feed(price(second, 63_000))).regime for second in range(401, 741)]
    fall = 401 + regimes.index("DORMANT")
    assert abs(fall - (400 + 300 + 30)) <= 5  # a bucket of the five minutes
    assert set(regimes[: fall - 401]) == {"HIGH"}
    assert set(regimes[fall - 401 :]) == {"DORMANT"}


def test_it_warms_up_until_prices_cover_240_seconds():
    event = market().feed(*zigzag(240, 20))
    assert judgement(event).warming
    assert judgement(event).regime == "NORMAL"
    assert judgement(event).risk_multiplier == 1.5
    assert not judgement(market().feed(*zigzag(241, 20))).warming


def test_a_gap_over_60_seconds_warms_up_again():
    gapped = market()
    gapped.feed(*zigzag(600, 20))
    assert not judgement(gapped.feed(price(659, 60_000), *zigzag(100, 20, first=660))).warming
    event = gapped.feed(price(820, 60_000))
    assert judgement(event).warming
    assert judgement(event).regime == "NORMAL"
    assert judgement(gapped.feed(*zigzag(240, 20, first=821))).regime == "HIGH"


@pytest.mark.parametrize(("minutes", "bars"), [(1, 5), (3, 4), (5, 3)])
def test_bars_warm_up_too(minutes, bars):
    barred = market()
    step = minutes * 60
    size = 200 * math.sqrt(minutes / 5)
    bar = zigzag(step * 20, size, step=step)
    for _ in range(bars - 1):
        assert judgement(barred.feed(next(bar))).warming
    assert not judgement(barred.feed(next(bar))).warming
    found = judgement(barred.feed(*bar))
    assert found.volatility_5m == pytest.approx(2.0)
    assert found.regime == "ELEVATED"


def test_five_minute_bars_follow_the_market_bar_by_bar():
    barred = market()
    prices = [60_000, 60_030, 60_000, 60_030, 57_000, 57_030, 57_000, 57_030]
    regimes = [judgement(barred.feed(price(300 * bar, value))).regime for bar, value in enumerate(prices)]
    assert regimes == ["NORMAL"] * 2 + ["DORMANT"] * 2 + ["EXTREME"] * 2 + ["DORMANT"] * 2


def test_first_prices_that_turn_out_to_be_wrong_leave_no_volatility():
    wrong = [price(0, 100.0), price(1, 109.0)]
    right = [price(second, 200.0) for second in range(2, 300)]
    found = judgement(market().feed(*wrong, *right))
    assert (found.volatility_5m, found.volatility_1h, found.regime) == (0, 0, "DORMANT")


def test_bars_have_no_surge_that_they_cannot_know_of():
    found = judgement(market().feed(*zigzag(300 * 20, 100, step=300)))
    assert found.volatility_1m * math.sqrt(5) == pytest.approx(found.volatility_5m)
    assert found.risk_multiplier == pytest.approx(1.5)


def test_history_of_24_hours_ranks_a_sudden_move():
    barred = market()
    for bar in range(30):
        event = barred.feed(price(300 * bar, 60_000 * math.exp(0.001 * (bar % 2) * (1 + bar % 3))))
    assert 0 < judgement(event).percentile < 100
    found = judgement(barred.feed(price(9_000, 57_300)))
    assert found.percentile == 100
    assert found.z_score > 3
    assert found.risk_multiplier == pytest.approx(3 * 1.5 * 2)


def test_there_is_no_rank_before_12_values_of_history():
    barred = market()
    bars = [price(300 * bar, 60_000 + 90 * (bar % 2)) for bar in range(20)]
    ranks = [judgement(barred.feed(bar)).percentile for bar in bars]
    assert ranks[:14] == [None] * 14  # two bars warm up, twelve are history
    assert None not in ranks[14:]


def test_a_steady_market_is_in_the_middle_of_its_history_whatever_the_second():
    steady = market()
    steady.feed(*zigzag(300 * 16, 5))
    for second in range(300 * 16, 300 * 16 + 40):
        found = judgement(steady.feed(*zigzag(1, 5 * (second % 2), first=second)))
        assert found.regime == "LOW"
        assert found.risk_multiplier == pytest.approx(1.2)


def test_a_tick_of_the_same_second_brings_no_new_judgement():
    fine = market()
    first = fine.feed(*zigzag(300, 5), price(300.0, 60_000, volume_usd=5.0, spread_bps=2.0))
    second = fine.feed(price(300.9, 60_600, volume_usd=6.0))
    assert first.volatility.whole
    assert not second.volatility.whole
    assert (first.volatility.volume_usd, first.volatility.spread_bps) == (5.0, 2.0)
    assert second.volatility.price == 60_600
    assert judgement(second) is judgement(first)
    assert second.outputs == []


def test_late_foreign_and_unbelievable_ticks_leave_no_reading_and_no_trace():
    plain, noisy = market(), market()
    for second, tick in enumerate(zigzag(400, 5)):
        noisy.feed(tick)
        for wrong in (
            price(second - 0.5, 61_000),
            price(second, 61_000, exchange="okx"),
            price(second, 6_000, exchange="binance"),
        ):
            event = noisy.feed(wrong)
            assert event.volatility is None
            assert event.outputs == []
        assert judgement(noisy.feed(tick)) == judgement(plain.feed(tick, tick))


def test_messages_go_out_once_a_second_with_the_volume_since_the_last():
    busy = market()
    events = [busy.feed(price(tick / 4, 60_000 + tick, volume_usd=10.0)) for tick in range(41)]
    updates = [update for event in events for update in sent(event, "cascade.volatility")]
    assert [update.timestamp for update in updates] == [START + second for second in range(11)]
    assert [update.sequence for update in updates] == list(range(1, 12))
    assert [update.volume_usd for update in updates] == [10.0] + [40.0] * 10
    assert updates[-1].price == 60_040


def test_messages_without_volume_say_so():
    (update,) = sent(market().feed(price(0, 60_000)), "cascade.volatility")
    assert update.volume_usd is None


def test_an_unchanged_market_is_sent_every_30_seconds():
    quiet = market()
    events = [quiet.feed(price(second, 60_000)) for second in range(400)]
    times = [update.timestamp - START for event in events for update in sent(event, "cascade.volatility")]
    assert times[:3] == [0, 30, 60]
    assert 240 in times  # it is warm, so it changed
    assert len(times) < 400 / 30 + 2


def test_a_new_regime_is_sent_at_once_even_within_the_second():
    named = market(sampling=SamplingConstants(venue="b"))
    named.feed(*zigzag(400, 20))
    event = named.feed(price(399.5, 60_000, exchange="b"))
    (update,) = sent(event, "cascade.volatility")
    assert (update.regime, update.warming, update.timestamp) == ("NORMAL", True, START + 399.5)


def test_other_messages_are_none_of_its_concern():
    quiet = market()
    assert quiet.feed(funding(0, 0.0001)).volatility is None
    assert quiet.steps[0][1].live == {}


def test_every_symbol_has_its_own_volatility():
    both = market()
    for second in range(400):
        wild = both.feed(price(second, 3_000 * (1 + second % 2 / 500), symbol="ETHUSDT"))
        calm = both.feed(price(second, 60_000))
    assert judgement(wild).regime == "HIGH"
    assert judgement(calm).regime == "DORMANT"


def test_a_repeated_record_changes_nothing():
    repeated = market()
    event = repeated.feed(*zigzag(300, 5))
    before = snapshot(repeated.state("volatility"))
    again = Event(event.topic, event.symbol, event.message, event.time, event.offset)
    repeated.pass_on(again)
    assert again.volatility is None
    assert snapshot(repeated.state("volatility")) == before


def test_a_jump_of_the_clock_starts_again():
    jumped = market()
    jumped.feed(*zigzag(600, 20))
    event = jumped.feed(price(2_000_000_000, 60_000))
    assert judgement(event).warming
    assert judgement(event).volatility_1h == 0


def test_snapshots_stay_small():
    rng = np.random.default_rng(2)
    full = market()
    for bar, move in zip(count(), rng.normal(0, 0.002, 400), strict=False):
        full.feed(price(300 * bar, 60_000 * math.exp(float(move)), exchange="b" * 64, volume_usd=1e9))
    assert len(snapshot(full.state("volatility"))) < 8 * 1024


def test_constants_reach_the_judgement():
    bold = JudgementConstants(cover=0.1, risk=RiskConstants(by_regime=(7, 7, 7, 7, 7, 7)))
    found = judgement(market(judgement=bold).feed(*zigzag(31, 5)))
    assert not found.warming
    assert found.risk_multiplier >= 7
