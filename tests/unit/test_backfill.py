"""A symbol that is fed its past while the market's clock stands far ahead of it."""

import pytest

from pipeline import Engine, contract
from pipeline.features.states import LIFETIME
from pipeline.messages import micros

NOW = 1_760_000_000.0
GAP = 8 * 86_400.0


class Forgetting(Engine):
    """Looks for idle states after each record: a worker may look at any time."""

    def _run(self, found):
        outputs = super()._run(found)
        for _, states in self._steps:
            states._look_from = 0
        self._forget(max(stage.market_time(states) for stage, states in self._steps))
        return outputs


def price(symbol, time):
    return {"symbol": symbol, "exchange": "binance", "price": 10.0, "timestamp": time}


def sent(engine):
    """Return what is sent of prices with gaps of more than a lifetime, all of them older than the market."""
    outputs, market = [], NOW
    for number in range(12):
        if not number % 4:
            outputs += engine.process(contract.PRICES, price("BTCUSDT", market))
            market += 60.0
        outputs += engine.process(contract.PRICES, price("ETHUSDT", NOW + (number - 20) * GAP))
    wanted = contract.SIGNALS, contract.VELOCITY
    return [(output.topic, output.message) for output in outputs if output.topic in wanted]


@pytest.mark.parametrize("kind", [Engine, Forgetting])
def test_no_message_has_the_place_of_another_when_old_prices_come_with_gaps_of_more_than_a_lifetime(kind):
    assert micros(GAP) > LIFETIME
    places = [
        (topic, message["symbol"], micros(message["timestamp"]), message["sequence"])
        for topic, message in sent(kind())
    ]
    assert len(places) > 4
    assert len(set(places)) == len(places)


def test_whether_its_state_was_forgotten_in_between_cannot_be_told():
    assert sent(Forgetting()) == sent(Engine())
