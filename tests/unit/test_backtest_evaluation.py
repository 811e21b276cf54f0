import numpy as np
import pytest
from backtest_cases import DAY, MINUTE, START, made_market
from hypothesis import given
from hypothesis import strategies as st

from pipeline.backtest.alerts import alerts, judge
from pipeline.backtest.baselines import calibrated_norms, last_closed_move, usd_of_a_minute
from pipeline.backtest.bootstrap import draw_days, interval
from pipeline.backtest.evaluation import Series, evaluate, gain
from pipeline.backtest.labels import EventRule, label
from pipeline.backtest.report import SymbolReport, describe, in_words, outcome, spread
from pipeline.backtest.scores import average_precision, known_at, rank
from pipeline.signals.profile import SEED

MARKET = made_market()
LABELS = label(MARKET, EventRule())
SPAN = {"begin_ms": int(LABELS.minutes[0]), "end_ms": int(LABELS.minutes[-1]) + MINUTE}


def series(times, probability, levels=None):
    levels = np.zeros(len(times)) if levels is None else levels
    return Series(np.array(times, np.int64), np.array(probability, float), np.array(levels, np.int64))


def test_an_alert_fires_once_in_half_an_hour():
    times = START + MINUTE * np.array([0, 5, 29, 30, 31, 100])
    fired = alerts(times, np.array([True, True, True, True, True, False]))
    assert ((fired - START) / MINUTE).tolist() == [0, 30]


@pytest.mark.parametrize(
    ("after_min", "lead", "false"),
    [(-16, None, 1), (-15, 15.0, 0), (-1, 1.0, 0), (0, 0.0, 0), (5, -5.0, 0), (6, None, 0), (200, None, 1)],
)
def test_a_hit_is_near_an_onset(after_min, lead, false):
    fired = LABELS.onsets[:1] + after_min * MINUTE
    judged = judge(fired, LABELS)
    assert (None if np.isnan(judged.leads_min[0]) else judged.leads_min[0]) == lead
    assert len(judged.false_ms) == false
    assert judged.early[0] == (lead is not None and lead >= 1)


def test_an_alert_on_the_first_day_which_is_not_judged_is_neither_hit_nor_false():
    judged = judge(np.array([START + DAY // 2]), LABELS)
    assert len(judged.false_ms) == 0
    assert np.isnan(judged.leads_min).all()


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.9]), st.booleans()), min_size=1, max_size=30))
def test_average_precision_is_the_sum_over_thresholds(minutes):
    told = np.array([probability for probability, _ in minutes])
    positive = np.array([came for _, came in minutes])
    found = average_precision(rank(told), positive, np.ones(len(told)))
    if not positive.any():
        assert np.isnan(found)
        return
    area, recall = 0.0, 0.0
    for threshold in sorted(set(told), reverse=True):
        called = told >= threshold
        hits = (called & positive).sum()
        area += (hits / positive.sum() - recall) * hits / called.sum()
        recall = hits / positive.sum()
    assert found == pytest.approx(area)


def test_a_signal_tells_for_a_minute():
    found = known_at(np.array([1_000]), np.array([0.7]), np.array([0, 1_000, 61_000, 61_001]), 60)
    assert found.tolist() == [0.0, 0.7, 0.7, 0.0]
    assert known_at(np.array([]), np.array([]), np.array([0]), 60).tolist() == [0.0]


def test_who_knows_all_is_perfect_and_who_knows_nothing_has_no_skill():
    knows = series(LABELS.minutes, LABELS.positive, 4 * LABELS.positive)
    found = evaluate(knows, LABELS, (0.5,))
    assert (found.pr_auc, found.brier_skill, found.calibration_error) == pytest.approx((1.0, 1.0, 0.0))
    assert found.levels["EXTREME"].recall == found.at["0.5"].recall == found.budgets["1"].recall == 1.0
    assert found.levels["EXTREME"].early_recall == 1.0
    assert found.levels["EXTREME"].lead_min == 15.0
    base = series(LABELS.minutes, np.full(len(LABELS.minutes), LABELS.positive.mean()))
    nothing = evaluate(base, LABELS)
    assert nothing.brier_skill == pytest.approx(0.0)
    assert nothing.pr_auc == pytest.approx(LABELS.positive.mean())
    assert gain(knows, base, LABELS).is_certain
    assert not gain(base, base, LABELS).is_certain
    silent = evaluate(series([], []), LABELS)
    assert (silent.signals, silent.budgets, silent.levels["ALERT"].lead_min) == (0, {}, None)


