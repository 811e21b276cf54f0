import csv
import json
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from backtest_cases import made_market, write_files
from commands import invoke
from pyarrow import parquet

from pipeline import Engine, contract
from pipeline.cli.recorded.signal_rows import COLUMNS, signal_row
from pipeline.cli.replay.report import SKIPPED, SignalCounts
from pipeline.cli.simulated.simulation import simulate
from pipeline.features.roster import MOST_SYMBOLS

START = 1_760_000_000.0
LONG = f"{'x' * 250}.csv"
OPTIONS = dict(
    zip(contract.FEEDS, ("--liquidations", "--prices", "--open-interest", "--funding"), strict=True)
)


def table(result):
    return dict(line.split("\t") for line in result.stdout.splitlines())


@pytest.fixture(scope="module")
def ticks():
    return [tick for tick in simulate(20, 3, START) if tick.time >= START - 300]


@pytest.fixture(scope="module")
def files(ticks, tmp_path_factory):
    """The market as files of three formats, as arguments of the command."""
    folder = tmp_path_factory.mktemp("market")
    suffixes = dict(zip(contract.FEEDS, (".parquet", ".csv", ".jsonl", ".csv"), strict=True))
    arguments = []
    for topic, suffix in suffixes.items():
        rows = [tick.message for tick in ticks if tick.topic == topic]
        path = folder / f"{topic}{suffix}"
        write(path, rows)
        arguments += [OPTIONS[topic], path]
    return arguments


def write(path, rows):
    match path.suffix:
        case ".parquet":
            parquet.write_table(pa.Table.from_pylist(rows), path)
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(rows)


def read(path):
    match path.suffix:
        case ".parquet":
            return parquet.read_table(path).to_pylist()
        case ".jsonl":
            return [json.loads(line) for line in path.read_text().splitlines()]
        case ".csv":
            with path.open(newline="") as file:
                return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def expected(ticks):
    engine = Engine()
    outputs = [output for tick in ticks for output in engine.process(tick.topic, tick.message)]
    return [output.body for output in outputs if output.topic == contract.SIGNALS]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_replay_writes_what_the_engine_says_of_the_same_messages(files, expected, tmp_path, suffix):
    out = tmp_path / f"signals{suffix}"
    result = invoke("replay", *files, "--out", out)
    assert result.exit_code == 0, result.output
    found = read(out)
    assert tuple(found[0]) == COLUMNS
    wanted = [dict(zip(COLUMNS, signal_row(signal), strict=True)) for signal in expected]
    if suffix == ".csv":
        wanted = [
            {name: "" if value is None else str(value) for name, value in row.items()} for row in wanted
        ]
    assert found == wanted


def test_summary_counts_every_row_every_level_and_names_the_busiest_day(files, ticks, expected, tmp_path):
    shown = table(invoke("replay", *files, "--out", tmp_path / "x.csv"))
    assert shown["rows"] == f"{len(ticks):,}"
    for topic in contract.FEEDS:
        assert shown[f"used: {topic}"] == f"{sum(tick.topic == topic for tick in ticks):,}"
    assert shown["signals"] == f"{len(expected):,}"
    extreme = sum(signal.signal == "EXTREME" for signal in expected)
    assert shown["signals: EXTREME"] == f"{extreme:,}"
    assert extreme > 0
    alerts = sum(signal.signal_level >= 2 for signal in expected)
    assert shown["busiest day"] == f"2025-10-09 ({alerts:,} signals of ALERT and above)"


def test_repeats_and_late_ones_are_told_apart_from_the_used(tmp_path):
    path = tmp_path / "x.jsonl"
    row = {"symbol": "X", "exchange": "a", "side": "long", "price": 1.0, "quantity": 1.0, "timestamp": START}
    write(path, [row, row | {"timestamp": START + 2}, row])
    prices = tmp_path / "p.jsonl"
    write(prices, [{"symbol": "X", "price": price, "timestamp": START} for price in (100.0, 1.0)])
    shown = table(invoke("replay", "--liquidations", path, "--prices", prices, "--out", tmp_path / "o.jsonl"))
    assert shown["used: liquidations"] == "3"
    assert shown["repeats among the used liquidations"] == "1"
    assert shown["not believed among the used prices"] == "1"
    assert not [name for name in shown if name.startswith(("too late", "liquidations forgotten"))]


def test_rows_of_more_symbols_than_an_engine_keeps_are_told(tmp_path):
    path = tmp_path / "rates.csv"
    rows = "".join(f"{START},S{number},0.0001\n" for number in range(MOST_SYMBOLS + 3))
    path.write_text(f"timestamp,symbol,rate\n{rows}")
    shown = table(invoke("replay", "--funding", path, "--out", tmp_path / "o.jsonl"))
    assert shown["used: funding"] == "10,003"
    ((name, count),) = (line for line in shown.items() if "symbols are known here" in line[0])
    assert (name.startswith("refused among the used: symbol: 10,000"), count) == (True, "3")


def test_every_kind_of_message_that_changes_nothing_has_words_for_it(ticks):
    engine = Engine()
    for tick in {tick.topic: tick for tick in ticks}.values():
        engine.process(tick.topic, tick.message)
    assert engine.skipped().keys() == SKIPPED.keys()


