"""Forgetting idle symbols changes nothing that anybody can see."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import Engine, contract
from pipeline.features.states import LATENESS, LIFETIME
from pipeline.messages import micros

START = 1_760_000_000.0
DAY = 86_400.0
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]

steps = st.tuples(
    st.sampled_from([contract.LIQUIDATIONS, contract.PRICES, contract.FUNDING, contract.OPEN_INTEREST]),
    st.sampled_from(SYMBOLS),
    # How far the market moves on, and how late the record is: up to as late as the rule allows.
    st.sampled_from([0.0, 0.3, 1.0, 61.0, 400.0, DAY, 3 * DAY, 7 * DAY, 8 * DAY, 9 * DAY]),
    st.sampled_from([0.0, 0.0, 0.0, 0.2, 30.0, 400.0, DAY]),
)


class Remembering(Engine):
    """Never forgets a state: what each record meets is up to the rule by event time alone."""

    def _forget(self, market_time):
        pass


def value(topic, symbol, time, number):
    message = {"symbol": symbol, "timestamp": time, "exchange": "binance"}
    return (
        message
        | {
            contract.LIQUIDATIONS: {"side": "long", "price": 10.0, "quantity": 1.0 + number},
            contract.PRICES: {"price": 10.0 + number % 3},
            contract.FUNDING: {"rate": 0.001},
            contract.OPEN_INTEREST: {"open_interest_usd": 1e9 + number},
        }[topic]
    )


def records(moves):
    """Return records, each followed by a price of the reference symbol: the market's clock."""
    now, found = START, []
    for number, (topic, symbol, step, late) in enumerate(moves):
        now += step
        found.append((topic, value(topic, symbol, now - late, number)))
        found.append((contract.PRICES, value(contract.PRICES, "BTCUSDT", now, number)))
    return found


def outputs(engine, topic, message):
    """Return what a record leads to, symbol by symbol: between symbols there is no order to keep."""
    found = sorted(engine.process(topic, message), key=lambda output: output.key)
    return [(output.topic, output.message) for output in found]


@settings(max_examples=150)
@given(st.lists(steps, max_size=25))
def test_an_engine_that_forgets_sends_what_one_that_remembers_sends(moves):
    forgetting, remembering = Engine(), Remembering()
    for topic, message in records(moves):
        assert outputs(forgetting, topic, message) == outputs(remembering, topic, message)


@settings(max_examples=50)
@given(st.lists(steps, max_size=15), st.lists(steps, max_size=15))
def test_forgetting_is_the_same_after_a_restart(moves, later):
    engine = Engine()
    kept, found = records(moves), records(moves + later)
    for topic, message in kept:
        engine.process(topic, message)
    again = Engine.restore(engine.snapshot())
    for topic, message in found[len(kept) :]:
        assert outputs(again, topic, message) == outputs(engine, topic, message)


def test_a_symbol_leaves_when_it_is_idle_and_comes_back_with_signals_in_order():
    engine, sent = Engine(), []
    for number in range(5):
        sent += engine.process(contract.LIQUIDATIONS, value(contract.LIQUIDATIONS, "ETHUSDT", START, number))
    before = engine.snapshot()
    later = START + (LIFETIME + LATENESS) / 1e6 + 1
    engine.process(contract.PRICES, value(contract.PRICES, "BTCUSDT", later, 0))
    assert b"ETHUSDT" in before
    assert b"ETHUSDT" not in engine.snapshot()
    sent += engine.process(contract.LIQUIDATIONS, value(contract.LIQUIDATIONS, "ETHUSDT", later, 9))
    signals = [found.message for found in sent if found.topic == contract.SIGNALS]
    assert len({signal["id"] for signal in signals}) == len(signals)
    assert signals[-1]["sequence"] == 1
    orders = [(micros(signal["timestamp"]), signal["sequence"]) for signal in signals]
    assert orders == sorted(orders)
