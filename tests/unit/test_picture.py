"""What a worker shows of what it sent: the newest of each symbol, its past, and what others sent before."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import Engine
from pipeline.cli.simulated.simulation import simulate
from pipeline.messages import LEVELS, VolatilityUpdate
from pipeline.signals.profile import SEED
from pipeline.web import picture as module
from pipeline.web import rows
from pipeline.web.history import SLOTS, History, Moment
from pipeline.web.picture import Picture

WEIGHTS = SEED.score.weights


def new_picture(bodies: Iterable = ()) -> Picture:
    picture = Picture()
    picture.weights = lambda _partition: WEIGHTS
    picture.keep({0})
    picture.unread.clear()
    for body in bodies:
        picture.take(0, body)
    return picture


@pytest.fixture(scope="module")
def sent():
    engine, bodies = Engine(), {}
    for tick in simulate(40, seed=3):
        for output in engine.process(tick.topic, [tick.message]):
            bodies[id(output.body)] = output.body
    return list(bodies.values())


@pytest.fixture(scope="module")
def signals(sent):
    return [body for body in sent if hasattr(body, "signal_level")]


def moment(time, probability=0.0):
    return Moment(time, None, probability, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, ())


def test_rows_show_each_symbols_newest_signal_the_hottest_first(sent, signals):
    picture = new_picture(sent)
    newest = {signal.symbol: signal for signal in signals}
    found = rows.hottest(picture, 100)
    assert {row.symbol: (row.probability, row.signal, row.velocity) for row in found} == {
        name: (signal.probability, signal.signal, signal.metrics.velocity) for name, signal in newest.items()
    }
    assert [row.probability for row in found] == sorted((row.probability for row in found), reverse=True)
    assert [row.probability for row in rows.hottest(picture, 2)] == [row.probability for row in found[:2]]
    assert sum(rows.by_level(picture).values()) == len(newest)


def test_changes_are_the_signals_with_which_a_level_changed(sent, signals):
    levels, expected = {}, []
    for signal in signals:
        if signal.signal_level != levels.get(signal.symbol, 0):
            expected.append(signal)
        levels[signal.symbol] = signal.signal_level
    found = new_picture(sent).newest(0, None, 1_000, changes=True)
    assert [signal.id for signal in reversed(found)] == [signal.id for signal in sorted(expected, key=_place)]


async def test_the_first_signal_after_a_restart_is_no_change_when_the_level_was_that_before(sent, signals):
    before, repeat = next(
        (one, other) for one, other in pairwise(signals) if one.symbol == other.symbol and one.signal_level
    )
    assert before.signal_level == repeat.signal_level
    cut = next(place for place, body in enumerate(sent) if body is repeat)
    restarted, earlier = new_picture(sent[cut:]), new_picture(sent[:cut])
    assert repeat in restarted.changes
    await restarted.put_before(earlier)
    assert [each.id for each in restarted.changes] == [each.id for each in new_picture(sent).changes]


def test_what_was_liquidated_is_not_known_before_it_was_told(signals):
    (moment,) = new_picture(signals[:1]).symbols[signals[0].symbol].history.since(0.0)
    assert (moment.long_usd, moment.short_usd) == (None, None)


def test_newest_signals_are_by_level_and_symbol(sent, signals):
    found = new_picture(sent).newest(3, "ETHUSDT", 5, changes=False)
    wanted = [each for each in signals if each.signal_level >= 3 and each.symbol == "ETHUSDT"]
    assert [each.id for each in found] == [each.id for each in reversed(wanted[-5:])]


def test_the_past_keeps_every_peak(sent, signals):
    past = new_picture(sent).symbols["BTCUSDT"].history.since(0.0)
    assert max(each.probability for each in past) == max(
        signal.probability for signal in signals if signal.symbol == "BTCUSDT"
    )
    assert [each.time for each in past] == sorted(each.time for each in past)
    assert all(sum(each.contributions) == pytest.approx(each.probability, abs=1e-5) for each in past)


async def test_what_was_sent_before_comes_before(sent):
    """A worker that took a partition over in the middle shows what one shows that had it all along."""
    half = len(sent) // 2
    later = new_picture(sent[half:])
    await later.put_before(new_picture(sent[: half + 50]))
    whole = new_picture(sent)
    assert rows.hottest(later, 100) == rows.hottest(whole, 100)
    for changes in (False, True):
        assert later.newest(0, None, 1_000, changes=changes) == whole.newest(0, None, 1_000, changes=changes)
    assert later.regime == whole.regime


def test_what_is_sent_again_after_a_rebalance_changes_nothing(signals):
    """Delivery is at least once: a worker that goes on where a checkpoint was sends some signals again."""
    half = len(signals) // 2
    again, whole = new_picture([*signals[:half], *signals[half // 2 :]]), new_picture(signals)
    assert rows.hottest(again, 100) == rows.hottest(whole, 100)
    for name, known in whole.symbols.items():
        assert again.symbols[name].history.since(0.0) == known.history.since(0.0)
    for changes in (False, True):
        assert again.newest(0, None, 1_000, changes=changes) == whole.newest(0, None, 1_000, changes=changes)


def test_what_was_sent_leaves_with_its_partition(sent):
    picture = new_picture(sent)
    assert picture.keep({0, 1}) == {1}
    assert picture.symbols
    assert picture.regime is not None
    assert picture.keep({1}) == {1}
    assert (picture.symbols, picture.regime, list(picture.regimes)) == ({}, None, [])
    assert picture.newest(0, None, 1_000, changes=False) == []
    assert picture.newest(0, None, 1_000, changes=True) == []


def test_a_symbol_that_there_is_no_state_of_any_more_is_not_shown_for_ever(sent):
    picture = new_picture(sent)
    assert picture.symbols["ETHUSDT"].history is not None
    picture.forget(["ETHUSDT", "NOBODY"])
    assert "ETHUSDT" not in picture.symbols.keys() | picture._kept.keys()
    assert "ETHUSDT" not in {row.symbol for row in rows.hottest(picture, 100)}


async def test_a_partition_whose_past_was_not_read_yet_when_it_left_is_read_when_it_is_back(sent):
    picture = new_picture()
    assert picture.keep({0, 1}) == {1}
    assert picture.keep({0, 1}) == {1}
    past = Picture()
    past.keep({1})
    await picture.put_before(past)
    assert picture.keep({0, 1}) == set()
    assert len(sent)


async def test_a_symbol_that_only_had_a_price_since_keeps_its_past(sent, signals):
    price = next(body for body in sent if isinstance(body, VolatilityUpdate) and body.symbol == "BTCUSDT")
    now = new_picture([price])
    earlier = new_picture(sent)
    await now.put_before(earlier)
    known = now.symbols["BTCUSDT"]
    assert known.history is earlier.symbols["BTCUSDT"].history
    assert (known.signal, known.since) == (
        earlier.symbols["BTCUSDT"].signal,
        earlier.symbols["BTCUSDT"].since,
    )
    assert known.signal.id == [each.id for each in signals if each.symbol == "BTCUSDT"][-1]


async def test_no_more_pasts_are_kept_than_there_is_room_for(sent, monkeypatch):
    monkeypatch.setattr(module, "MOST_HISTORIES", 2)
    picture, earlier = new_picture(), new_picture()
    for number, body in enumerate(sent):
        (picture if number % 2 else earlier).take(0, body)
    await picture.put_before(earlier)
    assert sum(each.history is not None for each in picture.symbols.values()) == 2


def test_a_past_is_given_up_by_a_quiet_symbol_for_one_above_none(signals, monkeypatch):
    monkeypatch.setattr(module, "MOST_HISTORIES", 1)
    quiet = next(each for each in signals if each.signal_level == 0)
    loud = next(each for each in signals if each.signal_level and each.symbol != quiet.symbol)
    picture = new_picture([quiet])
    assert picture.symbols[quiet.symbol].history is not None
    picture.take(0, loud)
    assert picture.symbols[quiet.symbol].history is None
    picture.take(0, quiet)
    assert picture.symbols[quiet.symbol].history is None
    assert len(picture.symbols[loud.symbol].history.since(0.0)) == 1


@given(st.lists(st.tuples(st.integers(0, 200_000), st.floats(0, 1)), max_size=300))
def test_thinning_hides_no_peak_of_what_is_kept_and_orders_by_time(values):
    history = History(moment(float(time), probability) for time, probability in sorted(values))
    found = history.since(0.0)
    times = [each.time for each in found]
    assert times == sorted(times)
    if values:
        newest = max(values)[0]
        kept = [probability for time, probability in values if newest - time < 80_000]
        assert max(each.probability for each in found) >= max(kept)
    assert len(found) <= sum(most for _, most in SLOTS)


def test_every_level_is_counted():
    assert list(rows.by_level(new_picture())) == list(LEVELS)


def test_all_that_is_shown_of_a_symbol_has_one_length(sent):
    found = rows.detail("BTCUSDT", new_picture(sent), None, SEED.score, 3_600)
    lengths = {len(column) for column in (found.history.time, *found.history.contributions.values())}
    assert lengths == {len(found.history.price)}
    assert [each.level for each in found.thresholds] == list(LEVELS[1:])
    assert found.latest.symbol == "BTCUSDT"


def _place(signal):
    return signal.timestamp, signal.symbol, signal.sequence