def test_one_option_takes_many_files(files, tmp_path):
    *_, path = files
    shown = table(invoke("replay", "--funding", path, path, "--out", tmp_path / "x.csv"))
    once = table(invoke("replay", "--funding", path, "--out", tmp_path / "x.csv"))
    assert int(shown["rows"]) == 2 * int(once["rows"])


def test_each_file_can_be_given_its_symbol(files, ticks, tmp_path):
    named, nameless = [], []
    for symbol in ("BTCUSDT", "ETHUSDT"):
        rows = [tick.message for tick in ticks if tick.topic == contract.PRICES and tick.symbol == symbol]
        write(named_file := tmp_path / f"{symbol}.csv", rows)
        write(
            nameless_file := tmp_path / f"of=.{symbol}.csv",
            [{name: value for name, value in row.items() if name != "symbol"} for row in rows],
        )
        named.append(named_file)
        nameless.append(f"{symbol.lower()}={nameless_file}")
    found = []
    for number, prices in enumerate((named, nameless)):
        out = tmp_path / f"signals{number}.csv"
        done = invoke("replay", *files[:2], "--prices", *prices, "--out", out)
        assert done.exit_code == 0, done.output
        found.append(read(out))
    assert found[0] == found[1]
    assert {row["symbol"] for row in found[0]} >= {"BTCUSDT", "ETHUSDT"}


def test_a_file_whose_name_looks_like_a_symbol_and_a_file_is_taken_as_it_is(ticks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [tick.message for tick in ticks if tick.topic == contract.PRICES]
    write(Path("A=b.csv"), rows)
    told = table(invoke("replay", "--prices", "A=b.csv", "--out", "x.csv"))
    assert told["used: prices"] == f"{len(rows):,}"


def test_from_and_to_take_iso_and_milliseconds(files, tmp_path):
    out = tmp_path / "x.csv"
    iso = table(
        invoke(
            "replay",
            *files,
            "--out",
            out,
            "--from",
            "2025-10-09T08:53:25",
            "--to",
            "2025-10-09T08:53:30+00:00",
        )
    )
    begin = round(START * 1000) + 5_000
    milliseconds = table(invoke("replay", *files, "--out", out, "--from", begin, "--to", begin + 5_000))
    del iso["events a second"], milliseconds["events a second"]
    assert iso == milliseconds
    assert "refused: prices.csv: before the time asked for" in iso


def test_profile_of_a_file_is_in_force(files, tmp_path):
    profile = tmp_path / "calm.toml"
    profile.write_text('name = "calm"\n')
    out = tmp_path / "x.jsonl"
    assert invoke("replay", *files, "--out", out, "--profile", profile).exit_code == 0
    assert {row["profile"] for row in read(out)} == {"calm"}


def test_nothing_usable_ends_with_1(tmp_path):
    path = tmp_path / "x.jsonl"
    write(path, [{"symbol": "X", "timestamp": START, "rate": 5.0}])
    result = invoke("replay", "--funding", path, "--out", tmp_path / "o.csv")
    assert result.exit_code == 1
    assert "no row was usable" in result.stderr
    assert "refused: x.jsonl: rate: " in result.stdout


RATES = '{"symbol": "X", "timestamp": 1760000000, "rate": 0.001}\n'


@pytest.mark.parametrize("name", ["x.jsonl", "./x.jsonl", "link.jsonl"])
def test_a_file_to_replay_is_never_the_result(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("x.jsonl").write_text(RATES)
    Path("link.jsonl").symlink_to("x.jsonl")
    result = invoke("replay", "--funding", "x.jsonl", "--out", name)
    assert result.exit_code == 2
    assert "is one of the files to replay" in result.stderr
    assert Path("x.jsonl").read_text() == RATES


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_an_older_result_stays_when_a_run_breaks_off(files, tmp_path, monkeypatch, suffix):
    out = tmp_path / f"signals{suffix}"
    out.write_text("older")
    monkeypatch.setattr(SignalCounts, "add", broken)
    assert isinstance(invoke("replay", *files, "--out", out).exception, ZeroDivisionError)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(out.name, "older")]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_a_disk_that_takes_no_more_ends_a_run_with_1_in_one_line(files, tmp_path, suffix):
    out = tmp_path / f"signals{suffix}"
    out.write_text("older")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "replay", *map(str, files), "--out", str(out)],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, 4_096)),
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"{out}: .*File too large\n", done.stderr)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(out.name, "older")]


def test_sigterm_ends_a_run_that_leaves_nothing_behind(tmp_path):
    rows = [{"symbol": "X", "timestamp": START + number / 100, "rate": 0.001} for number in range(100_000)]
    write(tmp_path / "x.jsonl", rows)
    running = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "replay", "--funding", "x.jsonl", "--out", "o.csv"], cwd=tmp_path
    )
    while not any(tmp_path.glob("*.unfinished")):
        assert running.poll() is None
        time.sleep(0.01)
    running.terminate()
    assert running.wait(60) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"]


def broken(*_):
    raise ZeroDivisionError


