"""Reading records: from bytes to events, and dead letters for what cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pipeline import codec, contract
from pipeline.features.stage import SHARED, Event, Output
from pipeline.messages import Context, Control, Incoming, micros, normal_symbol

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_LEAD: Final = 5_000_000
"""Microseconds that an event may be ahead of its record's own timestamp."""
_STAGE_READ: Final = "read"


class Record(Struct, gc=False):
    """A Kafka record to be read; `time` is its own timestamp in microseconds, None for a file's."""

    topic: str
    value: bytes | None
    offset: int
    partition: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    time: int | None = None


def read(record: Record, *, keyed: bool = True) -> tuple[list[Event], list[Output]]:
    """Decode a record into events, and dead letters for what cannot be used.

    Parameters
    ----------
    record
        What was received.
    keyed
        Whether the key has to be the symbol; records of files have no key.

    """
    topic, offset = record.topic, record.offset
    decoded = codec.decode(topic, record.value)
    owner = record.key if keyed else _owner(record, decoded.messages)
    events: list[Event] = []
    letters = [_letter(record, rejection) for rejection in decoded.rejections]
    for index, message in enumerate(decoded.messages):
        if message is None:
            continue
        found = create_event(topic, message, offset, last=False)
        reason = _objection(record, found, owner)
        if reason is None:
            events.append(found)
        else:
            place = index if len(decoded.messages) > 1 else None
            letters.append(_letter(record, codec.Rejection(reason, codec.encode(message), place)))
    if events:
        events[-1].last = True
    return events, letters


def create_event(topic: str, message: Incoming, offset: int, *, last: bool = True) -> Event:
    """Return the event of one validated message."""
    time = micros(message.timestamp)
    if isinstance(message, Control):
        return Event(topic, SHARED, message, time, offset, last)
    found = Event(topic, message.symbol, message, time, offset, last)
    if isinstance(message, Context):
        found.context = message
    return found


def _owner(record: Record, messages: Sequence[Incoming | None]) -> bytes | None:
    """Return the symbol that all objects of a record without a key have to share: the first one's."""
    for message in messages:
        if message is not None and not isinstance(message, Control):
            return message.symbol.encode()
    return record.key


def _objection(record: Record, found: Event, owner: bytes | None) -> str | None:
    symbol = found.symbol.encode()
    lead = 0 if record.time is None else found.time - record.time
    if owner == symbol and lead <= LARGEST_LEAD:
        return None
    if owner != symbol and not isinstance(found.message, Control | Context) and _normal(owner) != symbol:
        return f"key: expected the symbol {found.symbol}, got {_shown(owner)}"
    if lead > LARGEST_LEAD and not isinstance(found.message, Context):
        return f"timestamp: {lead / 1e6:.1f} s ahead of the record's own: the feed's clock is wrong"
    return None


def _normal(key: bytes | None) -> bytes | None:
    try:
        return None if key is None else normal_symbol(key.decode()).encode()
    except ValueError:
        return None


def _shown(key: bytes | None) -> str:
    return "none" if key is None else repr(key[:64].decode("utf-8", "backslashreplace"))


def _letter(record: Record, rejection: codec.Rejection) -> Output:
    letter = codec.dead_letter(
        rejection,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        stage=_STAGE_READ,
        key=record.key,
        headers=record.headers,
    )
    return Output(contract.DEAD_LETTERS, letter.key or "", letter)
