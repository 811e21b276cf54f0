"""A collector: venues' connections and requests in, messages for Kafka out."""

from __future__ import annotations

import asyncio
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import aiohttp
import msgspec
import structlog

from pipeline import codec, contract
from pipeline.collect.account import Account
from pipeline.collect.link import UNREADABLE, Gap, Link
from pipeline.collect.venue import Dropped, Refused, State
from pipeline.messages import Funding, Liquidation, OpenInterest, Price

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from pipeline.collect.instruments import Instrument
    from pipeline.collect.venue import Connection, Feed, Request, Told, Venue

log = structlog.get_logger(__name__)

TOPIC_OF: Final[dict[type[Feed], str]] = {
    Liquidation: contract.LIQUIDATIONS,
    Price: contract.PRICES,
    OpenInterest: contract.OPEN_INTEREST,
    Funding: contract.FUNDING,
}
_ANSWER: Final = aiohttp.ClientTimeout(total=10.0)
_JSON: Final = {"Content-Type": "application/json"}
_TOO_MANY: Final = {418, 429}
_LEFT_ALONE: Final = 60.0
"""Seconds without requests after too many of them, where the venue does not say."""
_COMPLAINTS: Final = 5
"""Unreadable frames of a venue that are shown in the log; the others are counted."""


class Listing(NamedTuple):
    """A venue's instruments: those to be collected, and the names of all."""

    chosen: list[Instrument]
    known: frozenset[str]


class VenueError(Exception):
    """A venue cannot be used or does not answer; for `wait` seconds it wants to be left alone."""

    def __init__(self, text: str, wait: float = 0.0) -> None:
        super().__init__(text)
        self.wait = wait


async def ask(session: aiohttp.ClientSession, request: Request) -> Any:
    """Return the answer to a request.

    Raises
    ------
    VenueError
        There is none, or not the one that was asked for.

    """
    method, headers = ("GET", {}) if request.body is None else ("POST", _JSON)
    try:
        async with session.request(
            method, request.url, data=request.body, headers=headers, timeout=_ANSWER
        ) as answer:
            if answer.status in _TOO_MANY:
                wait = float(answer.headers.get("Retry-After", _LEFT_ALONE))
                raise VenueError(f"{request.url}: too many requests, HTTP {answer.status}", wait)
            if not answer.ok:
                raise VenueError(f"{request.url}: HTTP {answer.status}")
            return msgspec.json.decode(await answer.read())
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise VenueError(f"{request.url}: {error or type(error).__name__}") from error


class Taking(Protocol):
    """Where messages go: an `Outbox`."""

    def put(self, topic: str, message: Feed) -> None:
        """Take a message."""

    def put_record(self, topic: str, key: bytes, value: bytes, timestamp: float) -> None:
        """Take a record."""


