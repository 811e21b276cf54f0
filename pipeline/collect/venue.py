"""What a venue's file offers, and what its functions take and give. Pure: frames in, messages out."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from pipeline import codec
from pipeline.collect.names import USUAL, UnknownUnitError
from pipeline.collect.quotes import Quote
from pipeline.messages import Funding, Liquidation, OpenInterest, Price

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pipeline.collect.instruments import Instrument
    from pipeline.collect.names import Names
    from pipeline.messages import Side

T = TypeVar("T")
Feed: TypeAlias = Liquidation | Price | OpenInterest | Funding
_HISTORY_MS: Final = 5_000
"""A record that is older than its subscription by more than this was replayed."""
NOW: Final = "$NOW"
"""Stands for the Unix time in seconds at which a text is sent."""
LARGEST: Final = 16 << 20
"""Bytes of a frame, unpacked, or of an answer: several times what the largest list of instruments has."""
UNREADABLE: Final = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(zlib.error, RecursionError),  # of frames that are no gzip, or nested without end
)
"""What reading a frame raises that is not as documented."""
_SHOWN: Final = 200
"""Characters of an instrument that is not as documented."""


class Reply(Struct, frozen=True):
    """A text that has to be sent at once: the venue's own kind of pong."""

    text: str


class Accepted(Struct, frozen=True):
    """The venue took a subscription; that is no data yet."""


class Refused(Struct, frozen=True):
    """The venue refuses something, in its own words."""

    reason: str


class Closing(Struct, frozen=True):
    """The venue is about to close the connection."""


class Dropped(Struct, frozen=True):
    """A record that was understood and is left out."""

    reason: str


class Noted(Struct, frozen=True):
    """Data that the next price will tell of: they show that the connection lives."""


class Unreadable(Struct, frozen=True):
    """The first row of a list that is not as documented, and what was wrong with it."""

    error: str
    row: Any


Told: TypeAlias = Feed | Reply | Accepted | Refused | Closing | Dropped | Noted | Unreadable

NOTED: Final = Noted()
UNKNOWN: Final = Dropped("unknown instrument")
OTHER: Final = Dropped("not asked for")
HISTORY: Final = Dropped("history")


class Request(Struct, frozen=True, kw_only=True):
    """Something to ask by HTTP: GET, or POST where there is a body."""

    url: str
    body: str | None = None
    about: str = ""


class Connection(Struct, frozen=True, kw_only=True):
    """A WebSocket connection: where to, what to send first, one frame after the other."""

    url: str
    frames: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class Heartbeat(Struct, frozen=True, kw_only=True):
    """How a connection is known to live.

    Attributes
    ----------
    every
        Seconds from one text of ours to the next.
    text
        What is sent then; None where frames of the protocol do it, or the venue asks by itself.
    silence
        Seconds without any frame after which the connection counts as dead.
    protocol
        Whether pings of the protocol are sent, and have to be answered: not all venues do.

    """

    every: float = 20.0
    text: str | None = None
    silence: float = 60.0
    protocol: bool = False


class Limits(Struct, frozen=True, kw_only=True):
    """What a venue allows.

    Attributes
    ----------
    streams
        Subscriptions of one connection.
    frames_per_second
        Texts that may be sent on a connection.
    lifetime
        Seconds after which a connection is replaced, before the venue cuts it; None where it does not.
    poll
        Seconds from one round of requests to the next.

    """

    streams: int = 200
    frames_per_second: float = 5.0
    lifetime: float | None = 23 * 3_600.0
    poll: float = 30.0


