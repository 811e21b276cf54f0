"""Who listens gets what he wants, and is let go when he is too slow."""

import pytest

from pipeline import contract
from pipeline.settings import Settings
from pipeline.web.stream import MOST_WAITING, Glance, Listener, Topic


def waiting(listener):
    return [listener.queue.get_nowait() for _ in range(listener.queue.qsize())]


@pytest.mark.parametrize(
    ("least", "symbol", "heard"),
    [(0, None, [b"a", b"b", b"c"]), (2, None, [b"b", b"c"]), (2, "ETHUSDT", [b"c"]), (4, None, [])],
)
def test_a_listener_hears_a_symbol_from_a_level_up(least, symbol, heard):
    listener = Listener(least, symbol)
    for event, level, name in ((b"a", 1, "BTCUSDT"), (b"b", 2, "BTCUSDT"), (b"c", 3, "ETHUSDT")):
        listener.take(event, Glance(name, level, "id"))
    listener.take(b"regime", None)
    assert waiting(listener) == [*heard, b"regime"]


def test_who_is_too_slow_is_let_go_and_nothing_is_kept_for_him():
    listener = Listener(0, None)
    for number in range(MOST_WAITING):
        listener.take(str(number).encode(), None)
    assert listener.queue.qsize() == MOST_WAITING
    listener.take(b"one too many", None)
    assert waiting(listener) == [None]


def test_who_wants_changes_hears_of_the_first_level_above_none_of_no_repeat_and_of_each_fall():
    topic, listener = Topic(Settings(), contract.SIGNALS, "signal"), Listener(0, None, changes=True)
    topic._listeners.add(listener)
    for number, (symbol, level) in enumerate([("A", 0), ("B", 2), ("A", 0), ("A", 1), ("B", 2), ("A", 0)]):
        topic._tell(b'{"symbol": "%s", "signal_level": %d, "id": "%d"}' % (symbol.encode(), level, number))
    assert [event.splitlines()[1] for event in waiting(listener)] == [b"id: 1", b"id: 3", b"id: 5"]
