"""Fits to labelled minutes: each does what it says on data of which the truth is known."""

from codecs import BOM_UTF8

import numpy as np
import pytest

from pipeline.backtest.bands import with_bands
from pipeline.backtest.evaluation import Series, evaluate
from pipeline.backtest.fitting import fit_map, fit_weights, lowest_within, mapped, rising_thresholds
from pipeline.backtest.labels import DAY, MINUTE, Labels
from pipeline.backtest.pooling import Moments, figures, pooled
from pipeline.backtest.walk_forward import gain_of, walk_forward
from pipeline.runtime.profiles import load_profile, save_profile
from pipeline.signals.profile import SEED


def minutes_of(days):
    return np.arange(days * DAY // MINUTE) * MINUTE


def labels_of(minutes, positive):
    none = np.array([], np.int64)
    return Labels(none, none, none, minutes, positive, positive, np.ones(len(minutes), bool))


def made(seed, days=8, weights=(0.7, 0.0, 0.3, 0.0, 0.0, 0.0)):
    """Return scores, of which only some tell anything, and whether a cascade followed."""
    random = np.random.default_rng(seed)
    minutes = minutes_of(days)
    parts = random.random((len(minutes), 6)) ** 3
    chance = 1 / (1 + np.exp(6 - 12 * parts @ np.array(weights)))
    return parts, labels_of(minutes, random.random(len(minutes)) < chance)


def test_a_map_tells_the_frequency_of_what_followed():
    random = np.random.default_rng(1)
    raw = random.random(50_000)
    found = fit_map(raw, random.random(50_000) < raw**2)
    assert len(found.raw) <= 25
    fresh = np.linspace(0.1, 0.95, 50)
    assert np.abs(mapped(fresh, found) - fresh**2).max() < 0.06


def test_a_map_ranks_scores_as_they_were_where_their_frequencies_do_not_rise():
    random = np.random.default_rng(9)
    raw = random.random(50_000)
    found = fit_map(raw, random.random(50_000) < np.where(raw < 0.8, 0.01, 0.3))
    high = mapped(np.linspace(0.93, found.raw[-1], 20), found)
    assert (np.diff(high) > 0).all()
    assert high == pytest.approx(np.full(20, 0.3), abs=0.05)


def test_there_is_no_map_of_a_single_score():
    assert fit_map(np.zeros(100), np.arange(100) < 3).raw == ()


def test_a_threshold_is_the_lowest_that_keeps_false_alarms_within_the_asked():
    minutes = minutes_of(2)
    values = np.zeros(len(minutes))
    values[[100, 500, 900, 1_300, 1_700]] = [0.1, 0.2, 0.3, 0.4, 0.5]
    labels = labels_of(minutes, np.zeros(len(minutes), bool))
    assert lowest_within([Moments(minutes, values, labels)], 1.0) == pytest.approx(
        0.3
    )  # 0.4 and 0.5: one a day
    assert lowest_within([Moments(minutes, values, labels)], 0.4) == pytest.approx(0.5)


def test_false_alarms_are_counted_a_day_and_symbol():
    minutes = minutes_of(2)
    one, other = np.zeros(len(minutes)), np.zeros(len(minutes))
    one[[100, 500, 900, 1_300]] = [0.1, 0.2, 0.3, 0.4]
    other[[100, 200]] = [0.5, 0.6]  # with one of another symbol at the same time
    told = [Moments(minutes, each, labels_of(minutes, minutes < 0)) for each in (one, other)]
    assert lowest_within(told, 1.0) == pytest.approx(0.2)  # 4 of the highest in 2 days of 2 symbols
    assert lowest_within(told[:1], 1.0) == pytest.approx(0.2)
    assert lowest_within(told[1:], 1.0) == pytest.approx(0.0)


def test_thresholds_rise_and_stay_within_one():
    assert rising_thresholds([0.2, 0.2, 0.5, 0.4]) == [0.2, 0.2001, 0.5, 0.5001]
    assert rising_thresholds([1.0, 1.0]) == [0.9999, 1.0]


def test_weights_are_those_of_what_tells_something():
    parts, labels = made(2)
    weights = fit_weights(parts, labels.positive)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    assert weights == pytest.approx([0.7, 0, 0.3, 0, 0, 0], abs=0.05)


def test_weights_that_are_surely_better_gain_and_the_same_do_not():
    parts, labels = made(3)
    worse = np.array([0, 0.25, 0, 0.25, 0.25, 0.25])
    assert gain_of(walk_forward(parts, worse, *pooled([labels]), 3)).is_certain
    assert not gain_of(walk_forward(parts, np.array([0.7, 0, 0.3, 0, 0, 0]), *pooled([labels]), 3)).is_certain


def test_what_is_told_depends_on_no_later_day():
    parts, labels = made(4)
    told = walk_forward(parts, np.full(6, 1 / 6), *pooled([labels]), 3)
    middle = labels.minutes >= 5 * DAY
    garbled, other = np.where(middle[:, None], 1 - parts, parts), labels.positive ^ middle
    later = walk_forward(garbled, np.full(6, 1 / 6), labels.minutes, other, 3)
    before = told.minutes < 5 * DAY
    assert before.any()
    for one, two in ((told.fitted, later.fitted), (told.given, later.given)):
        assert (one[before] == two[before]).all()
        assert (one[~before] != two[~before]).any()


def test_days_of_several_symbols_are_drawn_together():
    parts, labels = made(7)
    worse = np.array([0, 0.25, 0, 0.25, 0.25, 0.25])
    alone = gain_of(walk_forward(parts, worse, *pooled([labels]), 3))
    twice = gain_of(walk_forward(np.concatenate([parts] * 2), worse, *pooled([labels] * 2), 3))
    # a symbol that repeats another makes nothing more certain
    assert twice.pr_auc_interval == pytest.approx(alone.pr_auc_interval, rel=0.1)


def test_figures_of_one_symbol_are_those_of_a_backtest():
    _, labels = made(8)
    onsets = labels.minutes[labels.positive][::50]
    labels = labels._replace(onsets=onsets, ends=onsets)
    told = np.random.default_rng(8).random(len(labels.minutes)).round(3)
    series = Series(labels.minutes, told, np.digitize(told, [0.9, 0.95, 0.99, 0.998]))
    found, judged = figures([series], [labels]), evaluate(series, labels)
    expected = {"pr_auc": judged.pr_auc, "brier_skill": judged.brier_skill, "ece": judged.calibration_error}
    for level, report in judged.levels.items():
        expected[f"{level.lower()}_false_alarms_day"] = report.false_alarms_day
        expected[f"{level.lower()}_recall"] = report.recall
    assert found == pytest.approx(expected)
    assert figures([series] * 2, [labels] * 2) == pytest.approx(expected)


def test_too_few_days_are_said():
    parts, labels = made(5, days=2)
    with pytest.raises(ValueError, match="2 days are too few for 3 folds"):
        walk_forward(parts, np.full(6, 1 / 6), *pooled([labels]), 3)


@pytest.mark.parametrize("name", ["seed", "adaptive"])
def test_a_profile_that_was_saved_is_the_same_when_loaded(tmp_path, name):
    path = tmp_path / "profile.toml"
    save_profile(load_profile(name), path)
    assert load_profile(str(path)) == load_profile(name)
    path.write_bytes(BOM_UTF8 + path.read_bytes())  # as some editors begin
    assert load_profile(str(path)) == load_profile(name)


def test_regimes_of_volatility_take_their_share_of_a_feeds_time():
    values = np.random.default_rng(6).lognormal(-1.5, 0.5, 20_000)
    ladder = with_bands(SEED, values).volatility.judgement.ladder
    shares = np.bincount(np.digitize(values, ladder.bands)) / len(values)
    assert shares == pytest.approx([0.25, 0.25, 0.4, 0.09, 0.009, 0.001], abs=2e-4)
    assert ladder.fall_s == SEED.volatility.judgement.ladder.fall_s


def test_a_feed_that_stands_still_or_tells_nothing_has_regimes_too():
    still = with_bands(SEED, np.zeros(1_000)).volatility.judgement.ladder.bands
    assert still == pytest.approx([1e-4, 2e-4, 3e-4, 4e-4, 5e-4])
    assert with_bands(SEED, np.array([])) == SEED
