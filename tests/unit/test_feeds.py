"""Gaps of feeds, as collectors tell them."""

from pipeline import contract
from pipeline.messages import FeedStatus
from pipeline.web.feeds import gaps

NOW = 1_790_000_000.0


def gap(since, until=None, stream="a"):
    return FeedStatus("binance", stream, NOW + since, None if until is None else NOW + until, "cut")


def test_a_gap_is_told_once_and_those_that_last_come_first():
    found = gaps([gap(-90), gap(-90, -80), gap(-50), gap(-60, -55, "b"), gap(-40, None, "c")], NOW)
    assert found == [gap(-40, None, "c"), gap(-50), gap(-60, -55, "b"), gap(-90, -80)]


def test_a_stream_that_is_back_has_no_gap_that_lasts():
    """A collector that was killed in a gap says, once it brings data again, since when it collects."""
    assert gaps([gap(-90), gap(-10, -5)], NOW) == [gap(-10, -5)]
    assert gaps([gap(-90), gap(-10, -10)], NOW) == []


def test_a_venue_whose_collectors_tell_nothing_any_more_has_a_gap():
    def beat(at):
        return gap(at, at, contract.FEED_COLLECTOR)

    assert gaps([beat(-9_000), beat(-170)], NOW) == []
    (found,) = gaps([beat(-9_000), beat(-190), gap(-9_000, -8_000)], NOW)[:1]
    assert (found.exchange, found.since - NOW, found.until) == ("binance", -190, None)


def test_gaps_of_more_than_a_day_ago_are_not_told_unless_they_last():
    assert gaps([gap(-99_000, -90_000), gap(-99_000, None, "b")], NOW) == [gap(-99_000, None, "b")]
