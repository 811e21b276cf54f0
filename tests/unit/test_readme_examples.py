"""The examples of the README hold."""

import doctest
import json
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import msgspec
import pytest

from pipeline import SEED, Engine, contract, read_profile
from pipeline.cli.simulated.simulation import Market
from pipeline.messages import Signal
from pipeline.signals.score import weighted_sum
from pipeline.signals.weights import read_weights

README = (Path(__file__).parents[2] / "README.md").read_text()
START = 1_760_000_000.0


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def signal():
    (text,) = blocks("json")
    return json.loads(text)


def test_the_session_in_python_goes_as_shown():
    (session,) = blocks("pycon")
    example = doctest.DocTestParser().get_doctest(session, {}, "README", "README.md", 0)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


def test_the_programs_agree_with_the_types_that_the_package_brings(tmp_path):
    files = [tmp_path / f"program_{number}.py" for number, _ in enumerate(blocks("python"))]
    for file, program in zip(files, blocks("python"), strict=True):
        file.write_text(program)
    command = [sys.executable, "-m", "mypy", *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_profile_is_one_and_changes_what_it_names():
    (text,) = blocks("toml")
    profile = read_profile(text.encode(), "toml")
    assert profile.score.levels.watch == 0.25
    assert read_weights(profile.score.weights)[0] == 0.30
    assert profile.volatility.sampling.venue == "binance"
    assert profile.velocity == SEED.velocity


def test_the_signal_has_the_names_and_the_order_of_the_message():
    shown = signal()
    assert json.dumps(shown) == json.dumps(msgspec.to_builtins(msgspec.convert(shown, Signal)))


def test_the_probability_of_the_signal_follows_as_explained():
    shown = signal()
    context, found = shown["context"], shown["metrics"]
    score = weighted_sum(tuple(shown["scores"].values()), read_weights(SEED.score.weights))
    raw = score * 1.2 * context["vol_risk_multiplier"] * context["cascade_sensitivity"]
    assert score == pytest.approx(0.199, abs=0.0005)
    assert raw == pytest.approx(shown["probability"], abs=0.0015)
    assert found["velocity"] > SEED.score.levels.alert_velocity * context["velocity_threshold_multiplier"]


def test_the_signal_is_what_the_demos_market_leads_to():
    shown = signal()
    market, engine = Market(120, seed=1), Engine()
    outputs = (
        output
        for tick in chain(market.warm_up(START), market.play(START))
        for output in engine.process(tick.topic, tick.message)
    )
    alert = next(output.message for output in outputs if output.topic == contract.ALERTS)
    # Not the very same figures: how the market is rounded differs from one processor to the next.
    assert (alert["symbol"], alert["meta"]["profile"]) == (shown["symbol"], shown["meta"]["profile"])
    assert alert["timestamp"] == pytest.approx(shown["timestamp"], abs=1.0)
    assert shown["timestamp"] - START - market.onset == pytest.approx(1.4, abs=0.1)
