"""Profiles fitted to recorded data: what they promise is so on these data, and the pipeline takes them."""

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.runtime.profiles import load_profile

pytestmark = pytest.mark.recorded


def fitting(recorded_data, command, out, *arguments):
    return CliRunner().invoke(
        app,
        [
            *(command, "--symbol", "BTCUSDT", "--out", str(out), "--until", "2024-03-07T00:00:00Z"),
            *("--liquidations", str(recorded_data / "liquidations" / "bybit_btcusdt_2024_q1.parquet")),
            *("--prices", str(recorded_data / "prices" / "binance_perp_btcusdt_5m_2023_2024.parquet")),
            *arguments,
        ],
    )


@pytest.mark.parametrize("base", ["adaptive", "seed"])
def test_a_calibrated_profile_tells_frequencies_and_keeps_its_false_alarms(recorded_data, tmp_path, base):
    out = tmp_path / "mine.toml"
    result = fitting(recorded_data, "calibrate", out, "--profile", base, "--name", "mine")
    assert result.exit_code == 0, result.output
    profile = load_profile(str(out))
    told = profile.provenance
    assert (profile.name, told.made_by) == ("mine", "cascade calibrate")
    assert told.end <= "2024-03-07T00:00:00Z"
    assert told.episodes >= 3
    assert told.figures["ece"] <= 0.005
    rates = [told.figures[f"{level}_false_alarms_day"] for level in ("watch", "alert", "critical", "extreme")]
    allowed = (3.0, 1.0, 0.5, 0.1)
    assert all(rate <= 1.1 * most + 0.1 for rate, most in zip(rates, allowed, strict=True)), rates


def test_with_too_few_cascades_nothing_is_fitted(recorded_data, tmp_path):
    out = tmp_path / "mine.toml"
    result = fitting(recorded_data, "calibrate", out, "--until", "2024-02-15T00:00:00Z")
    assert (result.exit_code, out.exists()) == (1, False)
    assert "too few to fit anything to" in result.stderr


def test_weights_that_are_not_surely_better_are_not_recommended(recorded_data, tmp_path):
    out = tmp_path / "mine.toml"
    result = fitting(recorded_data, "optimise", out, "--folds", "2")
    assert (result.exit_code, out.exists()) == (1, False)
    assert "the gain's interval does not lie above zero" in result.stderr
