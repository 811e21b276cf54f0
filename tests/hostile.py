"""Records as a feed gone wrong would send them: good ones, mutated ones and hostile ones, from a seed.

An object is kept as pairs of a name and the text of its value, so that it can be written in ways that no
encoder would: repeated fields, NaN, numbers of a thousand digits, escapes of half a character.
"""

from __future__ import annotations

import json
from random import Random

from pipeline import contract
from pipeline.features.reading import Record

NOW = 1_760_000_000
TOPICS = (*contract.FEEDS, contract.CONTROL, contract.FEED_STATUS)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "1000PEPEUSDT", "币安人生USDT", "Ñ" * 64)
VENUES = ("binance", "bybit", "okx", "OKX ", "Börse", "v" * 64)
COMPONENTS = ("velocity", "acceleration", "volume", "oi_change", "funding", "volatility")

#: What may stand in the place of any value.
VALUES = (
    *("null", "true", "false", "NaN", "Infinity", "-Infinity", "nan", "undefined", "[]", "{}", "[[[[]]]]"),
    *("0", "-0", "-0.0", "1", "-1", "1.5", "1e308", "-1e308", "1e999", "5e-324", "1e-400", "1e18", "1.1e18"),
    *("01", "1.", ".5", "+1", "0x10", "1_000", "--1", "1e", "9" * 400, "9" * 5_000, "0." + "0" * 400 + "1"),
    *("9007199254740992", "9007199254740993", "1e10", "10000000000.1", "0.9999999999999999"),
    *(
        '""',
        '" "',
        '"x"',
        '"1"',
        '"NaN"',
        '"long"',
        '"short"',
        '"LONG"',
        '"buy"',
        '"weights"',
        "'x'",
        '"',
        "x",
    ),
    *(
        '"\\ud800"',
        '"\\ud83d\\ude00"',
        '"\\udc00 and more"',
        '"\\u0000"',
        '"\\u00"',
        '"\\q"',
        '"a\\nb"',
        '"a\tb"',
    ),
    *(
        '"BTC USDT"',
        '"BTC:USDT"',
        '"{BTC}"',
        '" btcusdt "',
        '"\\u202eBTC"',
        '"\\u00a0"',
        '"BTC\\u200b"',
        '"ß"',
    ),
    *(
        f'"{"A" * 64}"',
        f'"{"A" * 65}"',
        f'"{"ß" * 33}"',
        f'"{"x" * 2_000}"',
        '"\x7f"',
        '"\udcff"',
        '"\udcc0\udc80"',
    ),
    *("1760000000000", "1760000000000000", "946684799.999", "946684800", "4102444799.999", "4102444800"),
    *("-1760000000", "1e9", "1.76e9", '"2025-10-10T21:15:00Z"', '{"a": {"b": [1, 2]}}', "[1, NaN]", "[" * 40),
    json.dumps(dict.fromkeys(COMPONENTS, 1.0)),
    json.dumps(dict.fromkeys(COMPONENTS, 0)),
    json.dumps(dict.fromkeys(COMPONENTS[:5], 1.0)),
    json.dumps(dict.fromkeys((*COMPONENTS, "speed"), 1.0)),
)
DEEP = (
    b"[" * 200 + b"]" * 200,
    b"[" * 30_000 + b"]" * 30_000,
    b'{"a":' * 30_000,
    b'{"a":' * 150 + b"1" + b"}" * 150,
)
KEYS = (None, b"", b"weights", b"\xff\xfe", b"BTC USDT", b"K" * 70, b" " * 1_500 + b"BTCUSDT")
#: Seconds by which a message is older or newer than its record.
AGES = (
    0.0,
    0.0,
    0.0,
    0.0,
    0.3,
    2.0,
    59.0,
    299.9,
    300.1,
    4_000.0,
    1e5,
    5e8,
    -4.9,
    -5.0,
    -5.1,
    -60.0,
    -1e6,
    -2e9,
)


