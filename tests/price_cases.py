"""Prices, open interest and funding, and the stages that they pass through before velocity."""

from itertools import count

from pipeline.features.event import Event
from pipeline.features.positioning import PositioningStage
from pipeline.features.states import States
from pipeline.features.volatility import VolatilityStage
from pipeline.messages import Funding, OpenInterest, Price, micros
from pipeline.signals.regime import RegimeStage

START = 1_700_000_100
"""A whole five minutes, in Unix seconds."""
REFERENCE = "BTCUSDT"
TOPICS = {Price: "prices", OpenInterest: "open-interest", Funding: "funding"}


def price(second, value, **fields):
    fields = {"symbol": REFERENCE, "exchange": "binance"} | fields
    return Price(price=value, timestamp=START + second, **fields)


def open_interest(second, value, exchange="binance"):
    return OpenInterest(REFERENCE, value, START + second, exchange)


def funding(second, rate, exchange="binance"):
    return Funding(REFERENCE, rate, START + second, exchange)


class Market:
    """The stages positioning, volatility and regime, fed message by message."""

    def __init__(self, *stages, stored=None):
        stages = stages or (PositioningStage(), VolatilityStage(), RegimeStage(REFERENCE))
        stored = stored or {}
        self.steps = [(stage, States(stage.new, stored.get(stage.table))) for stage in stages]
        self.offsets = count()

    def feed(self, *messages):
        """Feed messages; return the last one's event."""
        for message in messages:
            event = Event(
                TOPICS[type(message)],
                message.symbol,
                message,
                micros(message.timestamp),
                next(self.offsets),
            )
            self.pass_on(event)
        return event

    def pass_on(self, event):
        for stage, states in self.steps:
            stage.step(event, states)

    def state(self, table, key=REFERENCE):
        return next(states for stage, states in self.steps if stage.table == table).get(key)

    def reborn(self):
        """Return a market restored from this one's snapshots."""
        stored = {stage.table: states.take_snapshots() for stage, states in self.steps}
        market = Market(*(stage for stage, _ in self.steps), stored=stored)
        market.offsets = self.offsets
        return market


def sent(event, topic):
    return [output.body for output in event.outputs if output.topic == topic]
