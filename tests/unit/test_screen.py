import io
import re
from itertools import pairwise

import msgspec
import pytest
from output_records import T0, regime, signal, velocity
from rich.console import Console

from pipeline import codec, contract
from pipeline.cli.demo.board import SPARK_SECONDS, Board
from pipeline.cli.demo.screen import (
    COLUMNS,
    LEFT_OUT,
    STARTING,
    change_line,
    outlook,
    regime_line,
    render,
    symbol_table,
)
from pipeline.cli.demo.summary import Summary, Tally, summary_lines, times
from pipeline.cli.marks import MARKS, marked, short_usd, spark_line, split_bar
from pipeline.cli.simulated.scenario import schedule
from pipeline.cli.simulated.simulation import Market
from pipeline.messages import LEVELS, FeedGap


def hear(board, topic, body, heard=None):
    message = codec.to_dict(body)
    return board.hear(topic, message, message["timestamp"] if heard is None else heard)


def shown(renderable, width=160):
    console = Console(file=io.StringIO(), width=width, no_color=True)
    console.print(renderable)
    return console.file.getvalue()


@pytest.fixture
def board():
    board = Board()
    hear(board, contract.REGIME, regime())
    for sequence, (symbol, level, probability) in enumerate(
        [("ETHUSDT", "NONE", 0.1), ("BTCUSDT", "WATCH", 0.4), ("BTCUSDT", "CRITICAL", 0.8)], 1
    ):
        body = signal(sequence, timestamp=T0 + sequence, level=level, symbol=symbol, probability=probability)
        hear(board, contract.SIGNALS, body)
    return board


def test_levels_differ_in_letter_shape_and_colour():
    assert set(MARKS) == set(LEVELS)
    for kind in zip(*MARKS.values(), strict=True):
        assert len(set(kind)) == len(LEVELS)
    assert marked("ALERT").plain == f"{MARKS['ALERT'].shape} A ALERT"


def test_spark_line_rises_with_what_it_shows():
    assert spark_line([0.0, 0.13, 0.5, 0.99, 1.0]) == "▁▂▅██"
    blocks = spark_line(step / 100 for step in range(101))
    assert all(before <= after for before, after in pairwise(blocks))


@pytest.mark.parametrize(
    ("long", "short", "bar"), [(3, 1, "███░"), (0, 5, "░░░░"), (5, 0, "████"), (0, 0, "    ")]
)
def test_split_bar_shows_longs_full_and_shorts_light(long, short, bar):
    assert split_bar(long, short, 4) == bar


@pytest.mark.parametrize(
    ("usd", "text"),
    [(0, "0"), (999, "999"), (1_000, "1.0 k"), (1.25e6, "1.2 M"), (2.5e9, "2.5 B"), (-1.5e6, "-1.5 M")],
)
def test_dollars_are_said_short(usd, text):
    assert short_usd(usd) == text


def test_symbols_are_ordered_by_probability_then_by_its_change(board):
    assert [view.symbol for view in board.by_heat()] == ["BTCUSDT", "ETHUSDT"]
    for second in range(8):
        for symbol, probability in (("RISES", second / 10), ("STAYS", 0.7)):
            body = signal(second + 1, timestamp=T0 + second, symbol=symbol, probability=probability)
            hear(board, contract.SIGNALS, body)
    assert [view.symbol for view in board.by_heat()] == ["BTCUSDT", "RISES", "STAYS", "ETHUSDT"]


def test_only_changes_of_level_are_told():
    board = Board()
    changes = [
        hear(board, contract.SIGNALS, signal(number, timestamp=T0 + number, level=level))
        for number, level in enumerate(["NONE", "ALERT", "ALERT", "WATCH"], 1)
    ]
    assert [change and (change.before, change.after) for change in changes] == [
        None,
        ("NONE", "ALERT"),
        None,
        ("ALERT", "WATCH"),
    ]
    assert hear(board, contract.REGIME, regime()) is None


def test_changes_are_told_with_the_time_at_which_they_were_heard():
    board = Board()
    for number, (symbol, timestamp) in enumerate([("A", T0), ("B", T0 - 2.5)], 1):
        body = signal(number, timestamp=timestamp, level="ALERT", symbol=symbol)
        hear(board, contract.SIGNALS, body, T0 + number)
    assert [(change.symbol, change.heard) for change in board.changes] == [("A", T0 + 1), ("B", T0 + 2)]
    assert [change_line(change)[:12] for change in board.changes] == ["08:53:21.000", "08:53:22.000"]