def test_without_events_recall_is_not_told():
    calm = label(made_market(crashes=()), EventRule())
    found = evaluate(series(calm.minutes, np.full(len(calm.minutes), 0.3)), calm)
    assert (found.pr_auc, found.brier_skill, found.levels["ALERT"].recall) == (None, None, None)
    report = SymbolReport(**SPAN, days=5.0, minutes=7_200, base_rate=0.0, episodes=[], runs={}, gains={})
    assert "nothing to foretell" in in_words("BTCUSDT", report)
    assert outcome(found.levels["ALERT"]) == "0.00 false alarms a day"
    assert spread(-0.04, (-0.04, 0.04), 1) == "0.0 [0.0 0.0]"
    assert spread(None, None) == "\N{EN DASH}"


def test_where_all_drawings_are_alike_no_interval_is_told():
    knows = evaluate(series(LABELS.minutes, LABELS.positive, 4 * LABELS.positive), LABELS)
    assert outcome(knows.levels["ALERT"]).startswith(
        "a recall of 1.00 on too little to tell an interval, at "
    )
    assert spread(1.0, (1.0, 1.0)) == "1.00 [\N{EN DASH}]"
    assert spread(0.9, (0.8, 1.0)) == "0.90 [0.80 1.00]"


def test_where_every_minute_or_none_comes_before_an_event_nothing_has_skill():
    told = series(LABELS.minutes, np.full(len(LABELS.minutes), 0.3))
    for came in (True, False):
        labels = LABELS._replace(positive=np.full(len(LABELS.minutes), came))
        found = evaluate(told, labels)
        assert (found.brier_skill, found.brier_skill_interval) == (None, None)
        assert found.brier == pytest.approx(0.49 if came else 0.09)
        assert gain(told, told, labels).pr_auc == (0.0 if came else None)


def test_an_event_at_midnight_counts_for_the_day_before_where_the_data_end_with_it():
    midnight = START + 5 * DAY
    market = made_market(crashes=(3.4, (midnight - START - 5 * MINUTE) / DAY))
    known = market.opens_ms <= midnight
    ending = market._replace(opens_ms=market.opens_ms[known], closes=market.closes[known])
    labels = label(ending, EventRule(quantile=None))
    assert labels.onsets[-1] == midnight > labels.minutes[-1]
    found = evaluate(series(labels.minutes, labels.positive, 4 * labels.positive), labels).levels["ALERT"]
    assert (found.caught, found.recall, found.recall_interval) == (2, 1.0, (1.0, 1.0))


def test_few_episodes_are_called_few():
    report = SymbolReport(
        **SPAN, days=5.0, minutes=7_200, base_rate=0.01, episodes=describe(LABELS), runs={}, gains={}
    )
    assert in_words("BTCUSDT", report).endswith("too few to tell signals apart for certain")
    report.episodes = report.episodes[:1]
    assert in_words("BTCUSDT", report).startswith("BTCUSDT: 1 episode in 5.0 days, 1.0% of the minutes")


def test_days_are_drawn_whole_and_always_the_same():
    one, two = draw_days(LABELS.minutes), draw_days(LABELS.minutes)
    assert all(np.array_equal(a, b) for a, b in zip(one.draws, two.draws, strict=True))
    assert all(draw.sum() == len(draw) == 5 for draw in one.draws)
    assert interval([]) is None


def test_norms_are_what_the_feed_shows():
    found = calibrated_norms([MARKET]).score
    assert 0.1 <= found.full_velocity < SEED.score.full_velocity
    assert found.full_volume_usd < SEED.score.full_volume_usd


def test_baselines_rise_in_a_crash():
    onset = LABELS.onsets[0]
    for found in (usd_of_a_minute(MARKET, LABELS.minutes), last_closed_move(MARKET, EventRule())):
        near = np.abs(found.times_ms - onset) < 10 * MINUTE
        assert found.probability[near].max() > 0.5 > np.median(found.probability)
        assert found.level[near].max() >= 2
