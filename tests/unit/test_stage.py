import msgspec
import pytest

from pipeline import contract
from pipeline.features.event import Event, Output
from pipeline.features.stage import Stage
from pipeline.features.state import SHARED, State
from pipeline.features.states import LATENESS, LIFETIME, States, made_anew, read_head, read_snapshot, snapshot
from pipeline.messages import Price

START = 1_760_000_000_000_000
PRICE = Price("BTCUSDT", 60_000.0, 1_760_000_000.0)


class Counter(State):
    """Counts events; a positive count wants to hear of the market's clock."""

    __slots__ = ("count",)

    def __init__(self, count=0):
        super().__init__()
        self.count = count

    @property
    def active(self):
        return self.count > 0

    def freeze(self):
        return self.count

    def thaw(self, frozen):
        self.count = frozen


class Passive(State):
    __slots__ = ()

    def freeze(self):
        return None

    def thaw(self, frozen):
        """Nothing was frozen."""


class CountingStage(Stage[Counter]):
    table = "counting"
    topics = frozenset((contract.PRICES,))

    def new(self, key):  # noqa: ARG002 - as the pipeline calls it
        return Counter()

    def step(self, event, states):
        state = states.open(event)
        if state is not None:
            state.count += 1


def event(offset, *, topic=contract.PRICES, symbol="BTCUSDT", last=True, time=START):
    return Event(topic, symbol, PRICE, time, offset, last=last)


def counted(*events, stored=None):
    stage = CountingStage()
    states = States(stage.new, stored)
    for each in events:
        stage.step(each, states)
    return states


def test_records_are_opened_by_topic_beyond_the_applied_offset():
    states = counted(event(5))
    assert [states.open(event(offset)) is None for offset in (0, 4, 5, 6)] == [True, True, True, False]
    assert states.open(event(0, topic=contract.FUNDING)) is states.get("BTCUSDT")


def test_a_record_is_opened_until_its_last_event_was():
    states = States(CountingStage().new)
    states.take_snapshots()
    opened = [
        states.open(event(offset, last=last))
        for offset, last in ((5, False), (5, True), (5, True), (4, True))
    ]
    assert [state is None for state in opened] == [False, False, True, True]
    assert states.get("BTCUSDT").applied == {contract.PRICES: (5, START)}


def test_a_record_is_opened_as_of_when_the_market_lets_it_happen():
    states = States(CountingStage().new)
    market_time = START + 3 * LATENESS
    state = states.open(event(0), market_time)
    assert (state.newest, state.applied) == (market_time - LATENESS, {contract.PRICES: (0, START)})
    assert states.open(event(1, time=START + 1), market_time - 1) is state
    assert state.newest == market_time - LATENESS


def test_an_opened_repeat_is_no_change():
    states = counted(event(5))
    assert states.take_snapshots()
    assert states.open(event(5)) is None
    assert not states.take_snapshots()


def test_what_all_share_is_opened_once_a_record_and_never_idle():
    states = counted(
        event(0, symbol=SHARED), event(0, symbol=SHARED), event(1, symbol=SHARED, time=LONG_AFTER)
    )
    shared = states.get(SHARED)
    assert (shared.count, shared.newest, shared.incarnation) == (2, 0, 0)


def test_the_position_grows_with_every_record_of_any_topic():
    states = counted()
    fresh = states.get("BTCUSDT").position
    events = event(0), event(7), event(0, topic=contract.FUNDING), event(8)
    assert [fresh, *(states.open(each).position for each in events)] == [(0,), (1,), (8,), (9,), (10,)]


def test_offsets_of_topics_that_were_made_anew_are_forgotten():
    state = counted(event(5), event(5, topic=contract.FUNDING)).get("BTCUSDT")
    state.forget_offsets({contract.PRICES})
    assert state.applied == {contract.FUNDING: (5, START)}
    assert state.incarnation == START + 1


@pytest.mark.parametrize(
    ("end", "found"), [(9, {contract.PRICES: 10}), (4, {contract.PRICES: 10}), (10, {}), (None, {})]
)
def test_a_topic_that_ends_before_what_a_state_has_read_was_made_anew(end, found):
    stored = counted(event(5), event(9, symbol="ETHUSDT"), event(4, symbol="SOLUSDT")).take_snapshots()
    assert made_anew(stored, {} if end is None else {contract.PRICES: end}) == found


def test_a_state_is_passive_unless_it_says_otherwise():
    assert not Passive().active
    assert not read_snapshot(snapshot(Passive())).active


