import pytest
from msgspec import UNSET
from scoring_cases import MINUTE, SECOND, START, WEIGHTS, context, reading

from pipeline.messages import FeedGap
from pipeline.signals.as_of import FOREVER, AsOf
from pipeline.signals.feeds import Feeds, Gap
from pipeline.signals.joins import Joined, Joiner
from pipeline.signals.weights import WeightSet

EQUAL = (1 / 6,) * 6
JOINER = Joiner(
    own=WEIGHTS, context_lifetime=MINUTE, open_interest_lifetime=6 * MINUTE, funding_lifetime=540 * MINUTE
)


def as_of(*pairs, memory=900 * SECOND, limit=100, horizon=0):
    known = AsOf(memory, limit)
    for time, value in pairs:
        known.add(time, value, horizon)
    return known


def join(clock, contexts=(), readings=(), weight_sets=(), *gaps):
    feeds = Feeds(5 * MINUTE)
    feeds.gaps = list(gaps)
    return JOINER.join(clock, as_of(*contexts), as_of(*readings), as_of(*weight_sets), feeds)


def test_the_newest_value_not_after_the_time_is_found():
    known = as_of((10, "a"), (20, "b"))
    assert [known.find(time) for time in (9, 10, 19, 20, 1_000)] == [-1, 0, 0, 1, 1]


def test_a_value_ends_where_the_next_begins():
    known = as_of((10, "a"), (20, "b"))
    assert [known.end(index) for index in (-1, 0, 1)] == [10, 20, FOREVER]


def test_the_newest_time_is_known():
    assert as_of().newest == 0
    assert as_of((10, "a"), (20, "b")).newest == 20


def test_of_the_same_time_the_last_value_counts():
    known = as_of((10, "a"), (10, "b"))
    assert (known.times, known.values) == ([10], ["b"])


def test_of_what_is_up_to_the_horizon_only_the_newest_is_kept():
    known = as_of((10, "a"), (20, "b"), (30, "c"))
    known.add(40, "d", 25)
    assert known.values == ["b", "c", "d"]
    known.add(50, "e", 30)
    assert known.values == ["c", "d", "e"]


def test_without_a_horizon_memory_bounds_what_is_kept():
    known = as_of((0, "a"), (5, "b"), (100, "c"), memory=100)
    assert known.values == ["a", "b", "c"]
    known.add(105, "d", 0)
    assert known.values == ["b", "c", "d"]


def test_no_more_than_the_limit_are_kept():
    known = as_of(*((time, time) for time in range(50)), limit=8)
    assert known.values == list(range(42, 50))


def test_nothing_known_joins_as_nothing_and_the_profiles_weights():
    assert join(START) == Joined(WEIGHTS)


def test_the_context_is_the_newest_not_after_the_clock():
    old, new = context(START, risk=1.0), context(START + SECOND, risk=2.0)
    pairs = ((START, old), (START + SECOND, new))
    assert join(START - 1, pairs).context is None
    assert join(START, pairs).context is old
    assert join(START + SECOND - 1, pairs).context is old
    assert join(START + SECOND, pairs).context is new


def test_a_context_lives_sixty_seconds_and_its_time_stays_known():
    pairs = ((START, context(START)),)
    assert join(START + MINUTE, pairs).context is not None
    late = join(START + MINUTE + 1, pairs)
    assert (late.context, late.context_time) == (None, START / SECOND)


def test_open_interest_lives_six_minutes_and_funding_nine_hours():
    pairs = ((START, reading(START, change=0.02, rate=0.0003)),)
    assert (join(START + 6 * MINUTE, (), pairs).oi_change) == 0.02
    assert (join(START + 6 * MINUTE + 1, (), pairs).oi_change) is None
    assert (join(START + 540 * MINUTE, (), pairs).funding_rate) == 0.0003
    assert (join(START + 540 * MINUTE + 1, (), pairs).funding_rate) is None


def test_lifetimes_count_from_the_measurement_not_from_the_reading():
    stale = reading(START, open_interest_time=START - 6 * MINUTE, funding_time=None)
    assert join(START, (), ((START, stale),)).oi_change is not None
    found = join(START + 1, (), ((START, stale),))
    assert (found.oi_change, found.funding_rate) == (None, None)


def test_a_reading_without_a_change_or_a_rate_has_none():
    found = join(START, (), ((START, reading(change=None, rate=None)),))
    assert (found.oi_change, found.funding_rate) == (None, None)


def test_weights_hold_from_their_time_on_until_the_next():
    pairs = ((START, WeightSet(1, EQUAL)), (START + SECOND, WeightSet(2, None)))
    chosen = [join(clock, (), (), pairs) for clock in (START - 1, START, START + SECOND)]
    assert [(found.weights, found.weights_version) for found in chosen] == [
        (WEIGHTS, 0),
        (EQUAL, 1),
        (WEIGHTS, 2),
    ]


@pytest.mark.parametrize(
    ("clock", "until"),
    [
        (START - 1, START),
        (START, START + SECOND),
        (START + SECOND, START + 2 * SECOND),
        (START + 2 * SECOND, START + MINUTE + 1),
        (START + MINUTE + 1, START + SECOND + 6 * MINUTE + 1),
        (START + 10 * MINUTE, START + SECOND + 540 * MINUTE + 1),
        (START + 600 * MINUTE, FOREVER),
    ],
)
def test_a_join_holds_until_something_newer_begins_or_something_dies(clock, until):
    found = join(
        clock,
        ((START, context(START)),),
        ((START + SECOND, reading(START + SECOND)),),
        ((START + 2 * SECOND, WeightSet(1, EQUAL)),),
    )
    assert found.until == until


def test_silent_feeds_are_joined_as_of_the_clock():
    gap = Gap("okx", "a", told=START + SECOND, since=START - SECOND, until=START + 2 * SECOND)
    found = [join(clock, (), (), (), gap) for clock in (START, START + SECOND, START + 2 * SECOND)]
    since, until = START / SECOND - 1, START / SECOND + 2
    assert [each.feeds for each in found] == [
        UNSET,
        [FeedGap("okx", since, None)],
        [FeedGap("okx", since, until)],
    ]
    assert [each.until for each in found] == [gap.told, gap.until, gap.until + 5 * MINUTE]