class State:
    """What one connection knows: begun anew with each, for what it was told before may be old.

    Parameters
    ----------
    instruments
        Those that are collected, by the venue's names.
    known
        Names of all instruments of the venue.
    began_ms
        When it was begun, by this machine's clock.
    price_every_ms
        From one price of a symbol to the next, at least.
    traded
        What was traded since the last price in US dollars, by instrument: of all the venue's connections, as
        trades need not come on that of the quotes.

    Attributes
    ----------
    fields
        What venues that send changes alone said before, by instrument.
    now_ms
        When the frame that is being read was received.

    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        known: Collection[str] = (),
        began_ms: int = 0,
        price_every_ms: int = 1_000,
        traded: defaultdict[str, float] | None = None,
    ) -> None:
        self.relist(instruments, known)
        self._began_ms = began_ms
        self._price_every_ms = price_every_ms
        self._traded = defaultdict[str, float](float) if traded is None else traded
        self._quotes: dict[str, Quote] = {}
        self.fields: dict[str, dict[str, Any]] = {}
        self.now_ms = began_ms

    def relist(self, instruments: Iterable[Instrument], known: Collection[str]) -> None:
        """Take other instruments; what was heard of those that stay is still known."""
        self.instruments = {each.name: each for each in instruments}
        self._known = known

    def told_of(self, name: str, row: Any, read: Read) -> list[Told]:
        """Return what is read of a row about an instrument, or why it is left out."""
        of = self.instruments.get(name)
        if of is None:
            return [OTHER if name in self._known else UNKNOWN]
        return read(row, of, self)

    def told_of_each(self, rows: Iterable[Any], field: str, read: Read) -> list[Told]:
        """Return what is read of rows that name their instruments in a field."""
        return read_each(rows, lambda row: self.told_of(row[field], row, read))

    def quote(self, name: str) -> Quote:
        """Return what is known of an instrument's price."""
        quote = self._quotes.get(name)
        if quote is None:
            quote = self._quotes[name] = Quote()
        return quote

    def tick(self, instrument: Instrument, time_ms: int) -> list[Told]:
        """Return the price that is due, or that the quote is noted.

        Its volume is the sum of the trades since the last one, never a difference of a rolling sum.
        """
        name = instrument.name
        price = self.quote(name).tick(instrument, time_ms, self._price_every_ms, self._traded[name])
        if price is None:
            return [NOTED]
        self._traded[name] = 0.0
        return [price]

    def quoted(
        self, instrument: Instrument, time_ms: int, bid: float, ask: float, mark: float | None = None
    ) -> list[Told]:
        """Take the best quotes, 0 for none, and a mark price that came with them; then `tick`."""
        quote = self.quote(instrument.name)
        quote.bid, quote.ask, quote.quoted_ms = bid, ask, time_ms
        if mark is not None:
            quote.mark = mark
        return self.tick(instrument, time_ms)

    def trade(self, instrument: Instrument, size: float | str, price: float | str) -> Noted:
        """Add a trade to the volume of the instrument's next price."""
        self._traded[instrument.name] += instrument.usd(size, price)
        return NOTED

    def replayed(self, time_ms: int) -> bool:
        """Tell whether a record happened before the subscription: venues repeat some at first."""
        return time_ms < self._began_ms - _HISTORY_MS


Read: TypeAlias = "Callable[[Any, Instrument, State], list[Told]]"
"""Returns what a row tells of an instrument."""


def read_each(rows: Iterable[Any], read: Callable[[Any], list[Told]]) -> list[Told]:
    """Return what is read of each row: one that is not as documented costs none of the others."""
    told, unreadable = list[Told](), None
    for row in rows:
        try:
            told += read(row)
        except UNREADABLE as error:
            unreadable = unreadable or Unreadable(repr(error), row)
    return told if unreadable is None else [*told, unreadable]


class Ids:
    """Ids for the events of one frame, of a venue that gives none.

    They come out equal wherever the frame is received, and different for equal events within it.
    """

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def of(self, *parts: object) -> str:
        """Return the id of the next event with these parts, as the venue wrote them."""
        text = "|".join(map(str, parts))
        number = self._seen[text]
        self._seen[text] += 1
        return f"{blake2b(text.encode(), digest_size=8).hexdigest()}-{number}"


class Venue(Protocol):
    """A venue's file: constants, and functions without any effect but on the state they are given.

    `parse` and `parse_poll` raise one of `UNREADABLE` where a frame is not what the venue's documentation
    says; a row of a list costs itself alone. `LISTING`, `VOLUMES` and `CLOCK` ask for what `instruments`,
    `traded` and `clock_ms` read.
    """

    NAME: str
    COVERAGE: str
    HEARTBEAT: Heartbeat
    LIMITS: Limits
    LISTING: Sequence[Request]
    VOLUMES: Request
    CLOCK: Request

    def decode(self, frame: str | bytes) -> Any:
        """Return what a frame says; None for one that says nothing."""

    def next_page(self, request: Request, answer: Any) -> Request | None:
        """Return what to ask for the rest of an answer with instruments; None where that was all."""

    def instruments(self, answers: Sequence[Any], names: Names = USUAL) -> tuple[list[Instrument], list[str]]:
        """Return the linear perpetuals of the answers, and why others that look like them are refused."""

    def traded(self, answer: Any) -> dict[str, float]:
        """Return what was traded within 24 hours in US dollars, by the venue's names: to rank them."""

    def clock_ms(self, answer: Any) -> float:
        """Return the venue's Unix time in milliseconds."""

    def subscriptions(self, instruments: Sequence[Instrument]) -> list[Connection]:
        """Return the connections that bring all feeds of those instruments, whatever is published.

        Prices tell whether a connection lives, what a bundle is worth, and which side a move went against.
        """

    def parse(self, frame: Any, state: State) -> list[Told]:
        """Return what a decoded frame tells."""

    def polls(self, instruments: Sequence[Instrument], topics: Collection[str]) -> Sequence[Request]:
        """Return what is not pushed and has to be asked for, in rounds."""

    def parse_poll(self, request: Request, answer: Any, state: State) -> list[Told]:
        """Return what the answer to such a request tells."""


