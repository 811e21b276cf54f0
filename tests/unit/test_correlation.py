"""Correlation of venues against numpy's, and by hand."""

import random
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from pipeline.features.correlation import Venues

SECOND = 1_000_000
START = 1_700_000_000 * SECOND


def create(length=60):
    return Venues(length, least=3, limit=16)


def fill(counts):
    """Add counts by venue for the seconds from START on, then move to START + 59 s."""
    venues = create()
    for name, numbers in counts.items():
        for second, number in enumerate(numbers):
            for _ in range(number):
                venues.add(START + second * SECOND, name)
    venues.advance(START + 59 * SECOND)
    return venues


def oracle(events, clock):
    """Return the mean of numpy's correlations, and the leader, from a list of (time, venue)."""
    last = clock // SECOND
    counts = Counter(
        (name, last - time // SECOND) for time, name in events if 0 <= last - time // SECOND < 60
    )
    rows = {name: np.array([counts[name, age] for age in range(60)]) for name, _ in counts}
    leader = min(rows, key=lambda name: (-rows[name].sum(), name), default=None)
    compared = [row for row in rows.values() if np.count_nonzero(row) >= 3]
    pairs = [
        np.corrcoef(one, other)[0, 1] if one.std() and other.std() else 0.0
        for one, other in combinations(compared, 2)
    ]
    return (float(np.mean(pairs)) if pairs else 0.0), leader


def test_no_venue_has_no_correlation_and_no_leader():
    venues = create()
    venues.advance(START)
    assert venues.correlation() == 0
    assert venues.leader is None


def test_venues_that_move_together_correlate_fully():
    venues = fill({"binance": [1, 3, 2, 0, 5], "bybit": [2, 6, 4, 0, 10]})
    assert venues.correlation() == pytest.approx(1.0)


def test_venues_that_alternate_correlate_negatively():
    # 60 seconds, 30 each: n Sxy - Sx Sy = -900, n Sxx - Sx^2 = 900.
    venues = fill({"binance": [1, 0] * 30, "bybit": [0, 1] * 30})
    assert venues.correlation() == -1.0


def test_the_mean_is_taken_over_pairs():
    venues = fill({"binance": [1, 0] * 30, "bybit": [1, 0] * 30, "okx": [0, 1] * 30})
    assert venues.correlation() == pytest.approx((1 - 1 - 1) / 3)


def test_a_single_venue_has_no_correlation():
    assert fill({"binance": [1, 2, 3]}).correlation() == 0


def test_a_venue_with_events_in_two_seconds_is_not_compared():
    assert fill({"binance": [1, 1, 1, 1], "bybit": [5, 5]}).correlation() == 0
    three = fill({"binance": [1, 1, 1], "bybit": [1, 1, 1], "okx": [9, 9]})
    assert three.correlation() == pytest.approx(1.0)


def test_a_pair_without_variance_counts_nothing():
    venues = fill({"binance": [2] * 60, "bybit": [1, 0, 1, 0, 1], "okx": [1, 0, 1, 0, 1]})
    assert venues.correlation() == pytest.approx((0 + 0 + 1) / 3)


def test_the_current_second_counts():
    venues = create()
    for second in range(3):
        for name in ("binance", "bybit"):
            venues.advance(START + second * SECOND)
            venues.add(START + second * SECOND, name)
    assert venues.correlation() == pytest.approx(1.0)


def test_seconds_leave_after_sixty():
    venues = fill({"binance": [1, 1, 1], "bybit": [1, 1, 1]})
    assert venues.correlation() == pytest.approx(1.0)
    venues.advance(START + 60 * SECOND)
    assert venues.correlation() == 0
    assert venues.leader == "binance"
    venues.advance(START + 62 * SECOND)
    assert venues.leader is None


def test_a_clock_that_jumps_drops_everything():
    venues = fill({"binance": [1, 2, 3], "bybit": [1, 2, 3]})
    venues.correlation()
    venues.advance(START + 10**9 * SECOND)
    assert venues.correlation() == 0
    assert venues.leader is None
    assert venues.freeze() == ([], [], [], [])


def test_a_venue_may_leave_and_come_back():
    venues = fill({"binance": [1, 1, 1], "bybit": [0, 0, 0, 1, 1, 1]})
    for second in (62, 63, 64):
        venues.advance(START + second * SECOND)
    venues.add(START + 64 * SECOND, "binance")
    venues.advance(START + 65 * SECOND)
    assert venues.correlation() == 0
    assert venues.leader == "binance"


def test_events_before_the_window_are_left_out():
    venues = fill({"binance": [1]})
    venues.add(START - SECOND, "bybit")
    assert venues.freeze()[0] == ["binance"]


def test_the_leader_has_most_events_and_of_equals_is_first_by_name():
    assert fill({"binance": [1], "okx": [2]}).leader == "okx"
    assert fill({"okx": [2], "bybit": [1, 1], "binance": [1]}).leader == "bybit"
    assert fill({"bybit": [1, 1], "okx": [2]}).leader == "bybit"


def test_a_venue_too_many_is_left_out_until_another_is_silent():
    venues = Venues(length=60, least=3, limit=2)
    for name in ("binance", "bybit", "okx", "okx", "okx"):
        venues.add(START, name)
    assert venues.leader == "binance"
    venues.advance(START + 30 * SECOND)
    venues.add(START + 30 * SECOND, "bybit")
    venues.advance(START + 60 * SECOND)
    for _ in range(2):
        venues.add(START + 60 * SECOND, "okx")
    assert venues.leader == "okx"


@pytest.mark.parametrize("seed", range(8))
def test_correlation_and_leader_are_those_of_a_recount(seed):
    rng = random.Random(seed)
    venues, events, clock = create(), [], START
    names = ["binance", "bybit", "okx", "gate", "htx"][: rng.randint(2, 5)]
    for _ in range(400):
        clock += rng.choice((0, 50_000, 400_000, rng.randrange(3 * SECOND)))
        clock += rng.choice((0,) * 150 + (70 * SECOND,))
        time, name = clock - rng.choice((0, 0, rng.randrange(90 * SECOND))), rng.choice(names)
        venues.advance(clock)
        for _ in range(rng.choice((1, 1, 1, 4))):
            venues.add(time, name)
            events.append((time, name))
        if rng.random() < 0.15:
            expected, leader = oracle(events, clock)
            assert venues.correlation() == pytest.approx(expected, abs=1e-12)
            assert venues.leader == leader


def test_a_thawed_copy_has_the_same_futures():
    rng = random.Random(3)
    venues, clock = create(), START
    for _ in range(300):
        clock += rng.randrange(SECOND)
        venues.advance(clock)
        venues.add(clock - rng.randrange(3 * SECOND), rng.choice("abcd"))
    copy = create()
    copy.thaw(venues.freeze(), clock)
    for _ in range(300):
        assert copy.correlation() == venues.correlation()
        assert copy.leader == venues.leader
        clock += rng.randrange(SECOND)
        name = rng.choice("abcde")
        for one in (venues, copy):
            one.advance(clock)
            one.add(clock, name)


def test_a_venue_that_was_silent_for_the_length_of_today_is_not_restored():
    venues = fill({"a": [9], "b": [0] * 50 + [1]})
    shorter = create(length=20)
    shorter.thaw(venues.freeze(), START + 59 * SECOND)
    assert shorter.leader == "b"
    shorter.advance(START + 75 * SECOND)
    assert shorter.leader is None
    for name in map(str, range(16)):
        shorter.add(START + 75 * SECOND, name)
    assert len(shorter.freeze()[0]) == 16
