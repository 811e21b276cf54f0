"""Small markets, drawn, and what an uninterrupted run makes of them.

What is expected comes from `Engine`, one a partition, fed in the order that the merge has to find: so it
owes nothing to the runtime.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, NamedTuple

import orjson
from faust.types import TP
from virtual_loop import WALL

from pipeline import Engine, codec, contract
from pipeline.features.states import read_snapshot
from pipeline.runtime.control import WEIGHTS
from pipeline.runtime.placement import partition_of

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
REFERENCE = SYMBOLS[0]
TABLE_OF = {
    contract.SIGNALS: "scoring",
    contract.ALERTS: "scoring",
    contract.CRITICAL: "scoring",
    contract.VELOCITY: "velocity",
    contract.POSITIONING: "positioning",
    contract.VOLATILITY: "volatility",
    contract.REGIME: "regime",
}
_RANK = {topic: rank for rank, topic in enumerate(contract.INPUTS)}


class Input(NamedTuple):
    """A record of an input topic; `time` in Unix milliseconds."""

    tp: TP
    time: int
    key: bytes
    value: bytes


def draw_market(rng, partitions, count, begin, *, mixed):
    """Return the records of a market in the order of their times; liquidations alone unless it is mixed."""
    time, found = round(begin * 1_000), []
    for number in range(count):
        time += rng.choice((0, 1, 7, 40, 150, 400)) if rng.random() < 0.9 else rng.randrange(3_000)
        found += _draw(rng, partitions, number, time, mixed=mixed)
    if mixed:  # the reference goes on beyond the others, and so does its context
        found += [_price(rng, partitions, REFERENCE, time + after) for after in (1_000, 2_000, 3_000, 4_000)]
    return found


def _draw(rng, partitions, number, time, *, mixed):
    symbol = rng.choice(SYMBOLS)
    draw = rng.random() if mixed else 0.0
    if draw < 0.6:
        fields = {
            "exchange": rng.choice(("binance", "bybit")),
            "side": rng.choice(("long", "long", "short")),
            "price": 100.0,
            "quantity": round(rng.uniform(1, 90_000), 1),
        }
        if rng.random() < 0.02:
            fields["side"] = "sideways"  # a dead letter
        if rng.random() < 0.1:
            fields["id"] = str(number // 3)  # some of them are repeats
        return [_record(partitions, contract.LIQUIDATIONS, symbol, time, fields)]
    if draw < 0.85:
        return [_price(rng, partitions, rng.choice((REFERENCE, symbol)), time)]
    if draw < 0.92:
        fields = {"exchange": "binance", "open_interest_usd": round(rng.uniform(1e9, 2e9), 2)}
        return [_record(partitions, contract.OPEN_INTEREST, symbol, time, fields)]
    if draw < 0.98:
        fields = {"exchange": "binance", "rate": round(rng.uniform(-0.001, 0.001), 6)}
        return [_record(partitions, contract.FUNDING, symbol, time, fields)]
    value = json.dumps({"setting": "weights", "version": number + 1, "timestamp": time / 1_000}).encode()
    return [Input(TP(contract.CONTROL, partition), time, WEIGHTS, value) for partition in range(partitions)]


def _price(rng, partitions, symbol, time):
    fields = {"exchange": "binance", "price": round(100 * rng.uniform(0.98, 1.02), 2), "volume_usd": 1_000.0}
    return _record(partitions, contract.PRICES, symbol, time, fields)


def _record(partitions, topic, symbol, time, fields):
    key = symbol.encode()
    value = json.dumps({"symbol": symbol, **fields, "timestamp": time / 1_000}).encode()
    return Input(TP(topic, partition_of(key, partitions)), time, key, value)


class Expected:
    """What an uninterrupted run sends and keeps.

    Attributes
    ----------
    outputs
        By topic and identity: what is sent.
    caused
        By table, partition, key and topic: offsets of records, and what each of them leads to for that key.
    marks
        By table, partition, key and topic: offsets that the state notes as folded in.
    states
        The last snapshot of each key, by table, partition and key.

    """

    def __init__(self, inputs, partitions):
        self.outputs: dict[tuple[str, Any], Any] = {}
        self.caused = defaultdict(list)
        self.marks = defaultdict(list)
        self.states = {}
        self.ends = defaultdict(int)
        self._contexts = []
        home = partition_of(REFERENCE.encode(), partitions)
        by_partition = defaultdict(list)
        for record in inputs:
            by_partition[record.tp.partition].append((record, self.ends[record.tp]))
            self.ends[record.tp] += 1
        for partition in sorted(range(partitions), key=lambda number: number != home):
            records = by_partition[partition]
            if partition != home:
                records = [*records, *self._contexts_for(partition)]
            self._run(partition, records, is_home=partition == home)

    def _contexts_for(self, partition):
        for number, body in enumerate(self._contexts):
            time, key = round(body.timestamp * 1_000), body.symbol.encode()
            yield Input(TP(contract.CONTEXT, partition), time, key, codec.encode(body)), number

    def _run(self, partition, records, *, is_home):
        engine = Engine()
        records.sort(key=lambda found: (found[0].time, _RANK[found[0].tp.topic], found[1]))
        for record, offset in records:
            topic = record.tp.topic
            outputs = engine.process(topic, record.value, offset=offset)
            own = defaultdict(list)
            for output in outputs:
                if output.topic == contract.CONTEXT:
                    if is_home:
                        self._contexts.append(output.body)
                    continue
                name = self._note(partition, topic, offset, output)
                if output.topic in TABLE_OF and output.key.encode() == record.key:
                    own[TABLE_OF[output.topic]].append(name)
            if topic != contract.CONTEXT:
                self._mark(engine, partition, topic, offset, record.key.decode(), own)
        engine.snapshot()
        for table, stored in engine._stored.items():
            for key, data in stored.items():
                self.states[table, partition, key] = read_snapshot(data)

    def _note(self, partition, topic, offset, output):
        if output.topic == contract.DEAD_LETTERS:
            name = (output.topic, (topic, partition, offset))
            self.outputs[name] = None
            return name
        name, content = identify(output.topic, codec.encode(output.body))
        self.outputs[name] = content
        return name

    def _mark(self, engine, partition, topic, offset, key, own):  # noqa: PLR0913, PLR0917
        for (_, states), table in zip(engine._steps, contract.TABLES, strict=True):
            state = states.live.get(key)
            if state is not None and state.applied.get(topic, (-1,))[0] == offset:
                place = table, partition, key, topic
                self.marks[place].append(offset)
                if own[table]:
                    self.caused[place].append((offset, own[table]))


def identify(topic, value):
    """Return the topic and identity of a message that was sent, and its content but for its timing."""
    message = orjson.loads(value)
    if topic == contract.DEAD_LETTERS:
        return (topic, (message["topic"], message["partition"], message["offset"])), None
    if "meta" in message:
        message["meta"]["processing_time_ms"] = 0.0
        return (topic, message["id"]), message
    return (topic, (message["symbol"], message["sequence"])), message


def old(rng):
    """Return a time of which all records are a backlog."""
    return WALL - 7_200 - rng.randrange(100)
