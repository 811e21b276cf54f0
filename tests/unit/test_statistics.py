import msgspec
from scoring_cases import SECOND, START, joined, measurement

from pipeline.signals.message import build_signal
from pipeline.signals.profile import SEED
from pipeline.signals.score import judge
from pipeline.signals.statistics import RECENT, Statistics, StatisticsReport, merge

WEIGHTS = {"velocity": 1.0}


def signal(number=0, *, velocity=1.0, ms=2.0, symbol="SOLUSDT"):
    clock = START + number * SECOND
    measured = measurement(symbol=symbol, clock=clock, velocity=velocity, acceleration=velocity / 2)
    around = joined()
    found = build_signal(
        measured,
        around,
        judge(measured, around, SEED.score),
        clock=clock,
        sequence=number,
        profile="seed",
    )
    found.meta.processing_time_ms = ms
    return found


def statistics_of(*signals, weights=WEIGHTS):
    statistics = Statistics()
    statistics.current_weights = weights
    for found in signals:
        statistics.add(found)
    return statistics.report()


def test_statistics_have_the_names_that_others_rely_on():
    assert StatisticsReport.__struct_fields__ == (
        "signals_generated",
        "critical_signals",
        "critical_rate",
        "avg_processing_time_ms",
        "current_weights",
        "recent_signals",
    )


def test_a_worker_that_sent_nothing_has_rates_of_zero():
    assert Statistics().report() == StatisticsReport(0, 0, 0.0, 0.0, {}, [])


def test_critical_counts_critical_and_above():
    report = statistics_of(signal(0), signal(1, velocity=60.0), signal(2, velocity=200.0), signal(3))
    assert [shown["signal"] for shown in report.recent_signals] == ["NONE", "CRITICAL", "EXTREME", "NONE"]
    assert (report.signals_generated, report.critical_signals, report.critical_rate) == (4, 2, 0.5)


def test_processing_time_is_averaged():
    assert statistics_of(signal(0, ms=1.0), signal(1, ms=4.0)).avg_processing_time_ms == 2.5


def test_the_last_ten_signals_are_shown():
    report = statistics_of(*(signal(number) for number in range(15)))
    assert [shown["timestamp"] for shown in report.recent_signals] == [
        START / SECOND + number for number in range(5, 15)
    ]
    assert report.recent_signals[-1] == {
        "symbol": "SOLUSDT",
        "timestamp": 1_760_000_014.0,
        "signal": "NONE",
        "probability": signal().probability,
        "id": "SOLUSDT-1760000014000-14",
    }


def test_workers_are_merged_by_what_each_sent():
    first = statistics_of(*(signal(number, ms=1.0) for number in range(0, 18, 2)), weights={"velocity": 0.5})
    second = statistics_of(signal(1, ms=6.0, velocity=200.0), weights=WEIGHTS)
    merged = merge([first, second])
    assert (merged.signals_generated, merged.critical_signals, merged.critical_rate) == (10, 1, 0.1)
    assert merged.avg_processing_time_ms == 1.5
    assert merged.current_weights == {"velocity": 0.5}
    assert [shown["timestamp"] - START / SECOND for shown in merged.recent_signals] == [
        0, 1, 2, 4, 6, 8, 10, 12, 14, 16,
    ]  # fmt: skip


def test_merging_shows_ten_signals_at_most():
    reports = [statistics_of(*(signal(number + worker) for number in range(12))) for worker in range(3)]
    merged = merge(reports)
    assert len(merged.recent_signals) == RECENT
    assert merged.recent_signals[-1]["timestamp"] == START / SECOND + 13


def test_merging_nothing_is_empty_and_a_worker_that_sent_nothing_changes_nothing():
    empty = Statistics().report()
    assert merge([]) == empty
    one = statistics_of(signal(3))
    assert merge([one, empty]) == merge([empty, one]) == one


def test_a_report_survives_the_wire():
    report = statistics_of(signal(0), signal(1))
    assert msgspec.json.decode(msgspec.json.encode(report), type=StatisticsReport) == report
