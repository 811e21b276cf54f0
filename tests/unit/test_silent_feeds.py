"""Gaps of feeds as of a clock: which are known, which are over, which are forgotten."""

import pytest
from msgspec import UNSET
from scoring_cases import MINUTE, SECOND, START, silence

from pipeline.contract import FEED_COLLECTOR
from pipeline.messages import FeedGap, seconds
from pipeline.signals.as_of import FOREVER
from pipeline.signals.feeds import MOST_GAPS, Feeds

DAY = 1_440 * MINUTE


def feeds(*told):
    found = Feeds(5 * MINUTE)
    for status in told:
        found.take(status)
    return found


def at(found, time):
    """Return what is told at so many seconds from the start on: venues, since when, until when."""
    gaps, _ = found.at(START + round(time * SECOND))
    start = seconds(START)
    return (
        []
        if gaps is UNSET
        else [(gap.exchange, gap.since - start, gap.until and gap.until - start) for gap in gaps]
    )


def test_without_gaps_nothing_is_told_for_ever():
    assert Feeds(5 * MINUTE).at(START) == (UNSET, FOREVER)


def test_a_gap_is_told_from_when_it_was_known_and_for_as_long_as_signals_look_back():
    found = feeds(silence(-30, told=1), silence(-30, 10))
    assert [at(found, time) for time in (0.999, 1, 9.999)] == [[], [("okx", -30, None)], [("okx", -30, None)]]
    assert [at(found, time) for time in (10, 309.999, 310)] == [[("okx", -30, 10)], [("okx", -30, 10)], []]


def test_what_is_told_holds_until_it_says():
    found = feeds(silence(-30, told=1), silence(-30, 10), silence(5, exchange="gate"))
    turns, clock = [], START
    while clock < FOREVER:
        _, clock = found.at(clock)
        turns.append(clock)
    offsets = [1 * SECOND, 5 * SECOND, 10 * SECOND, 310 * SECOND, 5 * SECOND + DAY]
    assert turns == [*(START + offset for offset in offsets), FOREVER]


def test_of_a_venue_the_first_and_the_last_moment_of_all_its_gaps_are_told():
    apart = [silence(0, stream="a"), silence(2, stream="b"), silence(4, exchange="gate")]
    assert at(feeds(*apart), 5) == [("gate", 4, None), ("okx", 0, None)]
    assert at(feeds(*apart, silence(2, 6, stream="b")), 7) == [("gate", 4, None), ("okx", 0, None)]
    over = feeds(*apart, silence(2, 8, stream="b"), silence(0, 6, stream="a"))
    assert at(over, 9) == [("gate", 4, None), ("okx", 0, 8)]


def test_a_gap_that_another_collector_says_it_had_data_in_is_none():
    found = feeds(silence(0), silence(2, stream="b"), silence(0, 0, told=1))
    assert at(found, 5) == [("okx", 2, None)]


def test_a_stream_that_is_back_ends_its_gaps_whichever_is_told_of():
    assert at(feeds(silence(0), silence(3, 3)), 3) == [("okx", 0, 3)]
    assert at(feeds(silence(0), silence(1), silence(1, 3)), 3) == [("okx", 0, 3)]
    assert at(feeds(silence(0), silence(3, 3, stream="b"), silence(3, 3, exchange="gate")), 3) == [
        ("okx", 0, None)
    ]


def test_a_gap_that_is_over_is_told_though_nobody_told_that_it_began():
    found = feeds(silence(0, 7))
    assert [at(found, time) for time in (6, 7)] == [[], [("okx", 0, 7)]]


def test_a_venue_whose_collectors_no_longer_say_that_they_run_is_silent_since_they_last_did():
    beat = [silence(time, time, stream=FEED_COLLECTOR) for time in (0, 60, 30, 120)]
    assert [at(feeds(*beat), time) for time in (299.999, 300)] == [[], [("okx", 120, None)]]
    soon, late = (feeds(*beat, silence(time, time, stream=FEED_COLLECTOR)) for time in (299, 400))
    assert (at(soon, 478.999), at(soon, 479)) == ([], [("okx", 299, None)])
    assert [at(late, time) for time in (399, 400, 699.999, 700)] == [
        [("okx", 120, None)],
        [("okx", 120, 400)],
        [("okx", 120, None)],
        [("okx", 400, None)],
    ]


def test_that_a_collector_runs_ends_no_gap_of_a_stream_and_of_no_other_venue():
    beat, other = (silence(0, 0, stream=FEED_COLLECTOR, exchange=name) for name in ("okx", "gate"))
    again = silence(170, 170, stream=FEED_COLLECTOR)
    found = feeds(silence(1), beat, other, again)
    assert [at(found, time) for time in (179, 180)] == [
        [("okx", 1, None)],
        [("gate", 0, None), ("okx", 1, None)],
    ]


def test_that_data_begin_to_come_is_no_gap():
    assert feeds(silence(3, 3)).gaps == []


def test_what_comes_twice_or_late_changes_nothing():
    told = [silence(0), silence(0, 5), silence(20)]
    once, again = feeds(*told), feeds(*told, *told[:2])
    assert at(again, 21) == at(once, 21) == [("okx", 0, None)]
    assert at(again, 4) == at(once, 4)


def test_a_gap_is_not_known_before_it_begins():
    assert [at(feeds(silence(5, told=1)), time) for time in (4, 5)] == [[], [("okx", 5, None)]]


def test_a_gap_that_nobody_ends_is_told_for_a_day():
    found = feeds(silence(0, told=20))
    assert at(found, 20 + 86_399) == [("okx", 0, None)]
    assert at(found, 20 + 86_400) == []


@pytest.mark.parametrize(("time", "kept"), [(309, 2), (310, 1), (86_419, 1), (86_420, 0)])
def test_what_no_clock_has_to_tell_of_is_forgotten(time, kept):
    found = feeds(silence(0, 10), silence(20))
    found.forget(START + time * SECOND)
    assert len(found.gaps) == kept


def test_of_too_many_those_that_ended_first_are_left_out():
    lasting = [silence(number, stream=f"lasting {number}") for number in range(10)]
    over = [silence(0, 300 - number, stream=f"over {number}") for number in range(MOST_GAPS)]
    found = feeds(*lasting, *over)
    found.forget(START)
    assert len(found.gaps) == MOST_GAPS
    assert {gap.stream for gap in found.gaps} == {
        *(f"lasting {number}" for number in range(10)),
        *(f"over {number}" for number in range(MOST_GAPS - 10)),
    }


def test_venues_are_told_as_messages():
    gaps, _ = feeds(silence(0)).at(START)
    assert gaps == [FeedGap("okx", seconds(START), None)]
