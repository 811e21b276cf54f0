from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.merge import FRESH_MS, LONGEST_QUEUE, Merge

TOPICS = ("prices", "liquidations")
OLD = 1_000_000
WALL = OLD + 10 * FRESH_MS


class Record(NamedTuple):
    topic: str
    timestamp: int
    offset: int
    value: bytes = b""


def records(topic, *timestamps):
    return [Record(topic, OLD + timestamp, offset) for offset, timestamp in enumerate(timestamps)]


def merge_of(settle=0.25, **waiting):
    merge = Merge(dict.fromkeys(TOPICS, settle), now=0.0)
    for topic, timestamps in waiting.items():
        merge.add(topic, records(topic, *timestamps), now=0.0)
    return merge


def times(released):
    return [(record.topic[0], record.timestamp - OLD) for record in released]


def everything(_topic):
    return True


def nothing(_topic):
    return False


def test_topics_that_settled_are_merged_by_time():
    merge = merge_of(prices=[1, 4], liquidations=[2, 3, 5])
    assert times(merge.release(everything, 1.0, WALL)) == [("p", 1), ("l", 2), ("l", 3), ("p", 4), ("l", 5)]
    assert merge.waiting == 0


def test_records_of_the_same_time_pass_in_the_order_of_the_topics():
    merge = merge_of(liquidations=[7, 7], prices=[7])
    assert times(merge.release(everything, 1.0, WALL)) == [("p", 7), ("l", 7), ("l", 7)]


def test_a_record_waits_while_an_older_one_may_still_lie_on_the_broker():
    merge = merge_of(prices=[5], liquidations=[1, 2, 9])
    released = merge.release(lambda topic: topic == "liquidations", 1.0, WALL)
    assert times(released) == [("l", 1), ("l", 2), ("p", 5)]
    merge.add("prices", records("prices", 8, 12), now=1.0)
    released = merge.release(lambda topic: topic == "liquidations", 2.0, WALL)
    assert times(released) == [("p", 8), ("l", 9), ("p", 12)]


def test_what_may_come_with_the_same_time_is_waited_for():
    merge = merge_of(prices=[5], liquidations=[5])
    assert times(merge.release(lambda topic: topic == "liquidations", 1.0, WALL)) == [("p", 5)]
    assert times(merge.release(everything, 1.0, WALL)) == [("l", 5)]


def test_nothing_passes_while_an_unread_topic_is_not_caught_up():
    merge = merge_of(liquidations=[1, 2])
    assert merge.release(lambda topic: topic == "liquidations", 1.0, WALL) == []
    assert merge.waiting == 2


def test_an_old_record_waits_until_the_other_topics_have_been_quiet():
    merge = merge_of(settle=0.25, liquidations=[1])
    assert merge.release(everything, 0.2, WALL) == []
    assert times(merge.release(everything, 0.3, WALL)) == [("l", 1)]


def test_a_fresh_record_does_not_wait():
    merge = merge_of(settle=60.0, liquidations=[1])
    assert times(merge.release(everything, 0.0, OLD + 2)) == [("l", 1)]


def test_an_order_within_a_topic_is_kept_whatever_the_timestamps_say():
    merge = merge_of(liquidations=[5, 1, 9], prices=[3, 6])
    assert times(merge.release(everything, 1.0, WALL)) == [("p", 3), ("l", 5), ("l", 1), ("p", 6), ("l", 9)]


def test_after_a_pause_the_other_topics_are_waited_for_again():
    merge = merge_of(settle=0.25, liquidations=[1])
    assert times(merge.release(everything, 0.3, WALL)) == [("l", 1)]
    merge.add("liquidations", records("liquidations", 2), now=9.0)
    assert merge.release(everything, 9.2, WALL) == []
    merge.add("prices", records("prices", 1), now=9.2)
    assert times(merge.release(everything, 9.5, WALL)) == [("p", 1), ("l", 2)]


def test_what_comes_now_and_then_makes_what_waits_wait_no_longer():
    """Or an old record would hold up for ever a topic with something new every few seconds."""
    merge = merge_of(settle=5.0, liquidations=[1])
    for second in (2, 4):
        merge.add("liquidations", records("liquidations", second), now=float(second))
        assert merge.release(everything, float(second), WALL) == []
    assert times(merge.release(everything, 5.0, WALL)) == [("l", 1), ("l", 2), ("l", 4)]


