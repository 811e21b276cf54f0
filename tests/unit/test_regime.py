import pytest
from price_cases import START, Market, funding, price, sent

from pipeline.contract import CONTEXT, REGIME
from pipeline.features.event import Event
from pipeline.features.states import snapshot
from pipeline.messages import Adjustments, Context, RegimeContext, Thresholds


def calm(first, last, step=1, **fields):
    for second in range(first, last, step):
        yield price(second, 60_000 + 30 * (second // step % 2), **fields)


def regimes(market, prices):
    return [update for tick in prices for update in sent(market.feed(tick), REGIME)]


def test_the_first_price_makes_a_context_that_is_warming():
    event = Market().feed(price(0.25, 60_000))
    assert event.context == Context(
        symbol="BTCUSDT",
        timestamp=START + 0.25,
        sequence=1,
        btc_price=60_000,
        volatility_regime="NORMAL",
        market_regime="NORMAL",
        vol_risk_multiplier=1.5,
        cascade_sensitivity=1.0,
        velocity_threshold_multiplier=1.0,
        warming=True,
    )
    assert sent(event, CONTEXT) == [event.context]
    assert {output.key for output in event.outputs} == {"BTCUSDT"}


def test_a_second_brings_one_context_whatever_the_number_of_prices():
    market = Market()
    events = [market.feed(price(tick / 10, 60_000)) for tick in range(31)]
    made = [event.context for event in events if event.context]
    assert [context.timestamp - START for context in made] == [0, 1, 2, 3]
    assert [context.sequence for context in made] == [1, 2, 3, 4]


def test_every_bar_brings_a_context():
    market = Market()
    events = [market.feed(tick) for tick in calm(0, 3_000, step=300)]
    assert all(event.context for event in events)
    assert events[-1].context.market_regime == "DORMANT"


def test_a_change_of_regime_is_told_at_once_and_its_time_counted():
    market = Market()
    updates = regimes(
        market, [*calm(0, 400, step=5), price(400, 60_000), price(401, 63_300), price(411, 63_300)]
    )
    changed = [(u.timestamp - START, u.market_regime) for u in updates if u.regime_changed]
    assert changed == [(240, "DORMANT"), (401, "EXTREME")]
    assert [u.time_in_regime for u in updates[-3:]] == [160, 0, 10]
    assert list(market.state("regime").changes) == [((START + 240) * 10**6, 0), ((START + 401) * 10**6, 5)]


def test_the_first_regime_is_no_change():
    (first,) = regimes(Market(), [price(0, 60_000)])
    assert not first.regime_changed
    assert first.time_in_regime == 0


def test_everything_that_follows_from_a_regime_is_told():
    market = Market()
    (update,) = regimes(market, calm(0, 301, step=300))[-1:]
    (update,) = regimes(market, [price(600, 60_000)])
    assert update.market_regime == update.volatility_regime == "DORMANT"
    assert update.liquidity_regime == "NORMAL"
    assert update.trend_regime == "RANGING"
    assert update.regime_confidence == 0.6
    assert update.thresholds == Thresholds(0.5, 0.6, 1.5)
    assert update.adjustments == Adjustments(1.5, 0.7, 0.8, 1.3)
    assert update.context == RegimeContext(60_000, None, None)
    assert (update.symbol, update.sequence) == ("BTCUSDT", 3)


@pytest.mark.parametrize("step", [60, 300])
def test_thin_trading_with_wide_spreads_raises_the_market_regime(step):
    market = Market()
    usual = calm(0, 24 * 3_600, step=step, volume_usd=100.0 * step, spread_bps=3.0)
    assert regimes(market, usual)[-1].liquidity_regime == "NORMAL"
    thin = calm(24 * 3_600, 25 * 3_600, step=step, volume_usd=step, spread_bps=30.0)
    update = regimes(market, thin)[-1]
    assert update.liquidity_regime == "ILLIQUID"
    assert (update.volatility_regime, update.market_regime) == ("DORMANT", "LOW")
    assert update.context.volume_24h_percentile == 0


def test_heavy_trading_with_narrow_spreads_lowers_the_market_regime():
    market = Market()
    wide = {"volume_usd": 300.0, "spread_bps": 1.0}
    regimes(market, (price(300 * bar, 60_000 + 900 * (bar % 2), **wide) for bar in range(48)))
    wide["volume_usd"] = 3_000.0
    heavy = (price(300 * bar, 60_000 + 900 * (bar % 2), **wide) for bar in range(48, 60))
    update = regimes(market, heavy)[-1]
    assert update.liquidity_regime == "DEEP"
    assert (update.volatility_regime, update.market_regime) == ("NORMAL", "LOW")


@pytest.mark.parametrize(("change", "trend"), [(0.004, "UP"), (0.008, "STRONG_UP"), (-0.004, "DOWN")])
def test_trend_of_one_minute_closes(change, trend):
    market = Market()
    update = regimes(market, (price(60 * minute, 60_000 * (1 + change) ** minute) for minute in range(25)))[
        -1
    ]
    assert update.trend_regime == trend


def test_other_symbols_and_messages_are_none_of_its_concern():
    market = Market()
    assert market.feed(price(0, 3_000, symbol="ETHUSDT")).context is None
    assert market.feed(funding(0, 0.001)).context is None
    assert market.steps[2][1].live == {}


def test_prices_that_do_not_count_make_no_context():
    market = Market()
    market.feed(price(0, 60_000, exchange="a"))
    assert market.feed(price(1, 60_000, exchange="b")).context is None


def test_a_repeated_record_makes_no_context():
    market = Market()
    event = market.feed(price(0, 60_000))
    again = Event(event.topic, event.symbol, event.message, event.time, event.offset)
    again.volatility = event.volatility
    market.steps[2][0].step(again, market.steps[2][1])
    assert again.context is None


def test_the_newest_100_changes_are_kept_and_the_snapshot_stays_small():
    market = Market()
    for bar in range(1_000):
        market.feed(
            price(300 * bar, 60_000 * (1 + 0.03 * (bar // 4 % 2)), volume_usd=1e9 / 3, spread_bps=1 / 3)
        )
    assert len(market.state("regime").changes) == 100
    assert len(snapshot(market.state("regime"))) < 8 * 1024