def test_an_older_result_stays_when_no_row_was_usable(tmp_path):
    path, out = tmp_path / "x.jsonl", tmp_path / "o.csv"
    write(path, [{"symbol": "X", "timestamp": START, "rate": 5.0}])
    out.write_text("older")
    assert invoke("replay", "--funding", path, "--out", out).exit_code == 1
    assert out.read_text() == "older"
    assert {path.name for path in tmp_path.iterdir()} == {"x.jsonl", "o.csv"}


def test_a_result_takes_the_place_of_an_older_one_behind_a_link_too(files, tmp_path):
    out, link = tmp_path / "signals.jsonl", tmp_path / "newest.jsonl"
    out.write_text("older\n")
    link.symlink_to(out)
    assert invoke("replay", *files, "--out", link).exit_code == 0
    assert link.is_symlink()
    assert read(out)[0]["symbol"]


@pytest.mark.parametrize("profile", ["seed", "adaptive"])
def test_the_order_of_files_changes_no_signal(tmp_path, profile):
    """Of prices of one moment the reference symbol's come first, as they do through workers."""
    market = made_market(days=1, crashes=(0.8,))
    words = [write_files(market, tmp_path, symbol) for symbol in ("ETHUSDT", "BTCUSDT")]
    found = []
    for number, (one, other) in enumerate((words, words[::-1])):
        out = tmp_path / f"{number}.jsonl"
        assert invoke("replay", *one, *other, "--profile", profile, "--out", out).exit_code == 0
        found.append(sorted(read(out), key=lambda row: row["id"]))
    assert len(found[0]) > 100
    assert found[0] == found[1]


def test_a_symbol_that_rows_name_may_be_told_as_well(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bars.csv").write_text("timestamp_ms,close\n1760000000000,1\n1760000060000,1\n")
    Path("named.csv").write_text("timestamp_ms,symbol,price\n1760000000000,btcusdt,1\n")
    Path("empty.csv").write_text("timestamp_ms,price\n")
    for files in (
        ("BTCUSDT=named.csv",),
        ("named.csv", "ETHUSDT=bars.csv", "--symbol", "BTCUSDT"),
        ("named.csv", "ETHUSDT=empty.csv"),
    ):
        result = invoke("replay", "--out", "x.csv", "--prices", *files)
        assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give one of --out FILE and --to-kafka"),
        (("--out", "x.csv"), "nothing to replay"),
        (("--out", "x.csv", "--to-kafka"), "give one of"),
        (("--out", "x.csv", "--prices", "none.csv"), "none.csv: no such file"),
        (("--out", "x.csv", "--prices", "bars.csv", "--speed", "max"), "--speed goes with --to-kafka"),
        (
            ("--to-kafka", "--prices", "bars.csv", "--profile", "seed"),
            "--profile goes with --out",
        ),
        (("--out", "x.csv", "--prices", "bars.csv"), "no column `symbol`: say SYMBOL=bars.csv, or --symbol"),
        (("--out", "x.csv", "--prices", "bars.csv", "--symbol", "a b"), "symbol: no spaces"),
        (("--out", "x.csv", "--prices", "a b=bars.csv"), "symbol: no spaces"),
        (("--out", "x.csv", "--prices", "X=none.csv"), "none.csv: no such file"),
        (
            ("--out", "x.csv", "--prices", "X=named.csv"),
            "named.csv: a row is of BTCUSDT, not of X: leave out X=",
        ),
        (
            ("--out", "x.csv", "--prices", "named.csv", "--symbol", "X"),
            "--symbol: all rows name others than X: leave it out",
        ),
        (("--out", "x.csv", "--prices", "data/symbol=X/none.csv"), "data/symbol=X/none.csv: no such file"),
        (("--out", "x.txt", "--prices", "bars.csv", "--symbol", "X"), "x.txt: expected .parquet"),
        (("--out", LONG, "--prices", "bars.csv", "--symbol", "X"), f"{LONG}: File name too long"),
        (("--out", "no/x.csv", "--prices", "bars.csv", "--symbol", "X"), "there is no directory no"),
        (("--out", "x.csv", "--prices", "bars.csv", "--from", "soon"), "--from: expected ISO 8601"),
        (
            ("--out", "x.csv", "--prices", "bars.csv", "--from", "2024-03-02", "--to", "2024-03-01"),
            "--from, --to: the end is not after the beginning",
        ),
        (
            ("--to-kafka", "--prices", "bars.csv", "--symbol", "X", "--speed", "0"),
            "--speed: expected a number",
        ),
        (("--to-kafka", "--prices", "bars.csv", "--symbol", "X", "--speed", "fast"), "--speed: expected"),
        (
            ("--out", "x.csv", "--prices", "bars.csv", "--symbol", "X", "--profile", "none.toml"),
            "--profile: ",
        ),
    ],
)
def test_impossible_arguments_end_with_2_and_say_why(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("bars.csv").write_text("timestamp_ms,close,volume\n1760000000000,1,1\n1760000060000,1,1\n")
    Path("named.csv").write_text("timestamp_ms,symbol,price\n1760000000000,btcusdt,1\n")
    result = invoke("replay", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