def all_at_once(_request: Request, _answer: Any) -> Request | None:
    """Return no request for a next page, for a venue that lists everything in one answer."""
    return None


def nothing_to_ask(_instruments: Sequence[Instrument], _topics: Collection[str]) -> Sequence[Request]:
    """Return no requests, for a venue that pushes all that it has."""
    return []


def nothing_told(_request: Request, _answer: Any, _state: State) -> list[Told]:
    """Return nothing, for a venue that is asked for nothing."""
    return []


def decode_json(frame: str | bytes) -> Any:
    """Return what a JSON text says."""
    return msgspec.json.decode(frame)


def decode_but_pong(frame: str | bytes) -> Any:
    """Return what a JSON text says; `pong`, which is none, says nothing."""
    return None if frame in {"pong", b"pong"} else decode_json(frame)


def as_text(content: Any) -> str:
    """Return content as JSON."""
    return codec.encode(content).decode()


def position(order: str) -> Side:
    """Return the side of the position that an order closed."""
    return _POSITIONS[order.lower()]


def liquidation(  # noqa: PLR0913
    of: Instrument,
    side: Side,
    size: float | str,
    price: float | str,
    time_ms: int,
    *,
    event_id: str | None = None,
) -> Liquidation:
    """Return a liquidation of a size at the venue's own price and in its own unit."""
    return Liquidation(
        symbol=of.symbol,
        exchange=of.venue,
        side=side,
        price=of.price(price),
        quantity=of.quantity(size),
        timestamp=time_ms / 1_000,
        value_usd=of.usd(size, price),
        id=event_id,
    )


def funding(of: Instrument, rate: float | str, time_ms: int) -> Funding:
    """Return a funding rate, for eight hours."""
    return Funding(symbol=of.symbol, rate=of.rate(rate), timestamp=time_ms / 1_000, exchange=of.venue)


def open_interest(of: Instrument, usd: float | str, time_ms: int) -> OpenInterest:
    """Return the open interest of one side in US dollars."""
    return OpenInterest(
        symbol=of.symbol, open_interest_usd=float(usd), timestamp=time_ms / 1_000, exchange=of.venue
    )


def amounts(rows: Iterable[Mapping[str, Any]], name: str, amount: str) -> dict[str, float]:
    """Return one field of rows by another one, which names their instruments."""
    return {row[name]: float(row[amount] or 0) for row in rows}


def groups(names: Iterable[T], most: int) -> list[list[T]]:
    """Return names in groups of so many at most."""
    every = list(names)
    return [every[first : first + most] for first in range(0, len(every), most)]


def one_by_one(
    url: str,
    requests: Iterable[Any],
    most: int,
    *,
    first: tuple[str, ...] = (),
    headers: tuple[tuple[str, str], ...] = (),
) -> list[Connection]:
    """Return connections of so many requests at most, each in a frame of its own.

    So one that is refused, as of an instrument which is no longer listed, fails alone: venues refuse a frame
    as a whole.
    """
    frames = map(as_text, requests)
    return [Connection(url=url, frames=(*first, *group), headers=headers) for group in groups(frames, most)]


def together(url: str, args: Iterable[Any], most: int, in_a_frame: int) -> list[Connection]:
    """Return connections of so many topics at most, for venues that answer for each topic of a frame."""
    return [
        Connection(
            url=url,
            frames=tuple(as_text({"op": "subscribe", "args": part}) for part in groups(group, in_a_frame)),
        )
        for group in groups(args, most)
    ]


def collected(
    listed: Iterable[Mapping[str, Any]], make: Any, wanted: Any = lambda _: True
) -> tuple[list[Instrument], list[str]]:
    """Return what `make` makes of those listed that are `wanted`, and what it refuses."""
    made: list[Instrument] = []
    refused: list[str] = []
    for each in listed:
        if not wanted(each):
            continue
        try:
            made.append(make(each))
        except UnknownUnitError as error:
            refused.append(str(error))
        except (ValueError, LookupError, TypeError, ArithmeticError) as error:
            refused.append(f"{str(each)[:_SHOWN]} is not as documented: {error!r}")
    return made, refused


_POSITIONS: Final[Mapping[str, Side]] = {"sell": "long", "buy": "short"}
