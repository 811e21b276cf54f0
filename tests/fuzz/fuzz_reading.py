"""Fuzz the reading of records by coverage, with the oracle of the contract beside it.

    python tests/fuzz/fuzz_reading.py CORPUS -runs=100000

The first bytes of an input choose the topic and the key; the rest is the value. Arguments are libFuzzer's.
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(include=["pipeline.codec", "pipeline.messages", "pipeline.features.reading"]):
    from pipeline.features.reading import Record

from hostile import KEYS, NOW, TOPICS
from reading_checks import check_record

OWN_KEYS = (b"BTCUSDT", b" btcusdt ", *KEYS)


def read_one(data):
    if len(data) > 1:
        topic, key = TOPICS[data[0] % len(TOPICS)], OWN_KEYS[data[1] % len(OWN_KEYS)]
        check_record(Record(topic, bytes(data[2:]), 1, 2, key, (), NOW * 1_000))


if __name__ == "__main__":
    atheris.Setup(sys.argv, read_one)
    atheris.Fuzz()
