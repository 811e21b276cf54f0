import importlib.util
import json
import re
from html import unescape
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from backtest_cases import BAR, START, made_market, write_files
from commands import invoke
from msgspec.structs import replace

from pipeline.backtest.evaluation import Series, evaluate, gain
from pipeline.backtest.labels import DAY, MINUTE, EventRule, Recorded, label
from pipeline.cli.backtest.judge import NORMS, Wish, tasks_of
from pipeline.cli.backtest.run import Sources, collect, signals_of_events
from pipeline.cli.recorded import recordings
from pipeline.messages import LEVELS, Price
from pipeline.runtime.profiles import load_profile
from pipeline.signals.profile import SEED


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_files(made_market(), tmp_path_factory.mktemp("recorded"))


@pytest.fixture(scope="module")
def done(files, tmp_path_factory):
    """A backtest of two profiles, in one process and in two."""
    out = tmp_path_factory.mktemp("out")
    profiles = ["--profile", "adaptive", "--profile", "seed"]
    results = [
        invoke("backtest", *files, *profiles, "--jobs", jobs, "--out", out / str(jobs)) for jobs in (1, 2)
    ]
    assert [result.exit_code for result in results] == [0, 0], results[0].output
    return out, results[0].output


def test_it_is_the_same_in_however_many_processes(done):
    out, _ = done
    for name in ("report.json", "signals-BTCUSDT-adaptive.parquet"):
        assert (out / "1" / name).read_bytes() == (out / "2" / name).read_bytes()


def test_a_report_tells_of_every_profile_baseline_level_and_threshold(done):
    out, text = done
    found = json.loads((out / "1" / "report.json").read_text())["symbols"]["BTCUSDT"]
    assert len(found["episodes"]) == 2
    runs = found["runs"]
    assert set(runs) == {"adaptive", "seed", "seed, norms of the feed", "USD in 60 s", "last closed move"}
    assert set(runs["adaptive"]["levels"]) == set(LEVELS[1:])
    assert runs["adaptive"]["pr_auc"] > max(runs[name]["pr_auc"] for name in ("seed", "USD in 60 s"))
    assert runs["adaptive"]["levels"]["ALERT"]["recall"] == 1.0
    assert set(found["gains"]["adaptive"]) == set(runs) - {"adaptive"}
    assert "2 episodes in 5.0 days" in text
    assert "too few to tell signals apart for certain" in text
    assert "at the best threshold in hindsight" in text
    low, high = found["gains"]["seed"]["adaptive"]["pr_auc_interval"]
    assert high < 0
    assert re.search(rf"seed is not surely better than adaptive: PR-AUC \S+ \[{low:.4f} {high:.4f}\]", text)


