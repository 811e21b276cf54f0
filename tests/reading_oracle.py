"""Which objects of a record are good, told slowly and plainly from the README's contract.

It shares nothing with the decoder: Python's `json` reads, and every rule is written out. Where two readers of
JSON differ, the contract is the strict one: NaN, infinities, control characters in texts and halves of
surrogate pairs are no JSON; bytes that are no UTF-8 matter where they are looked at.
"""

from __future__ import annotations

import json
import math
import unicodedata
from typing import Any, NamedTuple

LARGEST_VALUE = 1024 * 1024
LARGEST_ARRAY = 20_000
LARGEST_LETTER = 64 * 1024
LARGEST_KEY = 1024
LEAD_US = 5_000_000
SPACE = b" \t\r\n"
COMPONENTS = {"velocity", "acceleration", "volume", "oi_change", "funding", "volatility"}


class Verdict(NamedTuple):
    """What is expected of a record: its good messages, and of its bad ones the place and the bytes."""

    good: list[dict[str, Any]]
    bad: list[tuple[int | None, bytes | None]]


class BadError(ValueError):
    """The object is not what the contract asks for."""


class Whole(float):
    """A number that was written without fraction and exponent."""

    text: str


def judge(topic, value, *, key=None, time_ms=None, keyed=True):
    """Return the verdict on a record of a feed, of `control` or of `feed-status`."""
    parts = parts_of(value)
    if parts is None:
        return Verdict([], [(None, value and value[:LARGEST_LETTER])])
    messages = [message_of(topic, part) for _, part in parts]
    owner = (
        symbol_of_key(key) if keyed else next((found["symbol"] for found in messages if usable(found)), None)
    )
    good, bad = [], []
    for message, (index, part) in zip(messages, parts, strict=True):
        if message is None:
            bad.append((index, part[:LARGEST_LETTER]))
        elif is_foreign(message, owner) or leads(message, time_ms):
            alone = len(parts) == 1  # decoded as a whole, and kept as such
            bad.append((None, value[:LARGEST_LETTER]) if alone else (index, part[:LARGEST_LETTER]))
        else:
            good.append(message)
    return Verdict(good, bad)


def usable(message):
    return message is not None and "symbol" in message


def is_foreign(message, owner):
    return "symbol" in message and message["symbol"] != owner


def leads(message, time_ms):
    told = message["timestamp"] or message["to"] or message["from"]
    return time_ms is not None and round(told * 1_000_000) > time_ms * 1_000 + LEAD_US


def parts_of(value):
    """Return the objects of a value with their places (None for one alone); None if nothing can be read."""
    if value is None or len(value) > LARGEST_VALUE:
        return None
    text = value.strip(SPACE)
    if not text:
        return None
    if text[:1] != b"[":
        return [(None, value)]
    parts = array_parts(text)
    return None if parts is None or len(parts) > LARGEST_ARRAY else list(enumerate(parts))


def array_parts(text):
    """Return what lies between the commas of an array, by walking through it; None if it ends badly."""
    parts, begin, depth, quoted, escaped = [], 1, 0, False, False
    for place, byte in enumerate(text):
        character = chr(byte)
        if quoted:
            quoted = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
            if depth == 0:
                if place < len(text) - 1 or character != "]":
                    return None
                parts.append(text[begin:place].strip(SPACE))
                return [] if parts == [b""] else parts
        elif character == "," and depth == 1:
            parts.append(text[begin:place].strip(SPACE))
            begin = place + 1
    return None


def message_of(topic, part):
    """Return an object as the message that it stands for; None if it is no good one."""
    try:
        return FORMS[topic](Fields(parse(part)))
    except (ValueError, RecursionError):
        return None


def parse(part):
    """Return an object as pairs of names and values, of strict JSON."""
    try:
        text = part.decode()
    except UnicodeDecodeError:
        without_surrogates(loads(part.decode("utf-8", "replace")))
        found = loads(part.decode("utf-8", "surrogateescape"))
    else:
        found = loads(text)
        without_surrogates(found)
    if not isinstance(found, Pairs):
        raise BadError("no object")
    return found


class Pairs(list):
    """The fields of an object as they were written, repeated ones too."""


def loads(text):
    return json.JSONDecoder(
        object_pairs_hook=Pairs, parse_constant=no_json, parse_int=whole, parse_float=real
    ).decode(text)


def no_json(text):
    raise BadError(text)


def whole(text):
    found = Whole(text)
    found.text = text
    return found


def real(text):
    return float(text)


def without_surrogates(found):
    if isinstance(found, str):
        found.encode()
    elif isinstance(found, list | tuple):
        for part in found:
            without_surrogates(part)


class Fields:
    """The fields of one object. A repeated one has to be valid each time, and the last one counts."""

    def __init__(self, pairs):
        self.pairs = pairs

    def get(self, name, rule, *default):
        found = [rule(value) for given, value in self.pairs if given == name]
        if found:
            return found[-1]
        if not default:
            raise BadError(f"no {name}")
        return default[0]


