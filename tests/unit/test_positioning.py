import msgspec
import pytest
from price_cases import START, Market, funding, open_interest, price, sent

from pipeline.features.event import Event
from pipeline.features.measurements import PositioningReading
from pipeline.features.open_interest import VenueConstants
from pipeline.features.positioning import PositioningConstants, PositioningStage
from pipeline.features.states import snapshot


def market(**constants):
    return Market(PositioningStage(PositioningConstants(**constants)))


def at(second):
    return (START + second) * 1_000_000


def test_the_reading_of_a_first_value():
    event = market().feed(open_interest(0, 100.0))
    assert event.positioning == PositioningReading(at(0), 100.0, None, None, None, at(0), None)


def test_changes_over_one_and_five_minutes():
    interest = market()
    for minute, value in enumerate((100, 101, 102, 103, 104, 110)):
        event = interest.feed(open_interest(60 * minute, float(value)))
    assert event.positioning.change_1m == pytest.approx(110 / 104 - 1)
    assert event.positioning.change_5m == pytest.approx(0.10)


def test_five_minute_values_give_both_changes():
    event = market().feed(open_interest(0, 100.0), open_interest(300, 95.0))
    assert event.positioning.change_1m == event.positioning.change_5m == pytest.approx(-0.05)


@pytest.mark.parametrize(
    ("age", "has_1m", "has_5m"),
    [(59, 0, 0), (60, 1, 0), (299, 1, 0), (300, 1, 1), (360, 1, 1), (361, 0, 1), (600, 0, 1), (601, 0, 0)],
)
def test_how_old_the_value_before_may_be(age, has_1m, has_5m):
    found = market().feed(open_interest(0, 100.0), open_interest(age, 110.0)).positioning
    assert (found.change_1m is not None) == has_1m
    assert (found.change_5m is not None) == has_5m


def test_venues_are_summed_and_compared_over_the_same_ones():
    event = market().feed(
        open_interest(0, 100.0, "a"),
        open_interest(0, 300.0, "b"),
        open_interest(60, 110.0, "a"),
        open_interest(60, 330.0, "b"),
        open_interest(60, 5_000.0, "c"),
    )
    assert event.positioning.open_interest_usd == 5_440
    assert event.positioning.change_1m == pytest.approx(0.10)


def test_a_venue_silent_for_ten_minutes_drops_out_of_the_sum():
    event = market().feed(open_interest(0, 100.0, "a"), open_interest(600, 50.0, "b"))
    assert event.positioning.open_interest_usd == 150
    event = market().feed(open_interest(0, 100.0, "a"), open_interest(601, 50.0, "b"))
    assert event.positioning.open_interest_usd == 50


def test_values_every_second_are_compared_with_one_at_most_five_seconds_older_than_a_minute():
    interest = market()
    for second in range(400):
        event = interest.feed(open_interest(second, 1_000.0 + second))
    assert event.positioning.change_1m == pytest.approx(60 / 1_339, rel=0.1)
    assert len(snapshot(interest.state("positioning"))) < 4_096


def test_open_interest_of_nothing_has_no_change():
    found = market().feed(open_interest(0, 0.0), open_interest(60, 1e18)).positioning
    assert found.change_1m is None


def test_late_values_change_nothing_and_are_counted():
    late = market()
    late.feed(open_interest(100, 100.0), funding(100, 0.001))
    before = late.state("positioning").freeze()[:-1]
    for message in (open_interest(99, 1.0), funding(99, 0.5)):
        event = late.feed(message)
        assert event.positioning is None
        assert event.outputs == []
    assert late.state("positioning").freeze()[:-1] == before
    assert late.state("positioning").ignored == 2


def test_of_two_values_of_the_same_time_the_last_one_counts():
    event = market().feed(open_interest(0, 100.0), open_interest(0, 120.0))
    assert event.positioning.open_interest_usd == 120


def test_a_venue_whose_clock_is_behind_still_counts():
    event = market().feed(open_interest(10, 100.0, "a"), open_interest(5, 50.0, "b"))
    assert event.positioning.open_interest_usd == 150
    assert event.positioning.time == event.positioning.open_interest_time == at(10)


def test_venues_beyond_the_sixteenth_are_counted_and_ignored():
    crowd = market()
    for venue in range(20):
        crowd.feed(open_interest(0, 1.0, f"v{venue}"), funding(0, 0.001, f"v{venue}"))
    assert crowd.feed(open_interest(1, 1.0, "v0")).positioning.open_interest_usd == 16
    assert crowd.state("positioning").ignored == 8


