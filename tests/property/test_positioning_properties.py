import pytest
from hypothesis import given
from hypothesis import strategies as st
from price_cases import START, Market, funding, open_interest

from pipeline.features.positioning import PositioningStage

VENUES = st.sampled_from("abc")


@st.composite
def values(draw):
    """Values at whole 5 seconds, so that all of them are remembered; some are late."""
    second = 0
    found = []
    for step in draw(st.lists(st.sampled_from([-60, 0, 5, 60, 120, 300, 700]), min_size=1, max_size=50)):
        second = max(0, second + step)
        if draw(st.booleans()):
            found.append(open_interest(second, draw(st.sampled_from([0.0, 1e3, 5e9, 1e18])), draw(VENUES)))
        else:
            found.append(funding(second, draw(st.floats(-1, 1)), draw(VENUES)))
    return found


class Oracle:
    """Everything that ever came, searched from one end to the other."""

    def __init__(self):
        self.known = {}

    def take(self, message):
        before = self.known.setdefault(message.exchange, [])
        if not before or message.timestamp >= before[-1].timestamp:
            before.append(message)

    def change(self, least, most):
        clock = max(history[-1].timestamp for history in self.known.values())
        pairs = []
        for history in self.known.values():
            old = [m for m in history if clock - most <= m.timestamp <= clock - least]
            if old and history[-1].timestamp >= clock - 600:
                pairs.append((history[-1].open_interest_usd, old[-1].open_interest_usd))
        then = sum(old for _, old in pairs)
        return sum(new for new, _ in pairs) / then - 1 if then else None


@given(values())
def test_changes_are_those_of_a_search_through_everything(messages):
    market, oracle = Market(PositioningStage()), Oracle()
    for message in messages:
        reading = market.feed(message).positioning
        if hasattr(message, "rate"):
            continue
        oracle.take(message)
        if reading is None:
            continue
        for found, expected in (
            (reading.change_1m, oracle.change(60, 360)),
            (reading.change_5m, oracle.change(300, 600)),
        ):
            assert found == (None if expected is None else pytest.approx(expected))


@given(values())
def test_the_funding_rate_lies_within_those_of_its_venues(messages):
    market = Market(PositioningStage())
    rates = []
    for message in messages:
        rates += [message.rate] if hasattr(message, "rate") else []
        reading = market.feed(message).positioning
        if reading is not None and reading.rate is not None:
            assert min(rates) - 1e-12 <= reading.rate <= max(rates) + 1e-12


@given(values(), st.data())
def test_a_snapshot_of_positioning_cut_anywhere_has_an_equal_future(messages, data):
    cut = data.draw(st.integers(0, len(messages)))

    def run(market, part):
        events = [market.feed(message) for message in part]
        return [(event.positioning, [output.message for output in event.outputs]) for event in events]

    first = Market(PositioningStage())
    before = run(first, messages[:cut])
    second = first.reborn()
    assert before + run(second, messages[cut:]) == run(Market(PositioningStage()), messages)


@given(values())
def test_the_time_of_a_reading_never_falls(messages):
    market = Market(PositioningStage())
    times = [event.positioning.time for event in map(market.feed, messages) if event.positioning]
    assert times == sorted(times)
    assert all(time >= START * 10**6 for time in times)
