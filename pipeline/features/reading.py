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
    messages, rejections = codec.decode(record.topic, record.value)
    owner = _owner(record, messages) if not keyed else record.key
    events, refused = [], list(rejections)
    for index, message in enumerate(messages):
        if message is None:
            continue
        reason = _objection(record, message, owner)
        if reason is None:
            events.append(create_event(record.topic, message, record.offset, last=False))
        else:
            place = index if len(messages) > 1 else None
            refused.append(codec.Rejection(reason, codec.encode(message), place))
    if events:
        events[-1].last = True
    return events, [_letter(record, rejection) for rejection in refused] if refused else []


def create_event(topic: str, message: Incoming, offset: int, *, last: bool = True) -> Event:
    """Return the event of one validated message."""
    symbol = SHARED if isinstance(message, Control) else message.symbol
    found = Event(topic, symbol, message, micros(message.timestamp), offset, last=last)
    if isinstance(message, Context):
        found.context = message
    return found


def _owner(record: Record, messages: Sequence[Incoming | None]) -> bytes | None:
    """Return the symbol that all objects of a record without a key have to share: the first one's."""
    for message in messages:
        if message is not None and not isinstance(message, Control):
            return message.symbol.encode()
    return record.key


def _objection(record: Record, message: Incoming, owner: bytes | None) -> str | None:
    if isinstance(message, Control | Context):
        return None
    symbol = message.symbol.encode()
    if owner != symbol and _normal(owner) != symbol:
        return f"key: expected the symbol {message.symbol}, got {_shown(owner)}"
    if record.time is not None and micros(message.timestamp) - record.time > LARGEST_LEAD:
        lead = (micros(message.timestamp) - record.time) / 1e6
        return f"timestamp: {lead:.1f} s ahead of the record's own: the feed's clock is wrong"
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