def test_spark_keeps_the_highest_of_a_second_and_repeats_the_last_in_silence():
    board = Board()
    for number, (second, probability) in enumerate([(0, 0.2), (0.4, 0.6), (0.9, 0.3), (3, 0.1)], 1):
        body = signal(number, timestamp=T0 + second, probability=probability)
        hear(board, contract.SIGNALS, body)
    assert list(board.symbols["BTCUSDT"].sparks) == [0.6, 0.6, 0.6, 0.1]
    hear(board, contract.SIGNALS, signal(9, timestamp=T0 + 86_400, probability=0.5))
    assert len(board.symbols["BTCUSDT"].sparks) == SPARK_SECONDS


def test_screen_shows_the_regime_the_symbols_by_heat_the_changes_and_what_comes_next(board):
    hear(board, contract.VELOCITY, velocity())
    lines = shown(render(board, schedule(100), 20.0, T0 + 5, 160)).splitlines()
    text = "\n".join(lines)
    assert lines[0].startswith(f"market {regime().market_regime} for {regime().time_in_regime:.0f} s")
    assert "1 CRITICAL" in lines[0]
    assert text.index("BTCUSDT  ") < text.index("ETHUSDT  ")
    assert f"{MARKS['CRITICAL'].shape} C CRITICAL" in text
    assert f"BTCUSDT   WATCH → {MARKS['CRITICAL'].shape} C CRITICAL  0.80 by probability" in text
    assert lines[-1].startswith("liquidations build up: ")
    assert "█" in text


@pytest.fixture
def hot():
    """Symbols as long as there are in the demo, with figures as long as they get."""
    board = Board()
    for number, symbol in enumerate(["BTCUSDT", "DOGEUSDT"], 1):
        for second in range(30):
            hear(board, contract.SIGNALS, signal(second + 1, timestamp=T0 + second, symbol=symbol))
        body = signal(99, timestamp=T0 + 30, level="EXTREME", probability=1.0, symbol=symbol)
        hear(board, contract.SIGNALS, body)
        body = velocity(symbol=symbol)
        figures = {"velocity_10s": 1_234.5, "volume_usd": 123.4e6 * number}
        hear(board, contract.VELOCITY, msgspec.structs.replace(body, **figures))
    return board


@pytest.mark.parametrize("width", [80, 90, 104])
def test_a_narrow_terminal_shows_what_matters_whole(hot, width):
    lines = shown(symbol_table(hot, T0 + 42.5, width), width).splitlines()
    assert lines[0].split("  ")[0] == "level"
    assert [title for title in COLUMNS if title in lines[0]] == [
        title for title in COLUMNS if title not in LEFT_OUT
    ]
    for line, figures in zip(lines[1:], (("BTCUSDT", "123.4 M"), ("DOGEUSDT", "246.8 M")), strict=True):
        for text in ("E EXTREME", "1.00", "1234.5", *figures, "12.5"):
            assert text in line
        assert "…" not in line
        assert 12 <= len(re.findall("[▁▂▃▄▅▆▇█]", line)) <= SPARK_SECONDS


def test_counts_of_levels_that_do_not_fit_beside_the_market_have_a_line_of_their_own(board):
    for width, lines in ((160, 1), (80, 2)):
        found = regime_line(board, width)
        assert len(found.plain.splitlines()) == lines
        assert found.plain.endswith("  ▲ 1 CRITICAL" if lines == 1 else "\n▲ 1 CRITICAL")


def test_venues_that_are_silent_now_are_named_beside_the_market(hot):
    gaps = [FeedGap("gate", T0, T0 + 1), FeedGap("okx", T0 - 9, None)]
    found = signal(90)
    found.context = msgspec.structs.replace(found.context, feeds=gaps)
    hear(hot, contract.REGIME, regime())
    hear(hot, contract.SIGNALS, found)
    assert "  silent: okx  " in regime_line(hot, 300).plain
    hear(hot, contract.SIGNALS, signal(91))
    assert "silent" not in regime_line(hot, 300).plain


@pytest.mark.parametrize("width", [105, 120, 200])
def test_a_wide_terminal_shows_everything(hot, width):
    lines = shown(symbol_table(hot, T0 + 42.5, width), width).splitlines()
    assert "long / short" in lines[0]
    assert all("binance" in line and "…" not in line for line in lines[1:])


def test_screen_before_anything_was_heard_says_what_it_waits_for():
    text = shown(render(Board(), schedule(60), None, T0, 160))
    assert "market: waiting for prices" in text
    assert STARTING in text


