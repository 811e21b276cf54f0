"""The only serializer: JSON on the wire, MessagePack for state."""

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec import Struct

from pipeline import contract
from pipeline.messages import (
    Context,
    Control,
    DeadLetter,
    Encoding,
    FeedStatus,
    Funding,
    Incoming,
    Liquidation,
    OpenInterest,
    Outgoing,
    PositioningUpdate,
    Price,
    RegimeUpdate,
    Signal,
    VelocityUpdate,
    VolatilityUpdate,
)

LARGEST_VALUE: Final = 1 << 20
"""Bytes of the largest record that is decoded."""
LARGEST_LETTER: Final = 64 << 10
"""Bytes of a dead letter's value that are kept."""
LARGEST_KEY: Final = 1 << 10
"""Bytes of a dead letter's key, and of each of its headers, that are kept: a letter can always be sent."""
MOST_HEADERS: Final = 16
LONGEST_REASON: Final = 500
"""Characters of a dead letter's reason that are kept: some quote what was sent."""
LARGEST_ARRAY: Final = 20_000
"""Objects of the largest array that is decoded: each may become a dead letter."""

TYPES: Final[dict[str, type[Incoming]]] = {
    contract.LIQUIDATIONS: Liquidation,
    contract.PRICES: Price,
    contract.OPEN_INTEREST: OpenInterest,
    contract.FUNDING: Funding,
    contract.CONTROL: Control,
    contract.FEED_STATUS: FeedStatus,
    contract.CONTEXT: Context,
}


class Rejection(Struct):
    """A value, or the object at `index` of an array, that cannot be used, and why."""

    reason: str
    value: bytes | None
    index: int | None = None


class Decoded(Struct, gc=False):
    """What one record held: its messages (None in the place of an unusable one), and what was wrong."""

    messages: Sequence[Incoming | None]
    rejections: Sequence[Rejection] = ()


T = TypeVar("T")
UNREADABLE: Final = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
"""What decoding raises where a value is not what it should be."""


def decoder(kind: type[T]) -> Callable[[bytes], T]:
    """Return a decoder of JSON into `kind`, which raises one of `UNREADABLE`."""
    return msgspec.json.Decoder(kind).decode


def unpacker(kind: type[T]) -> Callable[[bytes], T]:
    """Return a decoder of MessagePack into `kind`, which raises one of `UNREADABLE`."""
    return msgspec.msgpack.Decoder(kind).decode


_either: Final = {topic: decoder(cast("Any", kind | list[kind])) for topic, kind in TYPES.items()}  # type: ignore[valid-type]
_single: Final = {topic: decoder(kind) for topic, kind in TYPES.items()}
decode_projected: Final[dict[str, Callable[[bytes], Any]]] = {
    contract.VOLATILITY: decoder(VolatilityUpdate),
    contract.POSITIONING: decoder(PositioningUpdate),
    contract.VELOCITY: decoder(VelocityUpdate),
    contract.REGIME: decoder(RegimeUpdate),
    contract.SIGNALS: decoder(Signal),
}
"""Decoders by topic of `contract.PROJECTED`; signals, which rest on the others, come last."""

encode: Final[Callable[[Any], bytes]] = msgspec.json.Encoder().encode
"""Encode a message as JSON."""
pack: Final[Callable[[Any], bytes]] = msgspec.msgpack.Encoder().encode
"""Encode state as MessagePack."""


def as_json(value: Any) -> bytes:
    """Return JSON text as bytes, and anything else as Python's json writes it.

    That writes NaN and infinities, which are refused when they are read, where `encode` writes null.

    >>> as_json('{"price": 1}'), as_json({"price": float("nan")})
    (b'{"price": 1}', b'{"price": NaN}')
    """
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return json.dumps(value, default=_as_builtin).encode()