class Collector:
    """Collects from one venue.

    Parameters
    ----------
    venue, session, outbox
        From where, with what, and where to.
    topics
        What is published.
    price_every
        Seconds from one price of a symbol to the next, at least.
    endpoints
        Beginnings of the venue's addresses, and what stands in their place: venues move.
    data_silence, longest_wait
        As `Link`.

    Attributes
    ----------
    account
        What it did and met.

    """

    def __init__(  # noqa: PLR0913
        self,
        venue: Venue,
        session: aiohttp.ClientSession,
        outbox: Taking,
        *,
        topics: Collection[str] = contract.FEEDS,
        price_every: float = 1.0,
        endpoints: Mapping[str, str] = MappingProxyType({}),
        data_silence: float = 120.0,
        longest_wait: float = 32.0,
    ) -> None:
        self.venue = venue
        self.account = Account()
        self._session = session
        self._outbox = outbox
        self._topics = frozenset(topics)
        self._endpoints = endpoints
        self._price_every_ms = round(price_every * 1_000)
        self._patience = {"data_silence": data_silence, "longest_wait": longest_wait}
        self._links: list[Link] = []

    @property
    def connected(self) -> bool:
        """Whether all connections bring data."""
        return bool(self._links) and all(link.connected for link in self._links)

    async def list_instruments(self, symbols: Collection[str]) -> Listing:
        """Ask for the venue's instruments, and choose those of some symbols.

        Raises
        ------
        VenueError
            It does not answer, or has none of them.

        """
        answers = [await self._ask(request) for request in self.venue.listing()]
        try:
            every, refused = self.venue.instruments(answers)
        except UNREADABLE as error:
            raise VenueError(
                f"{self.venue.NAME}: its list of instruments is not as documented: {error!r}"
            ) from error
        for reason in refused:
            log.warning("an instrument is not collected", reason=reason)
            self.account.dropped["instrument refused"] += 1
        chosen = [each for each in every if each.symbol in symbols]
        if not chosen:
            raise VenueError(f"{self.venue.NAME} has none of {', '.join(sorted(symbols))}")
        return Listing(chosen, frozenset(each.name for each in every))

    async def _ask(self, request: Request) -> Any:
        return await ask(self._session, msgspec.structs.replace(request, url=self._at(request.url)))

    def _at(self, url: str) -> str:
        """Return where an address of the venue's is to be found."""
        for beginning, other in self._endpoints.items():
            if url.startswith(beginning):
                return other + url.removeprefix(beginning)
        return url

    async def run(self, listing: Listing) -> None:
        """Collect for ever."""
        connections = self.venue.subscriptions(listing.chosen, frozenset(contract.FEEDS))
        self.account.connections = len(connections)
        self._links = [self._link(connection, listing) for connection in connections]
        async with asyncio.TaskGroup() as group:
            for link in self._links:
                group.create_task(link.run())
            group.create_task(self._poll(listing))

    def _link(self, connection: Connection, listing: Listing) -> Link:
        stream = connection.url.partition("?")[0]
        connection = msgspec.structs.replace(connection, url=self._at(connection.url))
        return Link(
            self._session,
            self.venue,
            connection,
            reader=lambda: self._reader(listing),
            told_gap=lambda gap: self._tell_gap(stream, gap),
            **self._patience,
        )

    def _reader(self, listing: Listing) -> Callable[[str | bytes], Sequence[Told]]:
        """Return what reads the frames of one conversation: its state begins anew with it."""
        state = self._state(listing)

        def read(frame: str | bytes) -> Sequence[Told]:
            self.account.frames += 1
            state.now_ms = round(time.time() * 1_000)
            return self._understood(lambda: self._parse(frame, state), frame)

        return read

    def _parse(self, frame: str | bytes, state: State) -> Sequence[Told]:
        content = self.venue.decode(frame)
        return () if content is None else self.venue.parse(content, state)

    def _state(self, listing: Listing) -> State:
        now_ms = round(time.time() * 1_000)
        return State(listing.chosen, listing.known, now_ms, self._price_every_ms)

    def _understood(self, read: Callable[[], Sequence[Told]], raw: object) -> Sequence[Told]:
        """Publish what a frame tells; those that cannot be read are counted, and the first ones shown."""
        try:
            told = read()
            for each in told:
                self._publish(each)
        except UNREADABLE as error:
            self.account.rejected += 1
            if self.account.rejected <= _COMPLAINTS:
                log.warning(
                    "a frame is not as documented",
                    venue=self.venue.NAME,
                    error=repr(error),
                    frame=str(raw)[:500],
                )
            return ()
        return told

    def _publish(self, told: Told) -> None:
        if isinstance(told, Dropped):
            self.account.dropped[told.reason] += 1
        elif isinstance(told, Refused):
            self.account.refused[told.reason] += 1
        elif isinstance(told, (Liquidation, Price, OpenInterest, Funding)):
            self._publish_message(TOPIC_OF[type(told)], told)

    def _publish_message(self, topic: str, message: Feed) -> None:
        """Publish a message that the pipeline will take: what a venue says may be impossible."""
        message = msgspec.convert(msgspec.to_builtins(message), type(message))
        self.account.last = max(self.account.last, message.timestamp)
        self.account.behind = time.time() - message.timestamp
        if topic in self._topics:
            self._outbox.put(topic, message)
            self.account.messages[topic] += 1

    async def _poll(self, listing: Listing) -> None:
        """Ask for what is not pushed, in rounds that are spread over their time."""
        requests = self.venue.polls(listing.chosen, self._topics)
        state = self._state(listing)
        while requests:
            pause = self.venue.LIMITS.poll / len(requests)
            for request in requests:
                wait = await self._ask_once(request, state)
                await asyncio.sleep(max(pause, wait))

    async def _ask_once(self, request: Request, state: State) -> float:
        """Ask, and return for how many seconds the venue wants to be left alone."""
        try:
            answer = await self._ask(request)
        except VenueError as error:
            self.account.refused[str(error)] += 1
            log.warning("no answer", venue=self.venue.NAME, reason=str(error))
            return error.wait
        state.now_ms = round(time.time() * 1_000)
        self._understood(lambda: self.venue.parse_poll(request, answer, state), answer)
        return 0.0

    def _tell_gap(self, stream: str, gap: Gap) -> None:
        """Tell of a gap when it begins, and when it is over."""
        if gap.until is None:
            self.account.gaps += 1
            log.warning("a feed is silent", venue=self.venue.NAME, stream=stream, reason=gap.reason)
        else:
            self.account.reconnects += 1
            seconds = round(gap.until - gap.since, 1)
            log.info("a feed is back", venue=self.venue.NAME, stream=stream, seconds=seconds)
        content = {
            "exchange": self.venue.NAME,
            "stream": stream,
            "from": gap.since,
            "to": gap.until,
            "reason": gap.reason,
        }
        key, told_at = self.venue.NAME.encode(), time.time()
        self._outbox.put_record(contract.FEED_STATUS, key, codec.encode(content), told_at)
