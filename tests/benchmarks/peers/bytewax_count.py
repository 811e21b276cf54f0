"""Bytewax: count and sum of a symbol's liquidations in the minute up to each event, one output an event.

Arguments: broker, topic in, topic out. Runs until it is killed. No recovery store: state is in memory alone.
"""

from __future__ import annotations

import sys
from collections import deque

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main

MINUTE_S = 60

BROKER, TOPIC, OUTPUT = sys.argv[1:]


def event(message: KafkaSourceMessage) -> tuple[str, dict]:
    return message.key.decode(), orjson.loads(message.value)


class Minute:
    """The events of the newest minute, and their sum."""

    def __init__(self) -> None:
        self.events: deque[tuple[float, float]] = deque()
        self.sum = 0.0

    def add(self, time: float, value: float) -> None:
        self.events.append((time, value))
        self.sum += value
        while self.events[0][0] <= time - MINUTE_S:
            self.sum -= self.events.popleft()[1]


def fold(state: Minute | None, liquidation: dict) -> tuple[Minute, dict]:
    state = state or Minute()
    state.add(liquidation["timestamp"], liquidation["value_usd"])
    return state, {"count": len(state.events), "sum": state.sum}


def message(keyed: tuple[str, dict]) -> KafkaSinkMessage:
    key, counted = keyed
    return KafkaSinkMessage(key.encode(), orjson.dumps(counted))


flow = Dataflow("count")
source = kop.input("liquidations", flow, brokers=[BROKER], topics=[TOPIC], batch_size=1_000)
counted = op.stateful_map("count", op.map("event", source.oks, event), fold)
kop.output("counts", op.map("message", counted, message), brokers=[BROKER], topic=OUTPUT)

if __name__ == "__main__":
    cli_main(flow)
