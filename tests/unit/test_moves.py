import math
import random

import numpy as np
import pytest

from pipeline.features.moves import MoveConstants, Moves


def walk(minutes, seed=1, step=0.0004):
    random.seed(seed)
    price = 100.0
    for _ in range(minutes):
        price *= math.exp(random.gauss(0, step))
        yield price


SEED = MoveConstants()


def fed(prices, constants=SEED, every=1):
    moves = Moves(constants)
    for minute, price in enumerate(prices, start=1):
        moves.pass_minutes(minute)
        if minute % every == 0:
            moves.add(minute, price)
    return moves


def slow_nearness(closes, price, constants):
    """The same from the whole past, as the definition has it."""
    logs, horizon = np.log(closes), constants.horizon_min
    moves = logs[horizon:] - logs[:-horizon]
    before = moves[:-horizon] ** 2  # of what ended before the move that is judged began

    def mean_of_days(days):
        begin = len(before) // 180 - 8 * days  # by three hours
        return before[180 * max(begin, 0) :].mean()

    usual = min(mean_of_days(1), mean_of_days(int(constants.memory_days)))
    fives = np.abs(np.diff(logs[-61:][::5]))
    bipower = math.pi / 2 * float((fives[1:] * fives[:-1]).sum()) * 12 / 11
    quarter = float((np.diff(logs)[-15:] ** 2).sum())
    needed = max(constants.sigmas * math.sqrt(usual), constants.least)
    found = []
    for ahead in constants.ahead_min:
        deviation = math.sqrt(ahead * (usual / horizon + bipower / 60 + quarter / 15) / 3)
        distance = (needed - abs(math.log(price) - logs[ahead - horizon])) / deviation
        found.append(math.exp(-max(distance + 1, 0) / 3))
    return sum(found) / len(found)


@pytest.mark.parametrize(("horizon", "ahead"), [(15, (5,)), (15, (2, 5, 10)), (31, (20,)), (60, (2, 59))])
@pytest.mark.parametrize("minutes", [130, 500, 5_000])
def test_the_nearness_is_that_of_the_whole_past(minutes, horizon, ahead):
    constants = MoveConstants(horizon_min=horizon, ahead_min=ahead, memory_days=2)
    prices = list(walk(minutes))
    for price in (prices[-1], prices[-1] * 0.99):
        moves = fed([*prices[:-1], price], constants)
        assert moves.nearness() == pytest.approx(slow_nearness(prices[:-1], price, constants))


def test_a_peak_within_a_minute_is_no_move():
    """However far prices of a minute go, only its first one counts; the next minute's counts again."""
    plain, peaked = fed(list(walk(300))), fed(list(walk(300)))
    for price in (90.0, 110.0):
        peaked.add(300, price)
        assert peaked.nearness() == plain.nearness()
    assert peaked.freeze() == plain.freeze()
    for moves in (plain, peaked):
        moves.pass_minutes(301)
        moves.add(301, 90.0)
        assert moves.nearness() == 1.0
    assert peaked.freeze() == plain.freeze()


def test_peaks_are_not_believed_after_a_restart_either():
    stored, on = fed(list(walk(300))), Moves(SEED)
    on.thaw(stored.freeze())
    on.add(300, 90.0)
    assert on.nearness() == stored.nearness()


def test_there_is_no_nearness_without_an_hour_of_prices():
    prices = list(walk(63))
    assert fed(prices[:61]).nearness() is None
    assert fed(prices[:62]).nearness() is not None


def test_a_large_move_is_reached_by_falling_and_by_rising():
    prices = list(walk(300))
    assert fed(prices).nearness() < 0.1
    for factor in (0.97, 1.03):
        assert fed([*prices[:-1], prices[-1] * factor]).nearness() == 1.0


def test_a_burst_of_the_day_before_yesterday_has_no_say_in_what_is_usual():
    """Two days after it the moves of a day are what they would be without; a fading memory has an eighth."""
    constants = MoveConstants(memory_days=1, least=1e-6)
    calm, after = (list(walk(2 * 1_440)) for _ in range(2))
    burst = list(walk(300, step=0.004))
    calm, after = list(walk(300)) + calm, burst + [price * burst[-1] / 100.0 for price in after]
    assert fed(after, constants).nearness() == pytest.approx(fed(calm, constants).nearness())


def test_a_price_that_stands_still_is_far_from_any_move():
    moves = fed([100.0] * 100)
    assert moves.nearness() < 1e-9


def test_bars_of_five_minutes_have_a_nearness_and_silence_begins_anew():
    moves = fed(list(walk(400)), every=5)
    assert moves.nearness() is not None
    moves.pass_minutes(400 + 21)
    assert moves.nearness() is None
    again = Moves(MoveConstants())
    again.thaw(moves.freeze())
    assert again.freeze() == moves.freeze()
    for minute, price in enumerate(walk(90, seed=2), start=422):  # nothing of before the silence is left
        for each in (moves, again):
            each.pass_minutes(minute)
            each.add(minute, price)
    assert again.nearness() == moves.nearness() is not None


def test_it_goes_on_where_it_was_stored():
    prices = list(walk(200))
    one = fed(prices)
    other = Moves(MoveConstants())
    other.thaw(one.freeze())
    for minute, price in enumerate(walk(90, seed=2), start=201):
        for moves in (one, other):
            moves.pass_minutes(minute)
            moves.pass_minutes(minute - 1)
            moves.add(minute, price)
    assert one.nearness() == other.nearness()


@pytest.mark.parametrize("ahead", [(), (15,), (3, 20)])
def test_what_lies_ahead_is_less_than_the_move(ahead):
    with pytest.raises(ValueError, match="ahead_min: expected some, each less than horizon_min"):
        MoveConstants(ahead_min=ahead)
