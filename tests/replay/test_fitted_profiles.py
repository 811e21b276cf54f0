"""Profiles fitted to recorded data: what they promise is so on these data, and the pipeline takes them."""

import json

import numpy as np
import pytest
from commands import invoke, run_apart

from pipeline import contract
from pipeline.backtest.evaluation import Series, evaluate
from pipeline.backtest.fitting import fit_map, fit_weights, lowest_within, mapped
from pipeline.backtest.labels import DAY, Labels
from pipeline.backtest.levels import FLOOR_SHARE
from pipeline.backtest.pooling import at_minutes
from pipeline.backtest.walk_forward import EMBARGO
from pipeline.cli.fit.observing import observe, open_feed, without_map
from pipeline.cli.recorded.recordings import Period, Source
from pipeline.runtime.profiles import load_profile

pytestmark = pytest.mark.recorded


def fitting(recorded_data, command, out, *arguments):
    return run_apart(
        *(command, "--symbol", "BTCUSDT", "--out", out, "--until", "2024-03-07T00:00:00Z"),
        *("--liquidations", recorded_data / "liquidations" / "bybit_btcusdt_2024_q1.parquet"),
        *("--prices", recorded_data / "prices" / "binance_perp_btcusdt_5m_2023_2024.parquet"),
        *arguments,
    )


def without(labels, begin, end):
    """Return what there was to foretell outside a time, and far enough from it."""

    def outside(times):
        return (times < begin - EMBARGO) | (times >= end + EMBARGO)

    episodes, minutes = outside(labels.onsets), outside(labels.minutes)
    by_episode, by_minute = (labels.onsets, labels.ends), (labels.minutes, *labels[4:])
    return Labels(
        labels.qualifying, *(each[episodes] for each in by_episode), *(each[minutes] for each in by_minute)
    )


@pytest.mark.endurance
def test_what_is_fitted_to_five_sixths_of_the_days_holds_on_the_rest(recorded_data):
    files = [
        Source(contract.LIQUIDATIONS, recorded_data / "liquidations" / "bybit_btcusdt_2024_q1.parquet"),
        Source(
            contract.PRICES, recorded_data / "prices" / "binance_perp_btcusdt_5m_2023_2024.parquet", "BTCUSDT"
        ),
    ]
    (seen,) = observe(open_feed(files, Period()), without_map(load_profile("adaptive")))
    labels, times = seen.labels, seen.series.times_ms
    parts, minutes = at_minutes([seen.moments(seen.scores)]), labels.minutes
    told, level = np.zeros(len(times)), np.zeros(len(times), np.int64)
    for days in np.array_split(np.unique(minutes // DAY), 6):
        begin, end = days[0] * DAY, (days[-1] + 1) * DAY
        rest = without(labels, begin, end)
        known = (minutes < begin - EMBARGO) | (minutes >= end + EMBARGO)
        weights = fit_weights(parts[known], rest.positive)
        probability = mapped(seen.scores @ weights, fit_map(parts[known] @ weights, rest.positive))
        least = lowest_within([seen.moments(probability)._replace(labels=rest)], 0.85)
        block = (times >= begin) & (times < end)
        told[block], level[block] = probability[block], 2 * (probability[block] > least)
    found = evaluate(Series(times, told, level), labels)
    alert = found.levels["ALERT"]
    assert found.pr_auc >= 0.35
    assert found.brier_skill >= 0.22
    assert found.calibration_error <= 0.005
    assert alert.recall >= 0.85
    assert alert.early_recall >= 0.5
    assert alert.lead_min >= 1.5
    assert alert.false_alarms_day <= 1.0


@pytest.mark.endurance
@pytest.mark.parametrize("month", ["2021_05", "2021_12"])
def test_prices_alone_tell_of_their_moves_as_often_as_the_profile_says(recorded_data, tmp_path, month):
    """On months, a venue and bars that the profile was not fitted to, and without liquidations."""
    result = invoke(
        *("backtest", "--price-only", "--symbol", "BTCUSDT", "--out", tmp_path),
        *("--prices", recorded_data / "prices" / f"binance_spot_btcusdt_1m_{month}.parquet"),
    )
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "report.json").read_text())["symbols"]["BTCUSDT"]["runs"]
    ours = found["adaptive"]
    assert ours["pr_auc"] > 1.1 * found["last closed move"]["pr_auc"]
    assert ours["brier_skill"] >= 0.25
    assert ours["levels"]["ALERT"]["recall"] >= 0.85
    assert ours["levels"]["ALERT"]["false_alarms_day"] <= 1.0


@pytest.mark.parametrize("base", ["adaptive", "seed"])
def test_a_calibrated_profile_tells_frequencies_and_keeps_its_false_alarms(recorded_data, tmp_path, base):
    out = tmp_path / "mine.toml"
    result = fitting(recorded_data, "calibrate", out, "--profile", base, "--name", "mine")
    assert result.returncode == 0, result.stderr
    profile = load_profile(str(out))
    told = profile.provenance
    assert (profile.name, told.made_by) == ("mine", "cascade calibrate")
    assert told.end <= "2024-03-07T00:00:00Z"
    assert told.episodes >= 3
    assert told.figures["ece"] <= 0.005
    rates = [told.figures[f"{level}_false_alarms_day"] for level in ("watch", "alert", "critical", "extreme")]
    share = 1.0 if base == "adaptive" else 1 + FLOOR_SHARE
    assert all(rate <= share * most for rate, most in zip(rates, (3.0, 1.0, 0.5, 0.1), strict=True)), rates


def test_with_too_few_cascades_nothing_is_fitted(recorded_data, tmp_path):
    out = tmp_path / "mine.toml"
    result = fitting(recorded_data, "calibrate", out, "--until", "2024-02-15T00:00:00Z")
    assert (result.returncode, out.exists()) == (1, False)
    assert "too few to fit anything to" in result.stderr


def test_weights_that_are_not_surely_better_are_not_recommended(recorded_data, tmp_path):
    out = tmp_path / "mine.toml"
    result = fitting(recorded_data, "optimise", out, "--folds", "2")
    assert (result.returncode, out.exists()) == (1, False)
    assert "the gain's interval does not lie above zero" in result.stderr
