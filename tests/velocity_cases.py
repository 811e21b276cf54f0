"""Events for the tests of the velocity measurement, and the measurement by its definition."""

import itertools

from pipeline import contract
from pipeline.features.event import Event
from pipeline.features.states import States
from pipeline.features.velocity import VelocityConstants, VelocityStage
from pipeline.messages import Context, Liquidation, Price, micros

START = 1_700_000_000.0
SYMBOL = "ETHUSDT"
GRACE = 3.0


def liquidation(  # noqa: PLR0913
    at, *, symbol=SYMBOL, exchange="binance", side="long", usd=1_000.0, number=None
):
    return Liquidation(symbol, exchange, side, 1.0, usd, START + at, usd, number)


def price(at, *, symbol=SYMBOL):
    return Price(symbol, 2_000.0, START + at)


def context(at, *, btc_price=60_000.0, risk=1.5):
    return Context("BTCUSDT", START + at, 1, btc_price, "NORMAL", "NORMAL", risk, 1.0, 1.0, warming=False)


class Feed:
    """Passes messages through a velocity stage, numbering records by topic."""

    def __init__(self, stored=None, constants=None):
        self.stage = VelocityStage(constants or VelocityConstants())
        self.states = States(self.stage.new, stored)
        self.offsets = {topic: itertools.count() for topic in contract.INPUTS}

    def put(self, message, *, offset=None, with_context=None) -> Event:
        topic = {Liquidation: contract.LIQUIDATIONS, Price: contract.PRICES, Context: contract.CONTEXT}[
            type(message)
        ]
        number = next(self.offsets[topic]) if offset is None else offset
        found = Event(topic, message.symbol, message, micros(message.timestamp), number)
        if isinstance(message, Context):
            found.context = message
        if with_context is not None:
            found.context = with_context
        self.stage.step(found, self.states)
        return found

    def measure(self, message, **keywords):
        """Return the one measurement that a message leads to."""
        (found,) = self.put(message, **keywords).measurements
        return found

    def state(self, symbol=SYMBOL):
        return self.states.get(symbol)


class Oracle:
    """One symbol measured from a list of all its liquidations, bucket by bucket as the definition says."""

    WIDTHS = {0.5: 5_000, 2: 100_000, 10: 100_000, 30: 1_500_000, 60: 1_500_000, 300: 1_500_000}  # noqa: RUF012

    def __init__(self):
        self.held = []

    def add(self, message):
        self.held.append(message)

    def within(self, length, clock):
        width = self.WIDTHS[length]
        newest, buckets = clock // width, micros(length) // width
        return [
            message
            for message in self.held
            if newest - buckets < micros(message.timestamp) // width <= newest
        ]

    def velocity(self, length, clock):
        return len(self.within(length, clock)) / length

    def usd(self, length, clock, side=None):
        return (
            sum(
                round(message.value_usd * 100)
                for message in self.within(length, clock)
                if side in (None, message.side)
            )
            / 100
        )
