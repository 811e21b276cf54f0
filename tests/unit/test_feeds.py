"""Gaps of feeds, as collectors tell them."""

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


def test_copies_one_after_the_other_tell_no_more_than_one():
    copy = [gap(-90), gap(-90, -80), gap(-50)]
    assert gaps(copy * 3, NOW) == gaps(copy, NOW) == [gap(-50), gap(-90, -80)]


def test_gaps_of_more_than_a_day_ago_are_not_told_unless_they_last():
    assert gaps([gap(-99_000, -90_000), gap(-99_000, None, "b")], NOW) == [gap(-99_000, None, "b")]
