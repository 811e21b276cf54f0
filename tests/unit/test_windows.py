"""Windows against a list of all events, recounted bucket by bucket as the definition says."""

import itertools
import random

import pytest

from pipeline.features.windows import Windows

SECOND = 1_000_000
SPANS = [100_000, 500_000, 2 * SECOND, 10 * SECOND, 30 * SECOND, 60 * SECOND, 300 * SECOND]
WIDTHS = [5_000, 5_000, 100_000, 100_000, 1_500_000, 1_500_000, 1_500_000]
START = 1_700_000_000 * SECOND


def recount(events, clock, span, width):
    first = clock // width - span // width + 1
    held = [(longs, shorts) for time, longs, shorts in events if first <= time // width <= clock // width]
    return len(held), sum(longs for longs, _ in held), sum(shorts for _, shorts in held)


def add(windows, event, clock):
    time, long_cents, short_cents = event
    windows.ledger.add(time, clock, long_cents, short_cents)


def assert_as_recounted(windows, events, clock):
    for window, span, width in zip(windows.all, windows.spans, WIDTHS, strict=True):
        expected = recount(events, clock, span, width)
        assert window.totals(clock) == expected
        assert window.count(clock) == expected[0]
        assert window.is_empty(clock) == (expected[0] == 0)


def test_every_window_is_resolved_to_a_twentieth_or_finer():
    assert all(width * 20 <= span for span, width in zip(SPANS, WIDTHS, strict=True))
    windows = Windows(SPANS)
    for window, span, width in zip(windows.all, windows.spans, WIDTHS, strict=True):
        one = Windows(SPANS)
        add(one, (START, 100, 0), START)
        counterpart = one.all[windows.all.index(window)]
        assert counterpart.count(START + span - width) == 1
        assert counterpart.count(START + span) == 0


def test_a_window_counts_and_sums_both_sides():
    windows = Windows(SPANS)
    add(windows, (START, 150, 0), START)
    add(windows, (START + SECOND, 0, 70), START + SECOND)
    assert windows.base.totals(START + SECOND) == (2, 150, 70)
    assert windows.burst.totals(START + SECOND) == (1, 0, 70)


def test_an_older_event_goes_into_its_own_bucket():
    windows = Windows(SPANS)
    add(windows, (START, 100, 0), START)
    add(windows, (START - SECOND, 300, 0), START)
    assert windows.burst.totals(START) == (1, 100, 0)
    assert windows.short.totals(START) == (2, 400, 0)
    assert windows.short.totals(START + SECOND) == (1, 100, 0)


def test_an_event_before_all_others_of_a_window_is_counted_once():
    windows = Windows(SPANS)
    for time in (START, START - 3 * SECOND, START - 3 * SECOND, START - 2 * SECOND):
        add(windows, (time, 100, 0), START)
    assert windows.base.totals(START) == (4, 400, 0)
    assert windows.short.totals(START) == (1, 100, 0)


@pytest.mark.parametrize("seed", range(6))
def test_windows_hold_what_a_recount_finds(seed):
    rng = random.Random(seed)
    windows, events, clock = Windows(SPANS), [], START
    for _ in range(1_500):
        clock += rng.choice((0, 1, 3_000, 40_000, 600_000, rng.randrange(4 * SECOND)))
        clock += rng.choice((0,) * 200 + (100 * SECOND, 1_000 * SECOND))
        time = clock - rng.choice(
            (0, 0, 2_000, 90_000, rng.randrange(3 * SECOND), rng.randrange(299 * SECOND))
        )
        event = (time, *rng.choice(((rng.randrange(1, 10**9), 0), (0, rng.randrange(1, 10**9)))))
        if windows.ledger.holds(time, clock):
            add(windows, event, clock)
            events.append(event)
        if rng.random() < 0.2:
            assert_as_recounted(windows, events, clock)


def test_sums_do_not_depend_on_the_order_of_events():
    rng = random.Random(1)
    events = [(START - rng.randrange(20 * SECOND), rng.randrange(1, 10**12), 0) for _ in range(300)]
    forward, shuffled = Windows(SPANS), Windows(SPANS)
    for event in sorted(events):
        add(forward, event, START)
    for event in events:
        add(shuffled, event, START)
    assert [window.totals(START) for window in forward.all] == [
        window.totals(START) for window in shuffled.all
    ]


def test_the_longest_window_decides_what_is_held():
    windows = Windows(SPANS)
    assert windows.ledger.holds(START - 298 * SECOND, START)
    assert not windows.ledger.holds(START - 301 * SECOND, START)


def test_a_clock_that_jumps_empties_the_windows_without_work():
    windows = Windows(SPANS)
    add(windows, (START, 100, 0), START)
    far = START + 10**9 * SECOND
    assert windows.longest.totals(far) == (0, 0, 0)
    add(windows, (far, 0, 5), far)
    assert windows.longest.totals(far) == (1, 0, 5)


def test_buckets_are_as_fine_as_the_windows_that_reach_them():
    windows, clock = Windows(SPANS), START + 299 * SECOND
    for time in range(START, clock + 1, 2_500):
        add(windows, (time, 2, 3), time)
        assert len(windows.ledger.times) == len(windows.ledger.befores) - 1 <= 2 * (100 + 100 + 200)
    ages, sums = windows.freeze(clock)[1]
    steps = [before - after for before, after in itertools.pairwise(ages)]
    assert steps[-99:] == [1] * 99  # 5 ms
    assert set(steps[-99 - 90 : -100]) == {20}  # 0.1 s
    assert set(steps[:190]) == {300}  # 1.5 s
    assert sums[-1] == (1, 2, 3)
    assert windows.freeze(clock)[1] == (ages, sums)


def test_an_event_older_than_the_fine_buckets_is_counted_wherever_they_were_put_together():
    windows, events = Windows(SPANS), []
    for number in range(201):
        events.append((START + number * 5_000, 1, 0))
        add(windows, events[-1], events[-1][0])
    clock = events[-1][0]
    for age in (99 * 5_000, 100 * 5_000, 130 * 5_000):
        for tidied in (False, True):
            if tidied:
                windows.ledger.tidy(clock)
            events.append((clock - age + 2_000, 10, 0))
            add(windows, events[-1], clock)
            assert_as_recounted(windows, events, clock)


@pytest.mark.parametrize("spans", [SPANS, [150_000, 300_000, 4 * SECOND, 10 * SECOND, *SPANS[4:]]])
def test_when_a_ledger_is_tidied_does_not_matter(spans):
    rng = random.Random(3)
    often, seldom, clock = Windows(spans), Windows(spans), START
    for _ in range(2_000):
        clock += rng.choice((0, 3_000, 40_000, 300_000))
        event = clock - rng.choice((0, 0, 2_000, rng.randrange(20 * SECOND))), rng.randrange(100), 0
        for windows in (often, seldom):
            add(windows, event, clock)
        if rng.random() < 0.1:
            often.ledger.tidy(clock)
            assert [window.totals(clock) for window in often.all] == [
                window.totals(clock) for window in seldom.all
            ]
    assert often.freeze(clock) == seldom.freeze(clock)


def test_a_thawed_copy_holds_the_same_and_goes_on_the_same():
    rng = random.Random(5)
    windows = Windows(SPANS)
    clock = START
    for _ in range(500):
        clock += rng.randrange(SECOND)
        add(windows, (clock - rng.randrange(5 * SECOND), rng.randrange(100), 0), clock)
    copy = Windows(SPANS)
    copy.thaw(windows.freeze(clock), clock)
    assert copy.freeze(clock) == windows.freeze(clock)
    for later in range(clock, clock + 400 * SECOND, 7 * SECOND):
        add(windows, (later, 1, 0), later)
        add(copy, (later, 1, 0), later)
        assert [window.totals(later) for window in copy.all] == [
            window.totals(later) for window in windows.all
        ]


def test_windows_of_other_lengths_start_empty():
    windows = Windows(SPANS)
    add(windows, (START, 100, 0), START)
    other = Windows([200_000, *SPANS[1:]])
    other.thaw(windows.freeze(START), START)
    assert other.longest.totals(START) == (0, 0, 0)


def test_windows_that_nothing_was_added_to_are_empty_at_any_clock():
    windows = Windows(SPANS)
    for clock in (0, START):
        assert windows.longest.is_empty(clock)
        assert windows.longest.totals(clock) == (0, 0, 0)
        assert windows.freeze(clock) == (SPANS, ([], []))


@pytest.mark.parametrize("span", [100_010, 130_000])
def test_lengths_that_do_not_share_buckets_are_refused(span):
    with pytest.raises(ValueError, match="multiples of a 20th"):
        Windows([span, *SPANS[1:]])
