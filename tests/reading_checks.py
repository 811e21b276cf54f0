"""What has to hold of every record that is read: the oracle's good objects, and a letter for each bad one."""

from __future__ import annotations

import msgspec
from reading_oracle import judge

from pipeline import codec
from pipeline.features.reading import read


def check_record(record):
    """Read a record as a worker does, and compare what was read with the verdict on it."""
    events, letters = read(record)
    verdict = judge(record.topic, record.value, key=record.key, time_ms=record.timestamp)
    assert [msgspec.to_builtins(event.message) for event in events] == verdict.good, shown(record)
    check_letters(record, [letter.body for letter in letters], verdict)
    return verdict


def check_letters(record, letters, verdict):
    """Compare dead letters with the bad objects of a record; each can be sent, and says what is wrong."""
    held = [(letter.index, codec.original(letter.value, letter.encoding)) for letter in letters]
    assert sorted(held, key=repr) == sorted(verdict.bad, key=repr), shown(record)
    for letter in letters:
        assert (letter.topic, letter.offset) == (record.topic, record.offset)
        assert letter.reason.strip(), shown(record)
        assert len(letter.reason) <= codec.LONGEST_REASON + 3, shown(record)
        assert len(codec.encode(letter)) < 1_000_000, shown(record)


def shown(record):
    return f"{record.topic} {record.value!r:.2000} key {record.key!r} at {record.timestamp}"