def test_velocity_updates_keep_figures_fresh_between_signals(board):
    hear(board, contract.VELOCITY, velocity(leading_exchange="okx"))
    view = board.symbols["BTCUSDT"]
    assert (view.velocity, view.volume_usd, view.leading_exchange) == (41.2, 36_050_000.0, "okx")
    assert (view.long_usd, view.short_usd) == (360_000_000.0, 500_000.0)


def test_warming_is_said():
    board = Board()
    hear(board, contract.REGIME, regime())
    assert "(warming)" in shown(render(board, schedule(60), 1.0, T0, 160))


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (0.0, "liquidations build up in 14 s"),
        (15.0, "the cascade begins in 13 s"),
        (30.0, "it ends in 20 s"),
        (50.0, "the end is in 50 s"),
        (101.0, "the end is in 0 s"),
    ],
)
def test_outlook_says_what_to_expect_next(second, words):
    assert outlook(schedule(100), second).endswith(words)


def test_piped_change_is_one_line_without_colours():
    change = hear(Board(), contract.SIGNALS, signal(level="ALERT", timestamp=T0 + 0.25, probability=0.61))
    assert change_line(change) == "08:53:20.250 BTCUSDT NONE -> ALERT 0.61 by probability"


def tally(*signals):
    found = Tally(opened=T0, onset=T0 + 10)
    for number, (second, level, late) in enumerate(signals, 1):
        message = codec.to_dict(signal(number, timestamp=T0 + second, level=level))
        message["meta"]["event_timestamp"] = message["timestamp"]
        found.add_signal(message, message["timestamp"] + late)
    return found


def summary(found):
    return found.summarise(seconds=30.0, seed=1, events=9, first_signal_s=7.5, dead_letters=0)


def test_warnings_are_told_by_their_distance_from_the_onset():
    found = summary(tally((1, "NONE", 0.1), (8, "ALERT", 0.1), (12.5, "EXTREME", 0.1), (11, "ALERT", 0.1)))
    assert found.first_alert_after_onset_s == -2.0
    assert found.first_critical_after_onset_s == 2.5
    assert found.symbols == {"BTCUSDT": "EXTREME"}
    assert found.signals == {"NONE": 1, "WATCH": 0, "ALERT": 2, "CRITICAL": 0, "EXTREME": 1}
    lines = list(summary_lines(found))
    assert lines[2] == "the cascade's onset: first ALERT 2.00 s before it, first CRITICAL 2.50 s after it"


def test_times_are_those_of_signals_that_a_liquidation_of_the_market_brought_about():
    found = tally((-5, "NONE", 60), *[(second, "NONE", second / 1000) for second in range(1, 101)])
    by_price = codec.to_dict(signal(level="NONE", timestamp=T0 + 200))
    by_price["meta"]["event_timestamp"] = T0 + 203
    found.add_signal(by_price, T0 + 999)
    by_liquidation = codec.to_dict(signal(level="NONE", timestamp=T0 + 300))
    by_liquidation["meta"]["event_timestamp"] = T0 + 300
    found.add_published(by_liquidation, T0 + 300.25)
    outcome = summary(found)
    assert (outcome.event_to_kafka.count, outcome.event_to_kafka.p50_ms) == (
        100,
        pytest.approx(50.5, abs=0.2),
    )
    assert outcome.event_to_kafka.p99_ms == pytest.approx(99, abs=0.2)
    assert (outcome.event_to_redis.count, outcome.event_to_redis.p50_ms) == (1, pytest.approx(250, abs=0.2))
    assert sum(outcome.signals.values()) == 101


def test_summary_of_silence_says_so():
    outcome = summary(tally())
    text = "\n".join(summary_lines(outcome))
    assert times([]).p50_ms is None
    assert "first ALERT never, first CRITICAL never" in text
    assert "event to Kafka: nothing came" in text


def test_summary_names_the_market_the_start_and_dead_letters():
    outcome = tally().summarise(seconds=30.0, seed=4, events=1_234, first_signal_s=None, dead_letters=3)
    assert next(summary_lines(outcome)).startswith("cascade demo, 30 s, seed 4: 1,234 events, 0 signals")
    assert list(summary_lines(outcome))[-1] == "3 dead letters: something is wrong"
    assert "first signal 7.5 s after starting" in list(summary_lines(summary(tally())))


def test_summary_survives_json():
    outcome = summary(tally((12, "CRITICAL", 0.1)))
    assert codec.unpacker(Summary)(codec.pack(outcome)) == outcome
    assert Market(30).onset == pytest.approx(8.4)
