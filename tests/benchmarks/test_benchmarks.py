"""The parts of the benchmarks that need no broker; the programs themselves are run by hand."""

import json
from itertools import islice

import pytest
import typer
from growth import Growth, summary
from load import BUSY, SYMBOLS, in_arrays, keyed, liquidations
from observe import Observation, Run, summarize
from report import JsonFile, latency_summary, percentile, save, table, throughput_summary
from rich.console import Console
from stopwatch import Stopwatch, key_of_event, key_of_signal
from throughput import install_peers

from pipeline import Engine, codec, contract


def test_the_load_is_the_same_every_time_and_keyed_by_symbol():
    messages = list(keyed(200))
    assert messages == list(keyed(200))
    assert all(json.loads(value)["symbol"].encode() == key for key, value in messages)


def test_the_load_is_liquidations_in_order_without_a_repeat():
    decoded = [codec.decode(contract.LIQUIDATIONS, value) for _, value in keyed(2_000)]
    assert not any(found.rejections for found in decoded)
    times = [found.messages[0].timestamp for found in decoded]
    assert times == sorted(times)
    assert len({codec.encode(found.messages[0]) for found in decoded}) == 2_000


def test_arrays_hold_the_same_liquidations_each_of_one_symbol_in_its_order():
    single = [json.loads(value) for _, value in keyed(500)]
    arrays = [(key, json.loads(value)) for key, value in in_arrays(500, 20)]
    assert max(len(array) for _, array in arrays) == 20
    assert all(key.decode() == message["symbol"] for key, array in arrays for message in array)
    for symbol in SYMBOLS:
        inside = [message for key, array in arrays if key.decode() == symbol for message in array]
        assert inside == [message for message in single if message["symbol"] == symbol]


def test_ten_symbols_get_most_of_the_load_and_all_fifty_some():
    symbols = [message["symbol"] for message in islice(liquidations(), 5_000)]
    busy = sum(symbol in SYMBOLS[:BUSY] for symbol in symbols) / len(symbols)
    assert set(symbols) == set(SYMBOLS)
    assert 0.7 < busy < 0.8


def test_start_up_and_the_wait_for_the_last_commit_do_not_count_as_time():
    seen = [
        Observation(time=0.0, cpu=1.0, sent=7, committed=0),
        Observation(time=1.0, cpu=2.0, sent=7, committed=0),  # the last one before it begins
        Observation(time=2.0, cpu=2.5, sent=9, committed=0),
        Observation(time=3.0, cpu=3.0, sent=12, committed=50),  # all outputs are there
        Observation(time=4.0, cpu=3.2, sent=12, committed=100),
    ]
    assert summarize(seen, 100) == Run(100, 2.0, pytest.approx(1.2))


def test_rate_and_cpu_of_a_run():
    run = Run(messages=1_000, seconds=0.5, cpu_seconds=0.02)
    assert run.rate == 2_000
    assert run.cpu_us == pytest.approx(20)


def test_throughput_is_told_by_medians():
    runs = {
        "slow": [Run(100, 1.0, 1e-3), Run(100, 2.0, 2e-3), Run(100, 4.0, 3e-3)],
        "subject": [Run(100, 0.5, 1e-3), Run(100, 0.4, 1e-3), Run(100, 0.1, 9e-3)],
    }
    summary = throughput_summary(runs, "subject")
    assert summary["slow"] == {
        "events_per_second": 50,
        "lowest": 25,
        "highest": 100,
        "cpu_us_per_event": 20.0,
        "subject_is_times_as_fast": 5.0,
    }
    assert summary["subject"]["subject_is_times_as_fast"] == 1.0


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 50), (99, 99), (100, 100)])
def test_percentile_is_a_value_that_occurred(percent, expected):
    assert percentile(list(range(100, 0, -1)), percent) == expected


def test_latency_is_told_by_medians_of_percentiles():
    summary = latency_summary({"there": [[1.0, 2.0, 9.0], [3.0, 1.0, 8.0], [2.5, 2.5, 7.0]]})
    assert summary == {"there": {"p50_ms": 2.5, "p99_ms": 8.0, "p99.9_ms": 8.0}}


def test_growth_is_told_by_what_is_above_the_fewest_symbols():
    found = {10: Growth(100, 20.0, 100_000_000, 6_000, 8_000, 0.1)}
    found[5_010] = Growth(100, 30.0, 200_000_000, 3_000, 9_000, 0.2)
    few, many = summary(found).values()
    assert (few["KB_a_symbol"], few["times_the_CPU"]) == (0.0, 1.0)
    assert (many["worker_MB"], many["KB_a_symbol"], many["times_the_CPU"]) == (200, 20.0, 1.5)


def test_figures_take_the_place_of_those_before_once_there_are_some(tmp_path):
    file = tmp_path / "figures.json"
    file.write_text("older ones")

    def program(output: JsonFile = None):
        assert file.read_text() == "older ones"
        for figures in ({"throughput": [1, 2, 3]}, {"latency": 1}):
            save(output, figures)
            assert json.loads(file.read_text()) == figures

    cli = typer.Typer()
    cli.command()(program)
    cli(["--json", str(file)], standalone_mode=False)
    assert json.loads(file.read_text()) == {"latency": 1}


def test_peers_that_cannot_be_installed_are_left_out_and_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert install_peers(tmp_path) is None
    assert "Bytewax and Quix Streams cannot be installed, and are left out" in capsys.readouterr().err


def test_a_table_has_a_row_for_each_name():
    console = Console(width=100)
    with console.capture() as captured:
        console.print(table("Speed", {"one": {"per_second": 12_345}, "other": {"per_second": 2}}))
    text = captured.get()
    assert "per second" in text
    assert "12,345" in text
    assert "other" in text


def test_a_stopwatch_stops_at_the_first_sight_of_what_was_sent():
    now = iter([1.0, 1.25, 9.0])
    watch = Stopwatch(lambda: next(now))
    watch.see(("BTCUSDT", 5))
    watch.send(("BTCUSDT", 5))
    assert watch.missing == 1
    watch.see(("BTCUSDT", 5))
    watch.see(("BTCUSDT", 5))
    assert watch.missing == 0
    assert watch.took_ms == {("BTCUSDT", 5): 250.0}


def test_a_signal_is_known_to_come_of_its_liquidation():
    message = next(liquidations())
    signal = next(
        output.message
        for output in Engine().process(contract.LIQUIDATIONS, message)
        if output.topic == contract.SIGNALS
    )
    assert key_of_signal(signal) == key_of_event(message)
