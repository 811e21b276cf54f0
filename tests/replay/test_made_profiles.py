"""Profiles fitted to a made market: what they hold, and that all that reads profiles takes them."""

from itertools import pairwise

import pytest
from backtest_cases import made_market, write_files
from commands import as_rows, cascade, offline, run_apart
from workers import Worker, differing, read_signals, until_caught_up

from pipeline import codec
from pipeline.messages import COMPONENTS
from pipeline.runtime.control import read_weights
from pipeline.runtime.profiles import load_profile
from pipeline.signals.profile import SEED

MARKETS = {
    "BTCUSDT": made_market(days=4, crashes=(1.6, 2.4, 3.3)),
    "ETHUSDT": made_market(days=4, crashes=(1.6, 2.1, 3.5), seed=2),
}
BLIND = dict.fromkeys(COMPONENTS, 0.0) | {"oi_change": 0.5, "funding": 0.5}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return [word for symbol, market in MARKETS.items() for word in write_files(market, folder, symbol)]


@pytest.fixture(scope="module")
def calibrated(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("fitted") / "mine.toml"
    result = run_apart("calibrate", *files, "--name", "mine", "--out", out)
    assert result.returncode == 0, result.stderr
    return out


@pytest.fixture(scope="module")
def optimised(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    blind = folder / "blind.json"  # looks at what the made market does not tell
    blind.write_bytes(codec.encode({"name": "blind", "score": {"weights": BLIND, "habits": {}}}))
    out = folder / "better.toml"
    result = run_apart("optimise", *files, "--profile", blind, "--name", "better", "--folds", 2, "--out", out)
    assert result.returncode == 0, result.stderr
    return out


async def test_a_calibrated_profile_is_one_that_a_worker_and_a_replay_take(
    settings, files, calibrated, tmp_path
):
    mine = settings.model_copy(update={"profile": str(calibrated)})
    assert (await cascade(mine, "config", "check")).exit_code == 0
    found = await offline(settings, files[:4], tmp_path / "signals.jsonl", "--profile", str(calibrated))
    assert {row["profile"] for row in found.values()} == {"mine"}


def test_a_calibrated_profile_has_the_bands_of_its_feed(calibrated):
    profile = load_profile(str(calibrated))
    bands = profile.volatility.judgement.ladder.bands
    assert all(low < high for low, high in pairwise(bands))
    # sizes of normally distributed moves of 0.06%: 0.32 of that at a quarter, 0.67 at half
    assert bands[:2] == pytest.approx([0.019, 0.040], rel=0.1)
    assert profile.provenance.made_by == "cascade calibrate"
    assert profile.volatility.judgement.risk == SEED.volatility.judgement.risk


def test_a_profile_is_fitted_to_all_symbols(calibrated):
    profile = load_profile(str(calibrated))
    told = profile.provenance
    assert told.feed.startswith("BTCUSDT, ETHUSDT: ")
    assert told.liquidations == sum(len(market.liquidated_ms) for market in MARKETS.values())
    assert told.episodes == 6
    assert told.note == "only 6 cascades: figures say little"
    rates = [told.figures[f"{level}_false_alarms_day"] for level in ("watch", "alert", "critical", "extreme")]
    # a day and symbol; 3 judged days of 2 symbols: one more or less is 0.17
    assert all(rate <= most + 0.17 for rate, most in zip(rates, (3.0, 1.0, 0.5, 0.1), strict=True)), rates
    assert told.figures["watch_recall"] == 1.0


def test_weights_that_see_are_recommended_over_those_that_do_not(optimised):
    profile = load_profile(str(optimised))
    assert profile.provenance.made_by == "cascade optimise"
    assert profile.provenance.figures["gain_pr_auc"] > 0.1
    weights = profile.score.weights
    assert {name: weights[name] for name in BLIND if BLIND[name]} == pytest.approx(
        {"oi_change": 0.0, "funding": 0.0}, abs=1e-3
    )


async def test_a_fitted_profile_gives_the_same_offline_and_in_a_worker(settings, files, tmp_path, optimised):
    mine = settings.model_copy(update={"profile": str(optimised)})
    assert (await cascade(mine, "config", "check")).exit_code == 0
    expected = await offline(settings, files, tmp_path / "signals.jsonl", "--profile", str(optimised))
    assert (await cascade(settings, "replay", *files, "--to-kafka")).exit_code == 0
    with Worker(mine) as worker:
        await until_caught_up(settings, workers=[worker])
        assert worker.stop() == 0
    found = as_rows(await read_signals(settings))
    assert {row["profile"] for row in found.values()} == {"better"}
    assert {"NONE", "EXTREME"} <= {row["signal"] for row in found.values()}
    assert differing(found, expected) == []


async def test_the_weights_of_a_fitted_profile_can_be_put_in_force_alone(settings, optimised):
    done = await cascade(settings, "weights", "set", "--profile", str(optimised))
    assert (done.exit_code, done.stdout) == (0, "version 1 is in force\n")
    (found,) = {codec.encode(copy.weights) for copy in await read_weights(settings)}
    assert codec.encode(load_profile(str(optimised)).score.weights) == found