def test_after_a_pause_the_other_topics_are_waited_for_again_though_something_waits_yet():
    """Or a broker that is back would let pass what it tells of first."""
    merge = merge_of(settle=5.0, prices=[1, 2], liquidations=[1, 9])
    assert times(merge.release(everything, 0.0, WALL)) == [("p", 1), ("l", 1), ("p", 2)]
    merge.add("liquidations", records("liquidations", 11, 12), now=10.0)
    assert merge.release(everything, 10.0, WALL) == []
    merge.add("prices", records("prices", 10), now=10.5)
    assert times(merge.release(everything, 10.5, WALL)) == [("l", 9), ("p", 10)]
    assert times(merge.release(everything, 15.5, WALL)) == [("l", 11), ("l", 12)]


def test_a_topic_that_stays_silent_is_waited_for_once():
    merge = merge_of(settle=0.25)
    released = []
    for step in range(5):
        merge.add("liquidations", records("liquidations", step), now=step * 0.2)
        released.append(len(merge.release(everything, step * 0.2, WALL)))
    assert released == [0, 0, 3, 1, 1]


def test_one_wrong_timestamp_holds_nothing_up_for_ever():
    backlog = {
        "liquidations": records("liquidations", 60_000, *range(6_000)),
        "prices": records("prices", *range(9_000)),
    }
    total, merge, released = sum(map(len, backlog.values())), merge_of(), []
    for step in range(100):
        for topic, left in backlog.items():
            if left and len(merge.queues[topic].waiting) < LONGEST_QUEUE:
                merge.add(topic, left[:500], now=float(step))
                del left[:500]
        released += merge.release(lambda topic: not backlog[topic], float(step) + 0.9, WALL)
    assert len(released) == total


def test_more_records_of_one_millisecond_than_may_wait_pass():
    merge = merge_of(liquidations=[7] * LONGEST_QUEUE, prices=[7] * LONGEST_QUEUE)
    assert merge.release(nothing, 1.0, WALL) != []


def test_nothing_waiting_releases_nothing():
    assert merge_of().release(nothing, 1.0, WALL) == []


@given(
    prices=st.lists(st.integers(0, 50), max_size=20).map(sorted),
    liquidations=st.lists(st.integers(0, 50), max_size=20).map(sorted),
    cuts=st.lists(st.integers(1, 5), max_size=40),
)
def test_the_order_does_not_depend_on_how_records_arrive(prices, liquidations, cuts):
    merge = Merge(dict.fromkeys(TOPICS, 0.0), now=0.0)
    left = {"prices": records("prices", *prices), "liquidations": records("liquidations", *liquidations)}
    everything_sent = sorted(
        left["prices"] + left["liquidations"], key=lambda r: (r.timestamp, TOPICS.index(r.topic), r.offset)
    )
    released = []
    for step, cut in enumerate([*cuts, *[50] * 4]):
        topic = TOPICS[step % 2]
        if left[topic]:
            merge.add(topic, left[topic][:cut], now=float(step))
        left[topic] = left[topic][cut:]
        released += merge.release(lambda topic: not left[topic], float(step), WALL)
    assert released == everything_sent


def test_a_topic_that_is_not_awaited_holds_nothing_back():
    merge = Merge(dict.fromkeys(TOPICS, 60.0), now=0.0)
    for topic in TOPICS:
        merge.await_no_more(topic)
    merge.add("liquidations", records("liquidations", 1), now=0.0)
    assert times(merge.release(nothing, 0.0, WALL)) == [("l", 1)]


def test_what_was_read_before_an_older_record_came_waits_until_the_broker_has_told_of_all_again():
    merge = merge_of(prices=[5])
    assert merge.release(everything, 0.4, WALL, lambda _: WALL - 1) == []
    merge.add("liquidations", records("liquidations", 4), now=0.41)
    released = merge.release(everything, 0.7, WALL + 11, lambda _: WALL + 10)
    assert times(released) == [("l", 4), ("p", 5)]


def test_every_topic_has_to_be_told_of_again():
    merge = merge_of(prices=[5])
    assert merge.release(everything, 0.4, WALL, lambda _: WALL - 1) == []
    told = {"prices": WALL + 1, "liquidations": WALL - 1}
    assert merge.release(everything, 0.5, WALL + 1, told.__getitem__) == []
    assert times(merge.release(everything, 0.6, WALL + 2, lambda _: WALL + 1)) == [("p", 5)]


def test_a_clock_that_was_set_back_holds_nothing_up_for_long():
    merge = merge_of(prices=[5])
    assert merge.release(everything, 0.4, WALL, lambda _: WALL - 90_000) == []
    assert times(merge.release(everything, 1.5, WALL - 90_000, lambda _: WALL - 90_000)) == [("p", 5)]


def test_a_long_backlog_does_not_wait_to_be_told_again():
    merge = merge_of(prices=range(LONGEST_QUEUE))
    assert len(merge.release(everything, 0.4, WALL, lambda _: WALL - 1)) == LONGEST_QUEUE