def test_parts_of_days_side_by_side_find_the_same_events(files, done, tmp_path):
    result = invoke("backtest", *files, "--split", 2, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    found = [json.loads((out / "report.json").read_text()) for out in (tmp_path, done[0] / "1")]
    parts, whole = (each["symbols"]["BTCUSDT"] for each in found)
    assert parts["episodes"] == whole["episodes"]
    # The first parts begin where the whole does: with all of its past in their warm-up nothing differs.
    assert parts["runs"]["adaptive"]["pr_auc"] == pytest.approx(whole["runs"]["adaptive"]["pr_auc"], abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "no row that can be used: give --prices"),
        (["--prices", "nowhere.csv"], "nowhere.csv"),
        (["--prices", "seconds.csv"], "refused: seconds.csv: timestamp_ms: expected milliseconds since 1970"),
        (["--out", "seconds.csv"], "--out: seconds.csv: File exists"),
        (["--out", "/proc"], "--out: /proc: No such file or directory"),
        (["--side", "up"], "--side: Invalid enum value 'up'"),
        (["--lag", "61"], "--lag: Expected `int` <= 60"),
        (["--profile", "nowhere.toml"], "--profile: "),
        (["--profile", "seed", "--profile", "seed"], "two profiles of the same name"),
    ],
)
def test_what_cannot_be_judged_is_said(arguments, why, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seconds.csv").write_text("timestamp_ms,symbol,price\n1700000000,BTCUSDT,1\n")
    result = invoke("backtest", "--out", "out", *arguments)
    assert result.exit_code == 2
    assert why in result.output


def test_a_file_that_a_run_cannot_use_ends_a_backtest_in_one_line(tmp_path):
    """Such as one whose name, which has the symbol's, is longer than the disk takes."""
    result = invoke("backtest", *write_files(made_market(), tmp_path, "\u0416" * 64), "--out", tmp_path)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "File name too long" in result.stderr


def test_symbols_without_prices_are_named(files, tmp_path):
    calm = made_market(days=1, crashes=())
    others = [write_files(calm, tmp_path, symbol)[1] for symbol in ("AUSDT", "BUSDT")]
    arguments = ("--price-only", "--liquidations", *others, "--out", tmp_path)
    said = "AUSDT, BUSDT: {}no events without prices"
    result = invoke("backtest", *files[2:], *arguments)
    assert result.exit_code == 0, result.output
    assert said.format("not judged: ") in result.output
    assert said.format("not judged: ") in (tmp_path / "report.html").read_text()
    refused = invoke("backtest", *arguments)
    assert (refused.exit_code, said.format("") in refused.output) == (2, True)


def test_prices_alone_can_decide(files, tmp_path):
    result = invoke("backtest", *files[2:], "--price-only", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "2 episodes" in result.output
    refused = invoke("backtest", *files[2:], "--out", tmp_path)
    assert (refused.exit_code, "--price-only" in refused.output) == (2, True)


def test_a_report_tells_by_which_rule_it_judges(files, tmp_path):
    rule = ("--side", "down", "--lag", "5", "--warm", "30", "--gap", "4", "--hold", "90")
    result = invoke("backtest", *files, *rule, "--profile", "seed", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "report.html").read_text().partition("<h2")[0]
    told = ("a fall of 15 minutes", "up to 5 minutes later", "for 90 s", "first 30 hours", "over 4 hours")
    assert [words for words in told if words not in page] == []


def test_a_report_of_several_symbols_begins_with_the_way_to_each(files, done, tmp_path):
    out, _ = done
    assert "<nav>" not in (out / "1" / "report.html").read_text().partition("<script>")[0]
    other = write_files(made_market(), tmp_path, "BTC&USDT")
    result = invoke("backtest", *files, *other, "--profile", "seed", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "report.html").read_text().partition("<script>")[0]
    names = [unescape(name) for name in re.findall("<h2 id='([^']+)'", page)]
    assert names == sorted(["BTCUSDT", "BTC&USDT"])
    assert [unquote(link) for link in re.findall("<a href='#([^']+)'", page)] == names


def test_a_report_without_events_draws_no_empty_charts(tmp_path):
    files = write_files(made_market(days=3, crashes=()), tmp_path)
    result = invoke("backtest", *files, "--profile", "seed", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "report.html").read_text()
    assert "BTCUSDT: 0 episodes" in page
    assert "nan" not in page.partition("<script>")[0]
    assert re.findall("<h3>([A-Z][a-z]+)[^<]*</h3><div class=chart", page) == ["Price", "Reliability"]


@pytest.mark.parametrize("split", [(), ("--split", 2)])
def test_a_period_is_what_is_run_and_written(files, tmp_path, split):
    begin, end = START + DAY, START + 5 * DAY
    arguments = ("--profile", "seed", "--from", begin, "--to", end, *split, "--out", tmp_path)
    result = invoke("backtest", *files, *arguments)
    assert result.exit_code == 0, result.output
    times = pd.concat(map(pd.read_parquet, tmp_path.glob("signals-BTCUSDT-seed[.-]*")))["timestamp_ms"]
    assert abs(times.min() - begin) < 10_000
    assert end - DAY < times.max() < end


def test_rows_that_come_twice_change_nothing(files, done, tmp_path):
    """Overlapping files, or two venues' bars: of prices of the same time the first counts."""
    out, _ = done
    prices = files[-1]
    result = invoke("backtest", *files, prices, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    once, twice = (json.loads((folder / "report.json").read_text()) for folder in (out / "1", tmp_path))
    once, twice = (each["symbols"]["BTCUSDT"]["runs"]["adaptive"] for each in (once, twice))
    assert twice == once


@pytest.mark.parametrize("profile", ["adaptive", "seed"])
def test_what_happens_later_changes_no_signal_before(tmp_path, profile):
    market, cut = made_market(days=3, crashes=(2.4,)), START + int(2.4 * DAY)
    bars, liquidations = market.opens_ms + BAR >= cut, market.liquidated_ms >= cut
    shifted = Recorded(
        market.liquidated_ms + 3_600_000 * liquidations,
        market.usd * np.where(liquidations, 50, 1),
        market.opens_ms,
        market.closes * np.where(bars, 3, 1),
    )
    one, two = (signals_until(cut, told, tmp_path, profile) for told in (market, shifted))
    assert len(one) > 3_000
    assert one == two


def signals_until(cut, market, folder, profile):
    _, liquidations, _, prices = write_files(market, folder)
    files = [recordings.Source("liquidations", Path(liquidations)), recordings.Source("prices", Path(prices))]
    records = Sources(tuple(files), recordings.Period(), MINUTE).ticking(recordings.Period())
    found = signals_of_events(records, [load_profile(profile)], {"BTCUSDT"})
    return [signal for told in found for signal in told if signal.timestamp * 1_000 < cut]


def test_each_profile_has_its_own_file_and_what_they_measure_alike_is_measured_once(tmp_path):
    profiles = [SEED, replace(SEED, name="other", reference="ETHUSDT"), replace(SEED, name="seed-norms")]
    market, rule = made_market(), EventRule()
    wish = Wish(Sources((), recordings.Period(), MINUTE), profiles, rule, 60.0, None, tmp_path)
    tasks = list(tasks_of("BTCUSDT", market, label(market, rule), wish))
    assert [task.names for task in tasks] == [("seed", "seed-norms", NORMS), ("other",)]
    assert len({out for task in tasks for out in task.run.outs}) == 4


def test_prices_a_little_over_a_minute_apart_are_bars_of_a_minute():
    moments = range(START, START + DAY, 70_000)
    records = [
        recordings.Recorded(at, "prices", Price(symbol="X", price=1.0 + at % 7, timestamp=at / 1_000))
        for at in moments
    ]
    market = collect(records)["X"]
    assert set(market.opens_ms % MINUTE) == {0}
    assert list(market.closes) == [1.0 + at % 7 for at in moments]


@pytest.fixture(scope="module")
def reference(recorded_data) -> ModuleType:
    """The reference evaluator that recorded data come with."""
    path = recorded_data.parent / "quality" / "evaluate.py"
    spec = importlib.util.spec_from_file_location("evaluate", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.recorded
@pytest.mark.parametrize("kind", ["adaptive", "random"])
def test_it_agrees_with_the_reference_evaluator(reference, recorded_data, tmp_path, kind):
    liquidations = pd.read_parquet(recorded_data / "liquidations" / "bybit_btcusdt_2024_q1.parquet")
    prices = pd.read_parquet(recorded_data / "prices" / "binance_perp_btcusdt_5m_2023_2024.parquet")
    begin, end = 1_708_992_000_000, 1_709_683_200_000  # eight days with 28 February and 5 March in them
    liquidations = liquidations[liquidations.timestamp_ms.between(begin, end)]
    prices = prices[prices.timestamp_ms.between(begin - 2 * 86_400_000, end)]
    if kind == "adaptive":
        liquidations.to_csv(tmp_path / "liquidations.csv", index=False)
        prices.to_csv(tmp_path / "prices.csv", index=False)
        files = ["--liquidations", tmp_path / "liquidations.csv", "--prices", tmp_path / "prices.csv"]
        result = invoke("backtest", *files, "--symbol", "BTCUSDT", "--out", tmp_path)
        assert result.exit_code == 0, result.output
        signals, other = (
            pd.read_parquet(tmp_path / f"signals-BTCUSDT-{name}.parquet") for name in ("adaptive", "seed")
        )
    else:
        signals, other = (made_signals(liquidations, seed) for seed in (1, 2))
    assert disagreements(reference, liquidations, prices, (signals, other)) == []


@pytest.mark.recorded
@pytest.mark.parametrize(
    ("bar_min", "changes", "hold_s"),
    [
        (1, {"side": "down", "lag_min": 0, "gap_h": 1.0}, 60.0),
        (3, {"sigmas": 2.0, "floor": 0.004, "quantile": 0.9, "lag_min": 5}, 600.0),
        (5, {"warm_h": 30, "gap_h": 1e9}, 600.0),
    ],
)
def test_it_agrees_with_the_reference_evaluator_on_feeds_with_holes(reference, bar_min, changes, hold_s):
    market = made_market(days=5, crashes=(1.6, 2.4, 3.4), seed=bar_min, bar=bar_min * MINUTE)
    bars = among_hours(market.opens_ms, (1.7, 1.9), (3.0, 3.3))
    events = among_hours(market.liquidated_ms, (0.0, 0.4), (2.5, 2.8))
    prices = pd.DataFrame({"timestamp_ms": market.opens_ms[~bars], "close": market.closes[~bars]})
    liquidations = pd.DataFrame({"timestamp_ms": market.liquidated_ms[~events], "price": 100.0})
    liquidations["quantity"] = market.usd[~events] / 100
    signals = (made_signals(liquidations, 1), made_signals(liquidations, 2))
    assert disagreements(reference, liquidations, prices, signals, EventRule(**changes), hold_s) == []


def among_hours(times_ms, *spans):
    """Tell which times lie in spans of days after the start."""
    days = (times_ms - START) / DAY
    return np.any([(days >= begin) & (days < end) for begin, end in spans], axis=0)


def disagreements(  # noqa: PLR0913, PLR0917
    reference,
    liquidations,
    prices,
    signals,
    rule=EventRule(),  # noqa: B008
    hold_s=60.0,
):
    """Return the figures for which the reference evaluator has others."""
    one, other = signals
    fields = {"k": rule.sigmas, "floor": rule.floor, "quantile": rule.quantile, "lag": rule.lag_min}
    options = fields | {"side": rule.side, "warm": rule.warm_h, "gap": rule.gap_h, "hold": hold_s}
    expected = reference.score(one, liquidations, prices, (0.3,), versus=other, **options)
    market = Recorded(
        liquidations.timestamp_ms.to_numpy(np.int64),
        (liquidations.price * liquidations.quantity).to_numpy(),
        prices.timestamp_ms.to_numpy(np.int64),
        prices.close.to_numpy(float),
    )
    labels = label(market, rule)
    found = evaluate(as_series(one), labels, (0.3,), hold_s)
    more = gain(as_series(one), as_series(other), labels, hold_s)
    assert len(labels.onsets) > 0
    assert (len(labels.onsets), len(labels.minutes)) == (expected["episodes"], expected["minutes"])
    return [
        (name, mine, theirs)
        for name, mine, theirs in pairs(found, more, expected)
        if np.array(mine, float) != pytest.approx(np.array(theirs, float), abs=2e-4, nan_ok=True)
    ]


def made_signals(liquidations, seed):
    random = np.random.default_rng(seed)
    times = np.sort(random.integers(liquidations.timestamp_ms.min(), liquidations.timestamp_ms.max(), 50_000))
    probability = random.random(len(times)) ** 4
    levels = np.digitize(probability, [0.3, 0.5, 0.7, 0.9])
    return pd.DataFrame(
        {"timestamp_ms": times, "probability": probability, "signal": np.array(LEVELS)[levels]}
    )


def as_series(signals):
    levels = signals.signal.map({name: number for number, name in enumerate(LEVELS)})
    return Series(
        signals.timestamp_ms.to_numpy(np.int64),
        signals.probability.to_numpy(float),
        levels.to_numpy(np.int64),
    )


def pairs(found, more, expected):
    """Yield each figure by name, and what the reference has for it."""
    for name, other in WHOLE.items():
        yield name, getattr(found, name), expected[other]
    yield "gain of pr_auc", more.pr_auc_interval, expected["versus"]["pr_auc_gain_ci"]
    yield "gain of brier", more.brier_interval, expected["versus"]["brier_gain_ci"]
    reports = [(found.levels[name], expected["levels"][name]) for name in LEVELS[1:]]
    reports += [(found.at["0.3"], expected["at"]["0.3"])]  # noqa: PD008 - no frame
    reports += [(found.budgets[name], expected["budget"][name]) for name in expected["budget"]]
    for mine, theirs in reports:
        for name, other in NAMES.items():
            yield name, getattr(mine, name), np.nan if theirs[other] is None else theirs[other]


WHOLE = {
    "pr_auc": "pr_auc",
    "pr_auc_interval": "pr_auc_ci",
    "pr_auc_early": "pr_auc_early",
    "brier": "brier",
    "brier_interval": "brier_ci",
    "brier_skill": "brier_skill",
    "brier_skill_interval": "brier_skill_ci",
    "calibration_error": "ece",
}
NAMES = {
    "alerts": "alerts",
    "caught": "hits",
    "recall": "recall",
    "recall_interval": "recall_ci",
    "early_recall": "recall_early",
    "early_recall_interval": "recall_early_ci",
    "precision": "precision",
    "precision_interval": "precision_ci",
    "false_alarms_day": "false_alarms_day",
    "false_alarms_day_interval": "false_alarms_day_ci",
    "lead_min": "lead_min",
    "lead_min_interval": "lead_min_ci",
}
