import msgspec
import pytest
from price_cases import START

from pipeline.features.sampling import Sampler, SamplingConstants
from pipeline.messages import SECOND


class Ticks:
    def __init__(self, **constants):
        self.sampler = Sampler(SamplingConstants(**constants))

    def __call__(self, second, price=100.0, exchange="a"):
        return self.sampler.accept(exchange, round((START + second) * SECOND), price)

    @property
    def start(self):
        return self.sampler.start - START


def test_first_venue_speaks_until_it_is_silent_for_60_seconds():
    tick = Ticks()
    assert tick(0, exchange="a")
    assert tick(1, exchange="a")
    assert not tick(2, exchange="b")
    assert not tick(61, exchange="b")
    assert tick(62, exchange="b")
    assert tick.start == 62
    assert not tick(63, exchange="a")


def test_named_venue_takes_over_at_once_and_is_replaced_only_when_silent():
    tick = Ticks(venue="b")
    assert tick(0, exchange="a")
    assert tick(1, exchange="b")
    assert tick.start == 1
    assert not tick(2, exchange="a")
    assert tick(62, exchange="a")
    assert tick(63, exchange="b")


def test_a_late_tick_does_not_count_and_one_of_the_same_time_does():
    tick = Ticks()
    assert tick(1.5)
    assert tick(1.5)
    assert not tick(1.4)
    assert not tick(1.3, exchange="b")
    assert tick.sampler.late == 1


def test_a_gap_over_60_seconds_starts_again():
    tick = Ticks()
    tick(0)
    tick(1)
    tick(61)
    assert tick.start == 0
    tick(62)
    tick(123)
    assert tick.start == 123


@pytest.mark.parametrize("minutes", [1, 3, 5])
def test_bars_are_no_gaps_once_two_of_them_followed_each_other(minutes):
    tick = Ticks()
    first = 0 if minutes == 1 else minutes * 60
    for bar in range(10):
        assert tick(bar * minutes * 60)
        assert tick.start == (0 if bar == 0 else first)


def test_a_missing_bar_starts_again_and_the_next_bar_goes_on():
    tick = Ticks()
    for second in (0, 300, 600, 900):
        tick(second)
    assert tick.start == 300
    tick(1_500)
    assert tick.start == 1_500
    tick(1_800)
    assert tick.start == 1_500


def test_an_interval_over_15_minutes_is_always_a_gap():
    tick = Ticks()
    for hour in range(4):
        tick(hour * 3_600)
        assert tick.start == hour * 3_600


def test_the_venue_of_bars_does_not_flap():
    tick = Ticks()
    tick(0, exchange="a")
    counted = [
        exchange
        for bar in range(1, 30)
        for exchange in (("b", "a") if bar % 2 else ("a", "b"))
        if tick(bar * 300, exchange=exchange)
    ]
    assert set(counted) == {"b"}
    assert len(counted) == 29


def test_a_price_more_than_10_percent_off_needs_three_ticks():
    tick = Ticks()
    for second in range(3):
        assert tick(second, 100.0)
    assert tick(3, 110.0)
    assert not tick(4, 121.1)
    assert not tick(5, 121.2)
    assert tick(6, 121.3)
    assert tick.start == 0
    assert tick(7, 120.0)


def test_a_believed_price_in_between_ends_the_doubt():
    tick = Ticks()
    for second in range(3):
        tick(second, 100.0)
    assert not tick(3, 50.0)
    assert not tick(4, 50.0)
    assert tick(5, 100.0)
    assert not tick(6, 50.0)
    assert not tick(7, 50.0)


def test_candidates_that_disagree_persuade_nobody():
    tick = Ticks()
    for second in range(3):
        tick(second, 100.0)
    assert not any(tick(3 + step, 1e-9 if step % 2 else 1e18) for step in range(20))


def test_a_wrong_first_price_is_no_price_to_return_from():
    tick = Ticks()
    tick(0, 6.0)
    assert not tick(1, 60_000.0)
    assert not tick(2, 60_000.0)
    assert tick(3, 60_000.0)
    assert tick.start == 3


def test_constants_that_cannot_be_are_refused_by_name():
    with pytest.raises(msgspec.ValidationError, match="disbelief"):
        msgspec.convert({"disbelief": 0}, SamplingConstants)
