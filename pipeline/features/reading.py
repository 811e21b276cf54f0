"""Reading records: from bytes to events, and dead letters for what cannot be used."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from pipeline import codec, contract
from pipeline.features.stage import SHARED, Event, Output
from pipeline.messages import Context, Control, FeedStatus, Incoming, micros, normal_symbol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LARGEST_LEAD: Final = 5_000_000
"""Microseconds that an event may be ahead of its record's own timestamp."""
_STAGE_READ: Final = "read"
_OF_ALL: Final = (Control, FeedStatus)
"""Messages that concern a partition as a whole."""


class Received(Protocol):
    """A Kafka record to be read, as aiokafka hands it over; `timestamp` is its own, in milliseconds."""

    @property
    def topic(self) -> str: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def offset(self) -> int: ...
    @property
    def partition(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...
    @property
    def timestamp(self) -> int | None: ...


class Record(Struct, gc=False):
    """A record that comes from elsewhere than Kafka, and may have neither key nor timestamp."""

    topic: str
    value: bytes | None
    offset: int
    partition: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: int | None = None


def read(record: Received, *, keyed: bool = True) -> tuple[list[Event], list[Output]]:
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
    messages = decoded.messages
    owner = record.key if keyed else _owner(record, messages)
    latest = math.inf if record.timestamp is None else record.timestamp * 1_000 + LARGEST_LEAD
    events: list[Event] = []
    refused: list[tuple[int, str]] = []
    letters = [_letter(record, rejection) for rejection in decoded.rejections] if decoded.rejections else []
    for index, message in enumerate(messages):
        if message is None:
            continue
        found = create_event(topic, message, offset, last=False)
        if found.time <= latest and found.symbol.encode() == owner:
            events.append(found)
        elif reason := _objection(found, owner, latest):
            refused.append((index, reason))
        else:
            events.append(found)
    if refused:
        letters += _letters_of_parts(record, refused, len(messages))
    if events:
        events[-1].last = True
    return events, letters


def refuse(record: Received, reason: str) -> Output:
    """Return the dead letter of a record none of which can be used."""
    return _letter(record, codec.Rejection(reason, record.value or b""))


def create_event(topic: str, message: Incoming, offset: int, *, last: bool = True) -> Event:
    """Return the event of one validated message."""
    if isinstance(message, _OF_ALL):
        timestamp = message.told if isinstance(message, FeedStatus) else message.timestamp
        return Event(topic, SHARED, message, micros(timestamp), offset, last)
    found = Event(topic, message.symbol, message, micros(message.timestamp), offset, last)
    if isinstance(message, Context):
        found.context = message
    return found


def _owner(record: Received, messages: Sequence[Incoming | None]) -> bytes | None:
    """Return the symbol that all objects of a record without a key have to share: the first one's."""
    for message in messages:
        if message is not None and not isinstance(message, _OF_ALL):
            return message.symbol.encode()
    return record.key


def _objection(found: Event, owner: bytes | None, latest: float) -> str | None:
    """Return why an event that is not its key's, or later than its record allows, cannot be used."""
    keyless = isinstance(found.message, (*_OF_ALL, Context))
    if not keyless and _normal(owner) != found.symbol.encode():
        return f"key: expected the symbol {found.symbol}, got {_shown(owner)}"
    if found.time > latest and not isinstance(found.message, Context):
        lead = (found.time - latest + LARGEST_LEAD) / 1e6
        return f"timestamp: {lead:.1f} s ahead of the record's own: the feed's clock is wrong"
    return None


def _normal(key: bytes | None) -> bytes | None:
    """Return a key as its symbol is written; none for a long one: normal forms are remembered."""
    try:
        return None if key is None or len(key) > codec.LARGEST_KEY else normal_symbol(key.decode()).encode()
    except ValueError:
        return None


def _shown(key: bytes | None) -> str:
    return "none" if key is None else repr(key[:64].decode("utf-8", "backslashreplace"))


def _letters_of_parts(record: Received, refused: list[tuple[int, str]], size: int) -> Iterator[Output]:
    """Yield a letter for each place and reason; it holds the object that lay there as it was written."""
    value = record.value or b""
    parts = codec.split(value) if size > 1 else None
    for index, reason in refused:
        if parts is None:
            yield _letter(record, codec.Rejection(reason, value))
        else:
            yield _letter(record, codec.Rejection(reason, parts[index], index))


def _letter(record: Received, rejection: codec.Rejection) -> Output:
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
