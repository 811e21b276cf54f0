import pytest

from pipeline.features.habits import MINUTE, HabitConstants, Habits
from pipeline.features.measurements import PositioningReading
from pipeline.messages import Liquidation

START = 1_760_000_000_000_000 // MINUTE * MINUTE
SECOND = 1_000_000


def liquidation(side="long", value=1_000.0):
    return Liquidation("SOLUSDT", "bybit", side, 100.0, value / 100.0, 1_760_000_000.0)


def reading(change=None, rate=None):
    return PositioningReading(START, 1e9, change, None, rate, START, START)


def calm(minutes=600, a_minute=1):
    """Return what is usual after some hours of so many liquidations a minute."""
    habits = Habits(HabitConstants())
    for minute in range(minutes):
        for place in range(a_minute):
            time = START + minute * MINUTE + place * MINUTE // a_minute
            habits.liquidated(time, liquidation("long" if minute % 2 else "short"))
        habits.priced(START + minute * MINUTE + 30 * SECOND, 100.0 + 0.02 * (minute % 3))
    habits.advance(START + minutes * MINUTE)
    return habits


def test_the_usual_scores_little_and_a_burst_scores_all():
    habits = calm()
    before = habits.measure(None, None)
    assert before.velocity < 0.2
    assert before.volume < 0.2
    end = START + 600 * MINUTE
    for place in range(100):
        habits.liquidated(end + place * SECOND // 10, liquidation(value=50_000.0))
    after = habits.measure(None, None)
    assert after.velocity > 0.7
    assert after.volume > 0.7
    assert after.acceleration > 0.7
    assert max(after.velocity, after.volume, after.acceleration) <= 1.0


def test_a_lone_liquidation_however_large_is_not_many():
    """Of a symbol that hardly ever has one; the same dollars of ten liquidations score twice as much."""
    found = []
    for parts in (1, 10):
        habits = calm(10)
        habits.advance(START + 4_000 * MINUTE)
        for _ in range(parts):
            habits.liquidated(START + 4_000 * MINUTE, liquidation(value=1e6 / parts))
        found.append(habits.measure(None, None).volume)
    assert found[1] == pytest.approx(2 * found[0], rel=0.02)


def test_what_is_usual_has_no_scale():
    """A feed that sends ten times as much, of ten times the size, scores alike."""
    found = []
    for a_minute, value in ((1, 1_000.0), (10, 10_000.0)):
        habits = calm(a_minute=a_minute)
        end = START + 600 * MINUTE
        for place in range(20 * a_minute):
            habits.liquidated(end + place * SECOND // a_minute, liquidation(value=value))
        found.append(habits.measure(None, None))
    assert found[0].velocity == pytest.approx(found[1].velocity, abs=0.1)


def test_a_fall_of_the_price_is_near_a_large_move():
    habits = calm()
    assert habits.measure(None, None).volatility < 0.05
    habits.priced(START + 600 * MINUTE + SECOND, 95.0)
    assert habits.measure(None, None).volatility == 1.0


def test_a_price_that_is_not_newer_changes_nothing():
    habits = calm(100)
    before = habits.freeze()
    habits.priced(habits.priced_to, 50.0)
    habits.priced(habits.priced_to - MINUTE, 50.0)
    assert habits.freeze() == before


def test_open_interest_that_drops_and_funding_that_is_off_are_unusual():
    habits = Habits(HabitConstants())
    for minute in range(500):
        habits.positioned(
            reading(change=0.0001 if minute % 2 else -0.0001, rate=0.0001 + 1e-6 * (minute % 2))
        )
        habits.advance(START + minute * MINUTE)
    usual = habits.measure(-0.0001, 0.0001)
    assert usual.oi_change < 0.2
    assert usual.funding < 0.3
    unusual = habits.measure(-0.02, 0.001)
    assert unusual.oi_change > 0.6
    assert unusual.funding == 1.0
    assert habits.measure(0.02, 0.0001).oi_change < 0.1
    assert habits.measure(None, None)[3:5] == (None, None)


def test_a_rate_that_never_changed_has_no_deviation():
    habits = Habits(HabitConstants())
    for minute in range(100):
        habits.positioned(reading(rate=0.0001))
        habits.advance(START + minute * MINUTE)
    assert habits.measure(None, 0.0001).funding == 0.0
    assert habits.measure(None, 0.01).funding == 0.0


def test_silence_is_usual_minute_by_minute():
    """However it is cut: time that passes at once leaves what it leaves minute by minute."""
    one, other = calm(50), calm(50)
    for minute in range(51, 400):
        other.advance(START + minute * MINUTE)
    for habits in (one, other):
        habits.advance(START + 400 * MINUTE)
        habits.liquidated(START + 400 * MINUTE, liquidation(value=100_000.0))
    assert one.measure(None, None) == pytest.approx(other.measure(None, None), abs=1e-6)


def test_it_goes_on_where_it_was_stored():
    one, other = calm(200), Habits(HabitConstants())
    other.thaw(one.freeze())
    for habits in (one, other):
        habits.positioned(reading(change=-0.01, rate=0.0002))
        habits.liquidated(START + 203 * MINUTE, liquidation())
        habits.priced(START + 204 * MINUTE, 101.0)
    assert one.measure(-0.01, 0.0002) == other.measure(-0.01, 0.0002)
    assert one.freeze() == other.freeze()


def test_without_a_feed_of_liquidations_nothing_is_known_of_them():
    """Nor is what went before the first one a calm to compare with."""
    habits = Habits(HabitConstants())
    for minute in range(300):
        habits.priced(START + minute * MINUTE, 100.0 + 0.02 * (minute % 3))
    unknown = habits.measure(None, None)
    assert unknown[:3] == (None, None, None)
    assert unknown.volatility > 0.0
    habits.liquidated(START + 300 * MINUTE, liquidation())
    habits.advance(START + 301 * MINUTE)
    assert habits.measure(None, None).velocity < 0.2


def test_whether_there_is_a_feed_survives_a_restart_and_older_states_had_one():
    for known in (Habits(HabitConstants()), calm(50)):
        other = Habits(HabitConstants())
        other.thaw(known.freeze())
        assert other.measure(None, None) == known.measure(None, None)
    older = Habits(HabitConstants())
    older.thaw(Habits(HabitConstants()).freeze()[:5])
    assert older.measure(None, None).velocity is not None