def number(least, most, *, open_below=False, open_above=False):
    def rule(value):
        if not isinstance(value, float) or not math.isfinite(value):
            raise BadError(value)
        if not least <= value <= most or (open_below and value == least) or (open_above and value == most):
            raise BadError(value)
        return float(value)

    return rule


def or_null(rule):
    return lambda value: None if value is None else rule(value)


def name(value):
    if not isinstance(value, str) or not 1 <= len(value) <= 64:
        raise BadError(value)
    value.encode()
    return value


def text(value):
    if not isinstance(value, str):
        raise BadError(value)
    value.encode()
    return value


def short_text(value):
    if len(text(value)) > 64:
        raise BadError(value)
    return value


def one_of(*allowed):
    def rule(value):
        if not isinstance(value, str) or value not in allowed:
            raise BadError(value)
        return value

    return rule


def integer(value):
    if not isinstance(value, Whole) or len(value.text) > 4_300:
        raise BadError(value)
    return int(value.text)


def running_number(value):
    found = integer(value)
    if not 1 <= found <= 2**53:
        raise BadError(value)
    return found


def identity(value):
    if isinstance(value, str):
        value.encode()
        return value
    return integer(value)


def table(value):
    if not isinstance(value, Pairs):
        raise BadError(value)
    return {name_of_weight(each): number(-math.inf, math.inf)(weight) for each, weight in value}


def weights(given):
    if given.keys() != COMPONENTS or not all(0 <= weight <= 1e6 for weight in given.values()):
        raise BadError(given)
    if not any(given.values()):
        raise BadError(given)
    return given


def name_of_weight(value):
    value.encode()
    return value


timestamp = number(946_684_800, 4_102_444_800, open_above=True)
positive = number(0, 1e18, open_below=True)
not_negative = number(0, 1e18)
usd = number(0, 1e10, open_below=True)


def printable(text):
    return all(character == " " or unicodedata.category(character)[0] not in "CZ" for character in text)


def symbol(text):
    found = text.strip().upper()
    if not 1 <= len(found) <= 64 or not printable(found) or set(found) & set(" :{}"):
        raise BadError(text)
    return found


def exchange(text):
    found = text.strip().lower()
    if not found or not printable(found):
        raise BadError(text)
    return found


def ascii_name(found):
    if not all(" " <= character <= "~" for character in found):
        raise BadError(found)
    return found


def symbol_of_key(key):
    try:
        return None if key is None or len(key) > LARGEST_KEY else symbol(key.decode())
    except ValueError:
        return None


def liquidation(fields):
    found = {
        "symbol": symbol(fields.get("symbol", name)),
        "exchange": exchange(fields.get("exchange", name)),
        "side": fields.get("side", one_of("long", "short")),
        "price": fields.get("price", positive),
        "quantity": fields.get("quantity", positive),
        "timestamp": fields.get("timestamp", timestamp),
        "value_usd": fields.get("value_usd", or_null(usd), None),
        "id": fields.get("id", or_null(identity), None),
    }
    if found["value_usd"] is None:
        found["value_usd"] = usd(found["price"] * found["quantity"])
    return found


def price(fields):
    return {
        "symbol": symbol(fields.get("symbol", name)),
        "price": fields.get("price", positive),
        "timestamp": fields.get("timestamp", timestamp),
        "exchange": exchange(fields.get("exchange", name, "unknown")),
        "volume_usd": fields.get("volume_usd", or_null(not_negative), None),
        "spread_bps": fields.get("spread_bps", or_null(not_negative), None),
    }


def open_interest(fields):
    return {
        "symbol": symbol(fields.get("symbol", name)),
        "open_interest_usd": fields.get("open_interest_usd", not_negative),
        "timestamp": fields.get("timestamp", timestamp),
        "exchange": exchange(fields.get("exchange", name, "unknown")),
    }


def funding(fields):
    return {
        "symbol": symbol(fields.get("symbol", name)),
        "rate": fields.get("rate", number(-1, 1)),
        "timestamp": fields.get("timestamp", timestamp),
        "exchange": exchange(fields.get("exchange", name, "unknown")),
    }


def control(fields):
    return {
        "setting": fields.get("setting", one_of("weights")),
        "version": fields.get("version", running_number),
        "timestamp": fields.get("timestamp", timestamp),
        "weights": or_null(weights)(fields.get("weights", or_null(table), None)),
    }


def feed_status(fields):
    return {
        "exchange": exchange(fields.get("exchange", name)),
        "stream": ascii_name(fields.get("stream", short_text)),
        "from": fields.get("from", timestamp),
        "to": fields.get("to", or_null(timestamp)),
        "reason": fields.get("reason", text),
        "timestamp": fields.get("timestamp", or_null(timestamp), None),
    }


FORMS = {
    "liquidations": liquidation,
    "prices": price,
    "open-interest": open_interest,
    "funding": funding,
    "control": control,
    "feed-status": feed_status,
}
