"""Profiles fitted to a made market: what they hold, and that all that reads profiles takes them."""

from itertools import pairwise

import pytest
from backtest_cases import made_market, write_files
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.runtime.profiles import load_profile
from pipeline.signals.profile import SEED

CRASHES = (1.6, 2.4, 3.3, 4.1, 5.2)


def run(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_files(made_market(days=6, crashes=CRASHES), tmp_path_factory.mktemp("made"))


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
