"""Quix Streams: count and sum of a symbol's liquidations in each minute, one output an event.

Arguments: broker, topic in, topic out. Runs until it is killed. State in RocksDB with a changelog topic, at
least once: the defaults.
"""

from __future__ import annotations

import sys
import tempfile
import uuid

from quixstreams import Application
from quixstreams.dataframe.windows import Count, Sum

MINUTE_MS = 60_000

BROKER, TOPIC, OUTPUT = sys.argv[1:]


def event_time(value: dict, *_: object) -> int:
    return int(value["timestamp"] * 1_000)


if __name__ == "__main__":
    app = Application(
        broker_address=BROKER,
        consumer_group=f"quix-{uuid.uuid4().hex[:8]}",
        auto_offset_reset="earliest",
        state_dir=tempfile.mkdtemp(),
        loglevel="ERROR",
    )
    liquidations = app.topic(TOPIC, value_deserializer="json", timestamp_extractor=event_time)
    counts = app.topic(OUTPUT, value_serializer="json")
    app.dataframe(liquidations).tumbling_window(MINUTE_MS).agg(
        count=Count(), sum=Sum("value_usd")
    ).current().to_topic(counts)
    app.run()
