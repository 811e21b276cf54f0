"""Repeats of a liquidation count once."""

import random
import subprocess
import sys

import pytest

from pipeline.features.duplicates import Duplicates, digest
from pipeline.messages import Liquidation, micros

SECOND = 1_000_000
START = 1_700_000_000.0


def liquidation(number=1, *, at=0.0, named=True, **changes):
    fields = {
        "symbol": "BTCUSDT",
        "exchange": "binance",
        "side": "long",
        "price": 60_000.0,
        "quantity": 0.5,
        "timestamp": START + at,
        "id": str(number) if named else None,
    }
    return Liquidation(**(fields | changes))


def create(limit=4_096):
    return Duplicates(60 * SECOND, limit)


def is_repeat(duplicates, message, *, clock=None):
    time = micros(message.timestamp)
    return duplicates.is_repeat(message, time, time if clock is None else micros(START + clock))


def test_the_same_id_of_the_same_venue_is_a_repeat_whatever_else_differs():
    duplicates = create()
    assert not is_repeat(duplicates, liquidation(1))
    assert is_repeat(duplicates, liquidation(1, at=2, price=1.0, side="short"))
    assert not is_repeat(duplicates, liquidation(1, exchange="bybit"))
    assert not is_repeat(duplicates, liquidation(2))
    assert duplicates.repeats == 1


def test_an_id_may_be_text_or_a_number():
    assert digest(liquidation(id="17")) == digest(liquidation(id=17))


@pytest.mark.parametrize(
    "change",
    [
        {"exchange": "bybit"},
        {"side": "short"},
        {"price": 1.0},
        {"quantity": 1.0},
        {"timestamp": START + 0.001},
    ],
)
def test_without_an_id_any_difference_makes_another_liquidation(change):
    duplicates = create()
    assert not is_repeat(duplicates, liquidation(named=False))
    assert is_repeat(duplicates, liquidation(named=False))
    assert not is_repeat(duplicates, liquidation(named=False, **change))


def test_one_without_an_id_is_not_taken_for_one_with():
    duplicates = create()
    assert not is_repeat(duplicates, liquidation(named=False))
    assert not is_repeat(duplicates, liquidation(1))


def test_a_liquidation_is_remembered_for_a_minute():
    assert is_repeat_after(59.9)
    assert not is_repeat_after(60.0)


def is_repeat_after(seconds):
    duplicates = create()
    is_repeat(duplicates, liquidation(1))
    return is_repeat(duplicates, liquidation(1, at=seconds))


def test_an_id_that_comes_again_later_is_remembered_anew():
    duplicates = create()
    for at, expected in ((0, False), (59, True), (61, False), (120, True), (122, False)):
        assert is_repeat(duplicates, liquidation(1, at=at)) is expected


def test_one_that_is_already_a_minute_old_is_not_remembered():
    duplicates = create()
    assert not is_repeat(duplicates, liquidation(1), clock=100)
    assert len(duplicates) == 0


def test_what_is_too_old_is_dropped():
    duplicates = create()
    for second in range(1_000):
        is_repeat(duplicates, liquidation(second, at=second))
    assert len(duplicates) <= 66
    assert duplicates.overflow == 0


def test_of_too_many_the_oldest_is_forgotten_and_counted():
    duplicates = create(limit=3)
    for number in (1, 2, 3, 4):
        assert not is_repeat(duplicates, liquidation(number))
    assert len(duplicates) == 3
    assert duplicates.overflow == 1
    assert is_repeat(duplicates, liquidation(2))
    assert not is_repeat(duplicates, liquidation(1))
    assert duplicates.overflow == 2


def test_a_digest_is_the_same_in_every_process():
    code = (
        "from pipeline.features.duplicates import digest; from pipeline.messages import Liquidation;"
        "print(digest(Liquidation('A', 'x', 'long', 1.5, 2.0, 1.7e9)))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {str(digest(Liquidation("A", "x", "long", 1.5, 2.0, 1.7e9))) + "\n"}


def test_a_digest_is_the_same_in_every_version_of_python():
    # Snapshots outlive an upgrade; a Python that hashes tuples of numbers otherwise is to be noticed.
    assert digest(Liquidation("A", "x", "long", 1.5, 2.0, 1.7e9)) == 8632646235549297457


def test_repeats_are_those_of_a_list_of_all():
    rng = random.Random(2)
    duplicates, clock, last = create(), 0, {}  # times in milliseconds
    for _ in range(3_000):
        clock += rng.choice((0, 100, 500, 2_000))
        at = clock - rng.choice((0, 0, 0, 5_000, 58_500, 80_000))
        number = rng.randrange(60)
        expected = number in last and last[number] > clock - 60_000
        message = liquidation(number, at=at / 1_000)
        assert is_repeat(duplicates, message, clock=clock / 1_000) is expected
        if not expected:
            last[number] = at
    assert duplicates.repeats > 100


def test_a_thawed_copy_has_the_same_futures():
    rng = random.Random(4)
    duplicates, clock = create(limit=50), 0.0
    for _ in range(200):
        clock += rng.choice((0, 0.1, 3.0))
        is_repeat(duplicates, liquidation(rng.randrange(200), at=clock - rng.choice((0, 40))), clock=clock)
    copy = create(limit=50)
    copy.thaw(duplicates.freeze(micros(START + clock)), micros(START + clock))
    for _ in range(400):
        clock += rng.choice((0, 0.1, 3.0))
        message = liquidation(rng.randrange(200), at=clock - rng.choice((0, 40)))
        assert is_repeat(copy, message, clock=clock) == is_repeat(duplicates, message, clock=clock)
        assert (copy.repeats, copy.overflow) == (duplicates.repeats, duplicates.overflow)


def test_one_too_old_to_tell_its_age_stays_too_old():
    duplicates = create()
    is_repeat(duplicates, liquidation(1))
    clock = micros(START) + 3_600 * SECOND
    copy = create()
    copy.thaw(duplicates.freeze(clock), clock)
    assert not is_repeat(copy, liquidation(1, at=3_600))
    assert copy.overflow == 0


def test_a_thawed_copy_stays_equal_whenever_it_was_taken():
    """Also of what is too old: how much of it is there decides which is forgotten when there are too many."""
    random_ = random.Random(8)
    duplicates, clock = create(limit=40), 0.0
    for number in range(3_000):
        copy = create(limit=40)
        copy.thaw(duplicates.freeze(micros(START + clock)), micros(START + clock))
        clock += random_.choice((0.0, 0.5, 3.0, 70.0)) if number % 7 == 0 else 0.2
        message = liquidation(number, at=clock - random_.choice((0.0, 0.0, 30.0, 59.0)))
        now = micros(START + clock)
        assert is_repeat(duplicates, message, clock=clock) == is_repeat(copy, message, clock=clock)
        assert copy.freeze(now) == duplicates.freeze(now)