def test_states_count_keys_live_or_stored_but_not_what_all_share():
    stored = {"ETHUSDT": snapshot(Counter()), "BTCUSDT": snapshot(Counter())}
    states = States(CountingStage().new, stored)
    for key in ("BTCUSDT", "SOLUSDT", SHARED):
        states.get(key)
    assert len(states) == 3


def test_states_are_made_when_first_asked_for_and_then_kept():
    states = counted()
    assert states.live == {}
    assert states.get("BTCUSDT") is states.get("BTCUSDT")
    assert states.change("ETHUSDT") is states.get("ETHUSDT")
    assert set(states.live) == {"BTCUSDT", "ETHUSDT"}


def test_snapshots_are_taken_of_what_changed_since_the_last():
    states = counted(event(0), event(1, symbol="ETHUSDT"))
    states.get("SOLUSDT")
    assert set(states.take_snapshots()) == {"BTCUSDT", "ETHUSDT"}
    assert states.take_snapshots() == {}
    states.change("ETHUSDT")
    assert set(states.take_snapshots()) == {"ETHUSDT"}


def test_a_moment_holds_states_as_they_were_whatever_comes_after_it():
    events = [event(offset, symbol=f"C{offset % 3}USDT") for offset in range(6)]
    at_once, later = counted(*events), counted(*events)
    expected = at_once.take_snapshots()
    moment = later.moment()
    for offset in range(6, 8):
        CountingStage().step(event(offset, symbol=f"C{offset % 3}USDT"), later)
    assert moment.take_all() == expected
    assert set(later.take_snapshots()) == {"C0USDT", "C1USDT"}


def test_a_moment_is_packed_a_few_states_at_a_time():
    moment = counted(*[event(number, symbol=f"C{number}") for number in range(5)]).moment()
    assert [moment.take_some(2) for _ in range(3)] == [True, True, False]
    assert len(moment.take_all()) == 5


def test_a_snapshot_holds_all_that_is_needed_to_go_on():
    states = counted(event(0), event(4))
    found = read_snapshot(states.take_snapshots()["BTCUSDT"])
    assert (found.frozen, found.position, found.active) == (2, (5,), True)
    assert found.applied == {contract.PRICES: (4, START)}


def test_restored_states_go_on_where_they_were():
    stored = counted(event(0), event(4)).take_snapshots()
    states = counted(event(4), event(5), stored=stored)
    assert states.get("BTCUSDT").count == 3


def test_active_states_are_restored_at_once_and_others_when_asked_for():
    stored = {"BTCUSDT": snapshot(Counter(2)), "ETHUSDT": snapshot(Counter(0))}
    states = counted(stored=stored)
    assert set(states.live) == {"BTCUSDT"}
    assert [(key, state.count) for key, state in states.active()] == [("BTCUSDT", 2)]
    assert states.get("ETHUSDT").count == 0


def test_active_states_come_in_the_order_of_their_keys_whatever_order_they_were_made_or_stored_in():
    made = counted(event(0, symbol="B"), event(1, symbol="C"), event(2, symbol="A"))
    stored = counted(stored={key: snapshot(Counter(1)) for key in ("C", "A", "B")})
    for states in (made, stored):
        assert [key for key, _ in states.active()] == ["A", "B", "C"]


def test_active_states_may_change_while_they_are_gone_through():
    states = counted(event(0), event(1, symbol="ETHUSDT"))
    for key, _ in states.active():
        states.get(f"{key}2").count = 1
    assert len(list(states.active())) == 4


def test_every_state_reads_a_topic_that_was_made_anew_again():
    """Also one whose last offset the new topic has as well; and none waits for its next record to say so."""
    stored = counted(event(0), event(9, symbol="ETHUSDT")).take_snapshots()
    states = States(CountingStage().new, stored, {contract.PRICES})
    CountingStage().step(event(0), states)
    assert states.get("BTCUSDT").count == 2
    snapshots = states.take_snapshots()
    assert read_snapshot(snapshots["ETHUSDT"]).applied == {}
    assert all(read_snapshot(snapshots[key]).order > read_snapshot(stored[key]).order for key in stored)


def test_states_that_have_not_read_a_topic_that_was_made_anew_are_left_alone():
    stored = counted(event(9)).take_snapshots()
    states = States(CountingStage().new, stored, {contract.FUNDING})
    assert (states.get("BTCUSDT").incarnation, states.take_snapshots()) == (START, {})


