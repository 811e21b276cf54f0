import numpy as np
import pytest
from backtest_cases import BAR, START, made_market
from hypothesis import given
from hypothesis import strategies as st

from pipeline.backtest.labels import DAY, HORIZON, MINUTE, EventRule, Recorded, UnlabelledError, label
from pipeline.backtest.rolling import (
    delayed,
    filled,
    highest_ahead,
    rolling_deviation,
    rolling_quantile,
    rolling_sum,
)

VALUES = st.lists(st.one_of(st.floats(-1e3, 1e3), st.just(float("nan"))), min_size=1, max_size=40).map(
    np.array
)


@given(VALUES, st.integers(1, 10), st.integers(1, 5))
def test_rolling_statistics_are_those_of_each_window(values, window, least):
    sums, deviations = rolling_sum(values, window), rolling_deviation(values, window, least)
    quantiles = rolling_quantile(values, window, least, 0.7)
    for place in range(len(values)):
        newest = values[max(0, place - window + 1) : place + 1]
        known = newest[~np.isnan(newest)]
        whole = len(known) == window
        assert sums[place] == pytest.approx(known.sum() if whole else np.nan, abs=1e-6, nan_ok=True)
        wanted = np.std(known, ddof=1) if len(known) >= max(2, least) else np.nan
        assert deviations[place] == pytest.approx(wanted, abs=1e-3, nan_ok=True)
        wanted = np.quantile(known, 0.7) if len(known) >= least else np.nan
        assert quantiles[place] == pytest.approx(wanted, abs=1e-6, nan_ok=True)


@given(VALUES, st.integers(0, 6))
def test_what_lies_ahead_and_before(values, steps):
    highest, later, known = highest_ahead(values, steps), delayed(values, steps), filled(values, steps)
    for place in range(len(values)):
        ahead = values[place : place + steps + 1]
        wanted = np.nan if np.isnan(ahead).all() else np.nanmax(ahead)
        assert highest[place] == pytest.approx(wanted, nan_ok=True)
        assert later[place] == pytest.approx(values[place - steps] if place >= steps else np.nan, nan_ok=True)
        before = values[max(0, place - steps) : place + 1]
        before = before[~np.isnan(before)]
        assert known[place] == pytest.approx(before[-1] if len(before) else np.nan, nan_ok=True)


def test_the_crashes_are_the_episodes_and_nothing_else():
    labels = label(made_market(), EventRule())
    onsets = (labels.onsets - START) / DAY
    assert onsets == pytest.approx([3.4, 5.2], abs=16 * MINUTE / DAY)
    assert labels.positive.sum() == sum(
        any(0 <= close - minute <= HORIZON for close in labels.qualifying) for minute in labels.minutes
    )
    assert not labels.early[~labels.early_known].any()


@pytest.mark.parametrize("ahead", [-1, 1, 30_000, 90_000])
def test_bars_that_do_not_open_at_whole_multiples_of_their_length_have_the_same_events(ahead):
    """Closes are often told a millisecond before the minute: 12:04:59.999."""
    market = made_market()
    shifted = label(market._replace(opens_ms=market.opens_ms + ahead), EventRule())
    assert shifted.onsets - ahead == pytest.approx(label(market, EventRule()).onsets, abs=BAR)


def test_without_a_burst_a_move_is_no_event_but_by_prices_alone():
    market = made_market(crashes=(3.4,))
    calm = made_market(crashes=())
    quiet = Recorded(calm.liquidated_ms, calm.usd, market.opens_ms, market.closes)
    assert not len(label(quiet, EventRule()).onsets)
    assert len(label(quiet, EventRule(quantile=None)).onsets) == 1
    assert len(label(market, EventRule(side="down")).onsets) == 1
    rising = Recorded(market.liquidated_ms, market.usd, market.opens_ms, 1e4 / market.closes)
    assert len(label(rising, EventRule()).onsets) == 1
    assert not len(label(rising, EventRule(side="down")).onsets)


def test_what_happens_later_changes_no_label_before():
    market, cut = made_market(), START + int(4.5 * DAY)
    other = made_market(seed=2, crashes=(4.9,))
    begun, rest = market.liquidated_ms < cut, other.liquidated_ms >= cut
    bars = market.opens_ms < cut
    garbled = Recorded(
        np.concatenate([market.liquidated_ms[begun], other.liquidated_ms[rest]]),
        np.concatenate([market.usd[begun], 50 * other.usd[rest]]),
        market.opens_ms,
        np.where(bars, market.closes, 3 * other.closes),
    )
    one, two = label(market, EventRule()), label(garbled, EventRule())
    known = cut - 25 * MINUTE  # liquidations may come 10 minutes later, targets look 15 minutes ahead
    assert np.array_equal(one.qualifying[one.qualifying < known], two.qualifying[two.qualifying < known])
    early = one.minutes < known - HORIZON
    assert np.array_equal(one.positive[early], two.positive[: early.sum()])


def test_a_silent_feed_is_not_judged():
    market = made_market()
    silent = (market.liquidated_ms > START + 2 * DAY) & (market.liquidated_ms < START + 2.5 * DAY)
    labels = label(
        market._replace(liquidated_ms=market.liquidated_ms[~silent], usd=market.usd[~silent]), EventRule()
    )
    inside = (labels.minutes > START + 2.1 * DAY) & (labels.minutes < START + 2.4 * DAY)
    assert not inside.any()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"opens_ms": np.array([START])}, "bars of 1, 3 or 5 minutes"),
        ({"liquidated_ms": np.array([], np.int64), "usd": np.array([])}, "no liquidations"),
        ({"liquidated_ms": np.array([START, START + DAY // 2]), "usd": np.ones(2)}, "only 12.0 h of data"),
        ({"opens_ms": START + np.arange(0, 6 * DAY, 60 * MINUTE)}, "prices every 60 minutes: give bars"),
        ({"opens_ms": START + np.arange(0, 6 * DAY, 10 * MINUTE)}, "prices every 10 minutes: give bars"),
        ({"opens_ms": START - 90 * DAY + np.arange(0, DAY, 5 * MINUTE)}, "do they overlap"),
    ],
)
def test_data_that_tell_nothing_are_refused(change, why):
    market = made_market()
    if "opens_ms" in change:
        change["closes"] = market.closes[: len(change["opens_ms"])]
    with pytest.raises(UnlabelledError, match=why):
        label(market._replace(**change), EventRule())
