"""Reading records: from bytes to events, and dead letters for what cannot be used."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from pipeline import codec, contract
from pipeline.features.event import Event, Output
from pipeline.features.state import SHARED
from pipeline.messages import Context, Control, FeedStatus, Incoming, micros, normal_symbol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LARGEST_LEAD: Final = 5_000_000
"""Microseconds that an event may be ahead of its record's own timestamp."""
LARGEST_COPIES: Final = 16 << 20
"""Bytes of a record's headers over all of its dead letters; further letters are without, and count as cut."""
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
    rejected = decoded.rejections
    if refused:
        rejected = [*rejected, *_rejections_of_parts(record, refused, len(messages))]
    if events:
        events[-1].last = True
    return events, list(_letters(record, rejected)) if rejected else []


def refuse(record: Received, reason: str) -> Output:
    """Return the dead letter of a record none of which can be used."""
    return _letter(record, codec.Rejection(reason, record.value or b""), record.headers)


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
        if latest < LARGEST_LEAD:  # -1 ms, as Kafka says none
            return "timestamp: the record itself has none: set it to the event's"
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


def _rejections_of_parts(
    record: Received, refused: list[tuple[int, str]], size: int
) -> Iterator[codec.Rejection]:
    """Yield a rejection for each place and reason, with the object that lay there as it was written."""
    value = record.value or b""
    parts = codec.split(value) if size > 1 else None
    for index, reason in refused:
        if parts is None:
            yield codec.Rejection(reason, value)
        else:
            yield codec.Rejection(reason, parts[index], index)


def _letters(record: Received, rejections: Sequence[codec.Rejection]) -> Iterator[Output]:
    """Yield a letter for each rejection, with the record's headers while their copies are not too much."""
    headers, size = record.headers, sum(len(name) + len(content or b"") for name, content in record.headers)
    for place, rejection in enumerate(rejections, 1):
        whole = place * size <= LARGEST_COPIES
        yield _letter(record, rejection, headers if whole else (), truncated=not whole)


def _letter(
    record: Received,
    rejection: codec.Rejection,
    headers: Sequence[tuple[str, bytes]],
    *,
    truncated: bool = False,
) -> Output:
    letter = codec.dead_letter(
        rejection,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        stage=_STAGE_READ,
        key=record.key,
        headers=headers,
    )
    letter.truncated |= truncated
    return Output(contract.DEAD_LETTERS, letter.key or "", letter)
