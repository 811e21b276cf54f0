"""Profiles fitted to a made market: what they hold, and that all that reads profiles takes them."""

from itertools import pairwise

import pytest
from backtest_cases import made_market, write_files
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.runtime.profiles import load_profile
from pipeline.signals.profile import SEED

MARKETS = {
    "BTCUSDT": made_market(days=4, crashes=(1.6, 2.4, 3.3)),
    "ETHUSDT": made_market(days=4, crashes=(1.6, 2.1, 3.5), seed=2),
}


def run(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return [word for symbol, market in MARKETS.items() for word in write_files(market, folder, symbol)]


@pytest.fixture(scope="module")
def calibrated(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("fitted") / "mine.toml"
    result = run("calibrate", *files, "--name", "mine", "--out", out)
    assert result.exit_code == 0, result.output
    return out


def test_a_calibrated_profile_has_the_bands_of_its_feed(calibrated):
    profile = load_profile(str(calibrated))
    bands = profile.volatility.judgement.ladder.bands
    assert all(low < high for low, high in pairwise(bands))
    # sizes of normally distributed moves of 0.06%: the quartiles are 0.32 and 1.15 of that
    assert bands[1:3] == pytest.approx([0.019, 0.069], rel=0.15)
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
