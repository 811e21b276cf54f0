"""Small markets, drawn, and what an uninterrupted run makes of them.

What is expected comes from `Engine`, one a partition, fed in the order that the merge has to find: so it
owes nothing to the runtime.
"""

from __future__ import annotations

import json
from collections import defaultdict
from random import Random
from typing import Any, NamedTuple

import orjson
from faust.types import TP
from virtual_loop import WALL

from pipeline import Engine, codec, contract
from pipeline.features.state import SHARED
from pipeline.features.states import read_snapshot
from pipeline.messages import millis
from pipeline.runtime.control import WEIGHTS

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
REFERENCE = SYMBOLS[0]
QUIET = "XRPUSDT"
"""Has prices alone: where habits let its level rise, contexts are all that ticks it between them."""
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


class Market:
    """Draws records; liquidations alone unless it is mixed.

    Parameters
    ----------
    rng
        Draws.
    partitions
        How many every topic has.
    place
        Returns the partition of a key: producers have their own ways.
    mixed
        Whether there are prices, open interest, funding and weights too.

    """

    def __init__(self, rng, partitions, place, *, mixed):
        self._rng, self._partitions, self._place, self._mixed = rng, partitions, place, mixed

    def draw(self, count, begin):
        """Return records in the order of their times, from a time in Unix milliseconds on."""
        rng, time, found = self._rng, begin, []
        silences = Random(begin)
        for number in range(count):
            time += rng.choice((0, 1, 7, 40, 150, 400)) if rng.random() < 0.9 else rng.randrange(3_000)
            found += self._draw(number, time)
            if self._mixed and silences.random() < 0.04:
                found += self._silence(silences, time)
        if self._mixed:  # the reference goes on beyond the others, and so does its context
            found += [self._price(REFERENCE, time + after) for after in (1_000, 2_000, 3_000, 4_000)]
        return found

    def _draw(self, number, time):
        rng = self._rng
        symbol = rng.choice(SYMBOLS)
        draw = rng.random() if self._mixed else 0.0
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
            return [self._record(contract.LIQUIDATIONS, symbol, time, fields)]
        if draw < 0.85:
            return [self._price(rng.choice((REFERENCE, symbol, QUIET)), time)]
        if draw < 0.92:
            fields = {"exchange": "binance", "open_interest_usd": round(rng.uniform(1e9, 2e9), 2)}
            return [self._record(contract.OPEN_INTEREST, symbol, time, fields)]
        if draw < 0.98:
            fields = {"exchange": "binance", "rate": round(rng.uniform(-0.001, 0.001), 6)}
            return [self._record(contract.FUNDING, symbol, time, fields)]
        return self._copies(contract.CONTROL, time, WEIGHTS, {"setting": "weights", "version": number + 1})

    def _silence(self, rng, time):
        told = {"exchange": rng.choice(("binance", "bybit")), "stream": "a", "reason": "cut"}
        told |= {"from": (time - rng.randrange(60_000)) / 1_000, "to": rng.choice((None, time / 1_000))}
        return self._copies(contract.FEED_STATUS, time, SHARED.encode(), told)

    def _copies(self, topic, time, key, told):
        value = json.dumps(told | {"timestamp": time / 1_000}).encode()
        return [Input(TP(topic, partition), time, key, value) for partition in range(self._partitions)]

    def _price(self, symbol, time):
        price = round(100 * self._rng.uniform(0.98, 1.02), 2)
        fields = {"exchange": "binance", "price": price, "volume_usd": 1_000.0}
        return self._record(contract.PRICES, symbol, time, fields)

    def _record(self, topic, symbol, time, fields):
        key = symbol.encode()
        value = json.dumps({"symbol": symbol, **fields, "timestamp": time / 1_000}).encode()
        return Input(TP(topic, self._place(key)), time, key, value)


def fitting(first, later, topic):
    """Leave out what a topic has too much of, to begin with, when it is made anew between two acts.

    A topic that has grown past its old end cannot be told from the old one.
    """
    read = {}
    for tp, places in _places(first).items():
        good = [place for place, record in enumerate(places) if b"sideways" not in record.value]
        read[tp] = good[-1] if good else 0
    kept = {
        id(record)
        for tp, records in _places(later).items()
        for record in (records[-read[tp] :] if read.get(tp) else [] if tp in read else records)
    }
    return [record for record in later if record.tp.topic != topic or id(record) in kept]


def _places(records):
    found = defaultdict(list)
    for record in records:
        found[record.tp].append(record)
    return found


class Expected:
    """What an uninterrupted run sends and keeps.

    In it no topic is made anew: offsets go on, and `begins` tells where a topic's new offsets lie in them.

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
    begins
        Where the first record of a topic that was made anew lies, by partition.
    ends
        Where each partition ends after each act, by its own offsets.

    """

    def __init__(self, acts, partitions, home, profile, remade=None):
        self.outputs: dict[tuple[str, Any], Any] = {}
        self.caused = defaultdict(list)
        self.marks = defaultdict(list)
        self.states = {}
        self.begins = defaultdict(int)
        self.ends = []
        self._contexts = []
        self._profile = profile
        by_partition = self._place(acts, remade)
        for partition in sorted(range(partitions), key=lambda number: number != home):
            records = by_partition[partition]
            if partition != home:
                records = [*records, *self._contexts_for(partition)]
            self._run(partition, records, is_home=partition == home)

    def _place(self, acts, remade):
        by_partition, places = defaultdict(list), defaultdict(int)
        for number, act in enumerate(acts):
            if number:
                self.begins.update((tp, place) for tp, place in places.items() if tp.topic == remade)
            for record in act:
                by_partition[record.tp.partition].append((record, places[record.tp]))
                places[record.tp] += 1
            self.ends.append({tp: place - self.begins[tp] for tp, place in places.items()})
        return by_partition

    def _contexts_for(self, partition):
        for number, body in enumerate(self._contexts):
            time, key = millis(body.timestamp), body.symbol.encode()
            yield Input(TP(contract.CONTEXT, partition), time, key, codec.encode(body)), number

    def _run(self, partition, records, *, is_home):
        engine = Engine(self._profile)
        records.sort(key=lambda found: (found[0].time, _RANK[found[0].tp.topic], found[1]))
        for record, place in records:
            topic = record.tp.topic
            outputs = engine.process(topic, record.value, offset=place)
            own = defaultdict(list)
            for output in outputs:
                if output.topic == contract.CONTEXT:
                    if is_home:
                        self._contexts.append(output.body)
                    continue
                name = self._note(record.tp, place, output)
                if output.topic in TABLE_OF and output.key.encode() == record.key:
                    own[TABLE_OF[output.topic]].append(name)
            if topic != contract.CONTEXT:
                self._mark(engine, partition, topic, place, record.key.decode(), own)
        engine.snapshot()
        for table, stored in engine._stored.items():
            for key, data in stored.items():
                self.states[table, partition, key] = read_snapshot(data)

    def _note(self, tp, place, output):
        if output.topic == contract.DEAD_LETTERS:
            begin = self.begins[tp]
            offset = place - begin if place >= begin else place
            name = (output.topic, (tp.topic, tp.partition, offset))
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