def test_of_two_snapshots_the_later_incarnation_is_the_newer_then_the_higher_position():
    low, high, anew = (counted(*events).get("BTCUSDT") for events in ([event(5)], [event(6)], []))
    anew.incarnation = START + 1
    orders = [read_snapshot(snapshot(state)).order for state in (low, high, anew)]
    assert orders == sorted(orders)
    assert len(set(orders)) == 3


@pytest.mark.parametrize("data", [b"", b"\xff", b"{}", b"\x93\x01\x02\x03"])
def test_what_is_no_snapshot_is_refused(data):
    with pytest.raises(msgspec.DecodeError):
        read_snapshot(data)


def test_a_snapshot_of_another_version_is_refused():
    found = read_snapshot(snapshot(Passive()))
    found.version += 1
    with pytest.raises(ValueError, match="snapshot of version 4, expected 3"):
        read_snapshot(msgspec.msgpack.encode(found))


def test_an_output_shows_its_message_as_a_consumer_sees_it():
    assert Output(contract.PRICES, "BTCUSDT", PRICE).message["price"] == 60_000.0


def test_outputs_are_kept_in_order():
    each = event(0)
    each.send(contract.SIGNALS, "BTCUSDT", PRICE)
    each.send(contract.ALERTS, "BTCUSDT", PRICE)
    assert [(output.topic, output.key) for output in each.outputs] == [
        (contract.SIGNALS, "BTCUSDT"),
        (contract.ALERTS, "BTCUSDT"),
    ]


LONG_AFTER = START + LIFETIME + 1


def everything():
    return {contract.PRICES: 1_000}


def idle(states, *, market_time=START + LIFETIME + LATENESS + 1, committed=everything):
    return set(states.forget(market_time, committed))


def test_a_state_begins_anew_with_a_record_that_comes_long_after_its_newest():
    states = counted(event(0), event(1), event(2, time=START + LIFETIME))
    assert states.get("BTCUSDT").count == 3
    states = counted(event(0), event(1), event(2, time=LONG_AFTER))
    assert states.get("BTCUSDT").count == 1


def test_a_state_that_began_anew_knows_what_had_been_read_and_is_the_newer_one():
    states = counted(event(7))
    before = states.take_snapshots()["BTCUSDT"]
    states = counted(event(0, topic=contract.FUNDING, time=LONG_AFTER), event(7), stored={"BTCUSDT": before})
    assert states.get("BTCUSDT").count == 1
    assert read_head(states.take_snapshots()["BTCUSDT"]).order > read_head(before).order


def test_time_is_counted_from_the_newest_record_not_from_the_last():
    newer, older = event(0, time=START + LIFETIME), event(1, time=START - LIFETIME)
    assert counted(newer, older, event(2, time=START + LIFETIME)).get("BTCUSDT").count == 3


def test_the_newest_record_is_known_after_a_restart():
    stored = counted(event(0)).take_snapshots()
    assert read_head(stored["BTCUSDT"]).newest == START
    assert counted(event(1, time=LONG_AFTER), stored=stored).get("BTCUSDT").count == 1


def test_an_idle_state_is_forgotten_live_or_stored():
    states = counted(event(0))
    states.get("BTCUSDT").count = 0
    stored = states.take_snapshots()
    states.change("BTCUSDT")
    assert idle(states) == {"BTCUSDT"}
    assert "BTCUSDT" not in states
    assert states.take_snapshots() == {}
    states = counted(stored=stored)
    assert "BTCUSDT" in states
    assert idle(states) == {"BTCUSDT"}
    assert stored == {}


@pytest.mark.parametrize("reason", ["not idle yet", "not committed", "active", "of no record"])
def test_a_state_is_kept_that_is(reason):
    states = counted(event(0))
    states.get("BTCUSDT").count = reason == "active"
    if reason == "of no record":
        states.get("BTCUSDT").newest = 0
    market_time = START + LIFETIME + LATENESS + (reason != "not idle yet")
    offsets = {} if reason == "not committed" else everything()
    assert idle(states, market_time=market_time, committed=lambda: offsets) == set()
    assert "BTCUSDT" in states


def test_idle_states_are_looked_for_once_an_hour_of_the_markets_time():
    asked = []

    def committed():
        asked.append(1)
        return {}

    states = counted(event(0))
    for minute in range(180):
        states.forget(START + minute * 60_000_000, committed)
    assert len(asked) == 3