def test_a_venue_too_many_is_taken_once_another_has_been_silent_for_too_long():
    one = market(venues=VenueConstants(most_venues=1))
    one.feed(open_interest(0, 1.0, "a"), funding(0, 0.001, "a"))
    assert one.feed(open_interest(600, 2.0, "b")).positioning is None
    assert one.feed(open_interest(601, 2.0, "b")).positioning.open_interest_usd == 2
    assert one.feed(funding(9 * 3_600, 0.002, "b")).positioning is None
    assert one.feed(funding(9 * 3_600 + 1, 0.002, "b")).positioning.rate == 0.002


def test_a_first_value_that_is_too_old_to_count_is_ignored():
    found = market()
    found.feed(open_interest(601, 1.0, "a"), funding(9 * 3_600 + 1, 0.001, "a"))
    assert found.feed(open_interest(0, 2.0, "b")).positioning is None
    assert found.feed(funding(0, 0.002, "b")).positioning is None
    assert found.state("positioning").ignored == 2


def test_funding_is_weighted_by_open_interest():
    event = market().feed(
        open_interest(0, 300.0, "a"),
        open_interest(0, 100.0, "b"),
        funding(0, 0.001, "a"),
        funding(0, 0.002, "b"),
    )
    assert event.positioning.rate == pytest.approx(0.00125)


def test_a_venue_of_unknown_open_interest_weighs_as_much_as_the_average():
    event = market().feed(
        open_interest(0, 300.0, "a"),
        open_interest(0, 100.0, "b"),
        funding(0, 0.001, "a"),
        funding(0, 0.002, "b"),
        funding(0, 0.004, "c"),
    )
    assert event.positioning.rate == pytest.approx((0.3 + 0.2 + 0.8) / 600)


@pytest.mark.parametrize("interest", [[], [open_interest(0, 0.0, "a")]])
def test_without_open_interest_all_venues_weigh_the_same(interest):
    event = market().feed(*interest, funding(0, 0.001, "a"), funding(0, 0.002, "b"))
    assert event.positioning.rate == pytest.approx(0.0015)


def test_a_venue_silent_for_nine_hours_drops_out_of_the_funding_rate():
    event = market().feed(funding(0, 0.001, "a"), funding(9 * 3_600 + 1, 0.002, "b"))
    assert event.positioning.rate == 0.002
    assert event.positioning.funding_time == at(9 * 3_600 + 1)


def test_messages_go_out_when_something_changed_at_most_every_second():
    busy = market()
    events = [busy.feed(open_interest(tick / 4, 100.0 + tick // 20)) for tick in range(60)]
    updates = [update for event in events for update in sent(event, "cascade.positioning")]
    assert [update.timestamp - START for update in updates] == [0, 5, 10]
    assert [update.open_interest_usd for update in updates] == [100, 101, 102]
    assert [update.sequence for update in updates] == [1, 2, 3]


def test_what_does_not_change_is_sent_every_minute():
    quiet = market()
    events = [quiet.feed(funding(second, 0.001)) for second in range(0, 200, 10)]
    times = [update.timestamp - START for event in events for update in sent(event, "cascade.positioning")]
    assert times == [0, 60, 120, 180]


def test_prices_are_none_of_its_concern():
    quiet = market()
    assert quiet.feed(price(0, 60_000)).positioning is None
    assert quiet.steps[0][1].live == {}


def test_a_repeated_record_changes_nothing():
    repeated = market()
    event = repeated.feed(open_interest(0, 100.0))
    again = Event(event.topic, event.symbol, event.message, event.time, event.offset)
    repeated.pass_on(again)
    assert again.positioning is None


def test_snapshots_stay_under_64_kib():
    full = market()
    for second in range(0, 700, 2):
        for venue in range(16):
            full.feed(
                open_interest(second, 1e10 / 3, f"{venue:064d}"), funding(second, 1e-4 / 3, f"{venue:064d}")
            )
    assert len(snapshot(full.state("positioning"))) < 64 * 1024


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"short_s": 400}, "short_limit_s"),
        ({"long_limit_s": 200}, "long_limit_s"),
        ({"short_limit_s": 600, "long_limit_s": 500}, "short_limit_s"),
        ({"most_venues": 0}, "most_venues"),
    ],
)
def test_constants_that_cannot_be_are_refused_by_name(wrong, name):
    with pytest.raises(msgspec.ValidationError, match=name):
        msgspec.convert(wrong, VenueConstants)