def _as_builtin(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else msgspec.to_builtins(value)


def to_dict(message: Outgoing) -> dict[str, Any]:
    """Return a message as the dict that a consumer gets by decoding its JSON."""
    result: dict[str, Any] = msgspec.to_builtins(message)
    return result


def decode(topic: str, value: bytes | None) -> Decoded:
    """Decode a record's value: one object, or an array of objects, of the topic's message type.

    One bad object of an array does not take its neighbours with it.
    """
    if value is None:
        return Decoded((), (Rejection("no value: expected a JSON object or an array of them", None),))
    if len(value) > LARGEST_VALUE:
        return Decoded(
            (), (Rejection(f"value of {len(value)} bytes: at most {LARGEST_VALUE} are read", value),)
        )
    try:
        found = _either[topic](value)
    except UNREADABLE as error:
        return _decode_each(topic, value, error)
    if not isinstance(found, list):
        return Decoded((found,))
    return _too_many(found, value) or Decoded(found)


def _decode_each(topic: str, value: bytes, error: Exception) -> Decoded:
    parts = split(value)
    if parts is None:
        return Decoded((), (Rejection(_reason(error, value), value),))
    if refused := _too_many(parts, value):
        return refused
    messages: list[Incoming | None] = []
    rejections: list[Rejection] = []
    for index, part in enumerate(parts):
        try:
            messages.append(_single[topic](part))
        except UNREADABLE as bad:
            messages.append(None)
            rejections.append(Rejection(_reason(bad, part), part, index))
    return Decoded(messages, rejections)


def _too_many(found: Sequence[Any], value: bytes) -> Decoded | None:
    if len(found) <= LARGEST_ARRAY:
        return None
    reason = f"array of {len(found)} objects: at most {LARGEST_ARRAY} are read"
    return Decoded((), (Rejection(reason, value),))


_SPACE: Final = b" \t\r\n"
_MARKS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[{]++|[\]}]++|[,"]', re.DOTALL)


def split(value: bytes) -> Sequence[bytes] | None:
    """Return what lies between an array's commas as it was written, None when the value is no array.

    Only brackets, commas and quotes are looked at, so whatever is wrong spoils its object alone: what is no
    JSON (Python writes NaN, and halves of surrogate pairs), bytes that are no text, depth.
    """
    text = value.strip(_SPACE)
    if text[:1] + text[-1:] != b"[]":
        return None
    parts: list[bytes] = []
    depth = begin = 0
    for found in _MARKS.finditer(text):
        mark, place = found[0], found.end() - 1
        if mark == b'"':  # of a text that never ends
            return None
        if mark[0] in b"[{":
            depth += len(mark)
        elif mark[0] in b"]}":
            depth -= len(mark)
        if depth == 0 or (depth == 1 and mark == b","):
            parts.append(text[begin + 1 : place].strip(_SPACE))
            begin = place
        if depth <= 0:
            return parts if (depth, place) == (0, len(text) - 1) else None
    return None


_UNIX: Final = "Unix seconds between 2000 and 2100 (milliseconds are the usual mistake)"
_ADVICE: Final = {
    "side": "long or short, the position that was liquidated",
    "timestamp": _UNIX,
    "from": _UNIX,
    "to": _UNIX,
}
"""What a field has to be, by its name."""
_BYTE_ORDER_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def _reason(error: Exception, value: bytes) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if not value.strip():
        return "empty value: expected a JSON object or an array of them"
    text, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    if field in _ADVICE:
        text += f": {_ADVICE[field]}"
    elif value.startswith(_BYTE_ORDER_MARKS):
        text += ": send UTF-8 without a byte order mark"
    elif text == "Input data was truncated" and b"\\u" in value:
        text += ", or ends in half of a surrogate pair"
    elif text.startswith("JSON is malformed") and (b"NaN" in value or b"Infinity" in value):
        text += ": NaN and Infinity are no JSON, leave such a field out"
    return f"{field}: {text}" if field else text


_FAULTS: Final = {"price x quantity": "value_usd", "key": "key"} | {
    field: field for kind in TYPES.values() for field in kind.__struct_encode_fields__
}


def fault(reason: str) -> str:
    """Return what was wrong with a refused record in one word of few: a field's name, or `unreadable`.

    >>> fault("side: Invalid enum value 'buy'"), fault("JSON is malformed")
    ('side', 'unreadable')
    """
    return _FAULTS.get(reason.partition(":")[0], "unreadable")


def faults(topic: str) -> list[str]:
    """Return every word that `fault` has for a topic's records.

    >>> faults("funding")
    ['symbol', 'rate', 'timestamp', 'exchange', 'key', 'unreadable']
    """
    return [*TYPES[topic].__struct_encode_fields__, "key", "unreadable"]


def dead_letter(  # noqa: PLR0913
    rejection: Rejection,
    *,
    topic: str,
    partition: int,
    offset: int,
    stage: str,
    key: bytes | None = None,
    headers: Sequence[tuple[str, bytes]] = (),
) -> DeadLetter:
    """Build the dead letter of a rejected value: what it was, where it lay, and the reason."""
    value, encoding = _text(rejection.value, LARGEST_LETTER)
    key_text, key_encoding = _text(key, LARGEST_KEY)
    contents = [_text(content, LARGEST_KEY) for _, content in headers[:MOST_HEADERS]]
    cut = [(rejection.value or b"")[LARGEST_LETTER:], (key or b"")[LARGEST_KEY:], headers[MOST_HEADERS:]]
    cut += [name[LARGEST_KEY:] or (content or b"")[LARGEST_KEY:] for name, content in headers]
    return DeadLetter(
        topic=topic,
        partition=partition,
        offset=offset,
        stage=stage,
        reason=_shortened(rejection.reason),
        key=key_text,
        value=value,
        encoding=encoding,
        headers=[(name[:LARGEST_KEY], text) for (name, _), (text, _) in zip(headers, contents, strict=False)],
        index=rejection.index,
        truncated=any(cut),
        key_encoding=key_encoding,
        header_encodings=[encoding for _, encoding in contents],
    )


def _shortened(reason: str) -> str:
    """Return a reason without the middle of what it quotes; advice comes last."""
    half = LONGEST_REASON // 2
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:half]}...{reason[-half:]}"


def _text(value: bytes | None, most: int) -> tuple[str | None, Encoding]:
    if value is None:
        return None, "utf-8"
    kept = value[:most]
    try:
        return kept.decode(), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(kept).decode(), "base64"


def original(text: str | None, encoding: Encoding) -> bytes | None:
    """Return the bytes that a dead letter holds as text; None where there were none.

    >>> original("aGk=", "base64"), original("hi", "utf-8"), original(None, "utf-8")
    (b'hi', b'hi', None)
    """
    if text is None:
        return None
    return base64.b64decode(text) if encoding == "base64" else text.encode()