class Latin(str):
    """A name as it is sent by who has not heard of UTF-8."""

    __slots__ = ()

    def encode(self, *_):
        return super().encode("latin-1")


class Hostile:
    """Makes records from a seed.

    Attributes
    ----------
    share
        The part of the objects that is damaged.
    symbols, topics
        Whose records it makes, and of what.
    clock
        The time of the last record, Unix seconds.

    """

    def __init__(self, seed, share=0.3, symbols=SYMBOLS, topics=TOPICS):
        self.rng = Random(seed)
        self.share = share
        self.symbols, self.topics = symbols, topics
        self.version = 0
        self.clock = float(NOW)

    def records(self, number):
        """Yield records of all topics; their offsets are consecutive, their times go on with jumps."""
        for offset in range(number):
            self.clock += self.rng.choice((0.0, 0.001, 0.02, 0.5, 3.0, -2.0))
            yield self.record(offset)

    def record(self, offset):
        topic = self.rng.choice(self.topics)
        symbol = self.rng.choice(self.symbols)
        time_ms = None if self.rng.random() < 0.02 else round(self.clock * 1_000)
        return Record(
            topic,
            self.value(topic, symbol),
            offset,
            self.rng.randrange(4),
            self.key(symbol),
            self.headers(),
            time_ms,
        )

    def key(self, symbol):
        if self.rng.random() < self.share / 5:
            return self.rng.choice((*KEYS, self.rng.randbytes(5), self.rng.choice(SYMBOLS).encode()))
        return self.rng.choice((symbol, symbol, symbol.lower(), f" {symbol} ")).encode()

    def headers(self):
        if self.rng.random() < 0.9:
            return ()
        content = self.rng.choice((b"1", b"\xff", None, b"h" * 2_000))
        return [(self.rng.choice(("feed", "", "é", "h" * 1_500)), content)] * self.rng.choice((1, 2, 20))

    def value(self, topic, symbol):
        """Return the bytes of a record: one object or many, whole or damaged."""
        roll = self.rng.random()
        if roll < 0.6:
            found = self.object(topic, symbol)
        elif roll < 0.998:
            found = self.array(topic, symbol, self.rng.choice((0, 1, 1, 2, 3, 5, 20)))
        elif roll < 0.9995:
            found = self.array(topic, symbol, 300)
        else:
            return self.rng.choice((b"x", b"[", b" ", b"[0,")) * ((1 << 20) + 1)
        return self.damaged_bytes(found) if self.rng.random() < self.share / 5 else found

    def array(self, topic, symbol, size):
        parts = [self.object(topic, symbol) for _ in range(size)]
        separator = self.rng.choice((b",", b", ", b" ,\r\n\t"))
        return b"[" + separator.join(parts) + b"]"

    def object(self, topic, symbol):
        """Return the bytes of one object."""
        pairs = self.good(topic, symbol)
        self.rng.shuffle(pairs)
        if self.rng.random() < self.share:
            self.rng.choice((self.replace, self.replace, self.leave_out, self.repeat, self.rename))(pairs)
        elif self.rng.random() < 0.1:
            pairs.append(("mine", self.rng.choice(VALUES)))
        elif self.rng.random() < self.share / 10:
            return self.rng.choice((b"null", b"3", b'"x"', b"[]", b"NaN", b"", b"{}", b"[{}]", *DEEP))
        text = "{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}"
        return text.encode("utf-8", "surrogateescape")

    def good(self, topic, symbol):
        """Return the fields of a good object."""
        rng = self.rng
        time = round(self.clock - rng.choice(AGES), rng.choice((0, 3, 6)))
        symbol = rng.choice(
            (symbol, symbol, symbol, symbol.lower(), symbol if len(symbol) > 60 else f" {symbol}")
        )
        fields = {
            contract.LIQUIDATIONS: lambda: (
                {
                    "exchange": rng.choice(VENUES),
                    "side": rng.choice(("long", "short")),
                    "price": rng.choice((60_000.0, 1, 1e-9, 1e9, 0.1 + 0.2)),
                    "quantity": rng.choice((0.5, 3, 1e-9, 10.0)),
                }
                | rng.choice(
                    ({}, {"id": rng.randrange(10**6)}, {"id": "é"}, {"id": 10**30}, {"value_usd": 9.5e9})
                )
            ),
            contract.PRICES: lambda: (
                {"price": rng.choice((60_000.0, 60_001.5, 59_000, 1e-12, 1e18))}
                | rng.choice(({}, {"exchange": rng.choice(VENUES)}, {"volume_usd": 0, "spread_bps": 1.5}))
            ),
            contract.OPEN_INTEREST: lambda: (
                {"open_interest_usd": rng.choice((1e9, 1.1e9, 0, 1e18))}
                | rng.choice(({}, {"exchange": rng.choice(VENUES)}))
            ),
            contract.FUNDING: lambda: {
                "rate": rng.choice((0.0001, -0.003, 0, 1, -1.0)),
                "exchange": rng.choice(VENUES),
            },
            contract.CONTROL: lambda: (
                {"setting": "weights", "version": self._next_version()}
                | rng.choice(
                    ({}, {"weights": None}, {"weights": dict.fromkeys(COMPONENTS, rng.random() + 0.01)})
                )
            ),
            contract.FEED_STATUS: lambda: {
                "exchange": rng.choice(VENUES),
                "stream": rng.choice(("", "wss://a", "x" * 64)),
                "from": min(max(time - rng.choice((0, 30, 1e9)), 946_684_800), 4_102_444_799),
                "to": rng.choice((None, min(max(time, 946_684_800), 4_102_444_799))),
                "reason": rng.choice(("", "é", "cut" * 1_000)),
            },
        }[topic]()
        if topic in contract.FEEDS:
            fields["symbol"] = symbol
        fields["timestamp"] = min(max(time, 946_684_800), 4_102_444_799)
        ascii_only = rng.random() < 0.5
        return [(name, json.dumps(value, ensure_ascii=ascii_only)) for name, value in fields.items()]

    def _next_version(self):
        self.version += 1
        return self.version

    def replace(self, pairs):
        place = self.rng.randrange(len(pairs))
        pairs[place] = (pairs[place][0], self.rng.choice(VALUES))

    def leave_out(self, pairs):
        del pairs[self.rng.randrange(len(pairs))]

    def repeat(self, pairs):
        name, value = self.rng.choice(pairs)
        pairs.insert(self.rng.randrange(len(pairs)), (name, self.rng.choice((value, *VALUES))))

    def rename(self, pairs):
        place = self.rng.randrange(len(pairs))
        name, value = pairs[place]
        renamed = self.rng.choice(
            (name.upper(), name + " ", "", f"\\u{ord(name[0]):04x}{name[1:]}", "\\ud800", "\udcff")
        )
        pairs[place] = (renamed, value)

    def damaged_bytes(self, data):
        """Return bytes with some of them lost, changed or added."""
        rng = self.rng
        place = rng.randrange(len(data) + 1)
        return rng.choice(
            (
                lambda: data[:place],
                lambda: data[place:],
                lambda: data[:place] + data[place + 1 :],
                lambda: data[:place] + rng.randbytes(1) + data[place:],
                lambda: data[:place] + bytes([rng.choice(b'"\\{}[],: 0-eE')]) + data[place:],
                lambda: data[:place] + data[place // 2 : place] + data[place:],
                lambda: b"\xef\xbb\xbf" + data,
                lambda: data.decode(errors="replace").encode("utf-16"),
                lambda: data + rng.choice((b"\x00", b"x", b" ", b"\n", b"]", data[:100])),
                lambda: b"[" + data + b"]",
                lambda: rng.randbytes(rng.randrange(60)),
                lambda: rng.choice((None, b"", b" \n", b"\x00", b"null")),
            )
        )()
