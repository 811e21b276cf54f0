"""Measurements, contexts and events made by hand, for the tests of judgement."""

from pipeline.contract import CONTEXT, CONTROL, FEED_STATUS, FUNDING, LIQUIDATIONS, OPEN_INTEREST, PRICES
from pipeline.features.event import Event
from pipeline.features.measurements import Measurement, PositioningReading
from pipeline.features.states import States
from pipeline.messages import (
    Context,
    Control,
    FeedStatus,
    Funding,
    Liquidation,
    OpenInterest,
    Price,
    Signal,
    micros,
    seconds,
)
from pipeline.signals.joins import Joined
from pipeline.signals.profile import SEED
from pipeline.signals.scoring import ScoringStage
from pipeline.signals.weights import read_weights

START = 1_760_000_000_000_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
WEIGHTS = read_weights(SEED.score.weights)


def measurement(symbol="SOLUSDT", clock=START, trigger="liquidation", **changes):
    fields = {
        "event_time": clock,
        "velocity": 0.0,
        "acceleration": 0.0,
        "jerk": 0.0,
        "volume_usd": 0.0,
        "recent": True,
        "correlation": 0.0,
        "leader": None,
    }
    return Measurement(symbol=symbol, clock=clock, trigger=trigger, **{**fields, **changes})


def context(time=START, regime="NORMAL", risk=1.5, sensitivity=1.0, multiplier=1.0, **changes):
    fields = {
        "symbol": "BTCUSDT",
        "timestamp": seconds(time),
        "sequence": 1,
        "btc_price": 60_000.0,
        "volatility_regime": regime,
        "market_regime": regime,
        "vol_risk_multiplier": risk,
        "cascade_sensitivity": sensitivity,
        "velocity_threshold_multiplier": multiplier,
        "warming": False,
    }
    return Context(**{**fields, **changes})


def reading(time=START, change=0.01, rate=0.0001, **changes):
    fields = {
        "open_interest_usd": 1e9,
        "change_1m": change,
        "change_5m": None,
        "rate": rate,
        "open_interest_time": time,
        "funding_time": time,
    }
    return PositioningReading(time=time, **{**fields, **changes})


def silence(since, until=None, told=None, exchange="okx", stream="a"):
    """Return what a collector tells of a gap, of times in seconds from the start on."""
    told = (since if until is None else until) if told is None else told
    times = [None if time is None else seconds(START) + time for time in (since, until, told)]
    return FeedStatus(exchange, stream, times[0], times[1], "cut", times[2])


def joined(**changes):
    return Joined(**{"weights": WEIGHTS, **changes})


class Feed:
    """Events with offsets that count up by topic, as one partition would hold them."""

    def __init__(self):
        self.offsets = {}

    def event(self, topic, symbol, message, time, *, last=True):
        offset = self.offsets.get(topic, -1) + 1
        if last:
            self.offsets[topic] = offset
        return Event(topic, symbol, message, time, offset, last=last)

    def liquidation(self, measured=None, *, symbol="SOLUSDT", last=True):
        time = START if measured is None else measured.event_time
        symbol = symbol if measured is None else measured.symbol
        event = self.event(
            LIQUIDATIONS,
            symbol,
            Liquidation(symbol, "binance", "long", 150.0, 2.0, seconds(time)),
            time,
            last=last,
        )
        event.measurements = [] if measured is None else [measured]
        return event

    def price(self, *measured, symbol="SOLUSDT", found=None):
        time = measured[0].event_time if measured else START
        event = self.event(PRICES, symbol, Price(symbol, 150.0, seconds(time)), time)
        event.measurements = list(measured)
        event.context = found
        return event

    def context(self, found, *measured):
        event = self.event(CONTEXT, found.symbol, found, round(found.timestamp * SECOND))
        event.context = found
        event.measurements = list(measured)
        return event

    def positioning(self, found, *, symbol="SOLUSDT", topic=OPEN_INTEREST):
        timestamp = seconds(found.time)
        message = (
            OpenInterest(symbol, 1e9, timestamp)
            if topic == OPEN_INTEREST
            else Funding(symbol, 0.0001, timestamp)
        )
        event = self.event(topic, symbol, message, found.time)
        event.positioning = found
        return event

    def funding(self, found, *, symbol="SOLUSDT"):
        return self.positioning(found, symbol=symbol, topic=FUNDING)

    def control(self, weights, version=1, time=START):
        message = Control("weights", version, seconds(time), weights)
        return self.event(CONTROL, "", message, time)

    def silence(self, status, *, last=True):
        return self.event(FEED_STATUS, "", status, micros(status.told), last=last)


class Scoring:
    """The stage, its states, and what it sent."""

    def __init__(self, profile=SEED, stored=None):
        self.stage = ScoringStage(profile)
        self.states = States(self.stage.new, stored)
        self.feed = Feed()

    def step(self, event):
        event.outputs.clear()
        self.stage.step(event, self.states)
        return list(event.outputs)

    def measure(self, **changes):
        """Judge a liquidation's measurement; return the signal, or None when nothing was sent."""
        return self.signal(self.feed.liquidation(measurement(**changes)))

    def tick(self, **changes):
        return self.signal(self.feed.price(measurement(trigger="price", **changes)))

    def signal(self, event) -> Signal | None:
        outputs = self.step(event)
        return outputs[0].body if outputs else None
