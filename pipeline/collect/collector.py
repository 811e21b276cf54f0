"""A collector of one venue: its connections and requests, and what is told of gaps."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

import aiohttp
import msgspec
import structlog

from pipeline import codec, contract
from pipeline.collect.link import OVERLAP, Gap, Link, left_alone
from pipeline.collect.reading import Listing, VenueError
from pipeline.collect.recording import Line, said
from pipeline.messages import FeedStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pipeline.collect.account import Account
    from pipeline.collect.ranking import Wanted
    from pipeline.collect.reading import Reading, Taking
    from pipeline.collect.venue import Connection, Request, State, Told

log = structlog.get_logger(__name__)

_ANSWER: Final = aiohttp.ClientTimeout(total=10.0)
_APART: Final = 0.4
"""Seconds from one connection of a venue to the next: OKX allows three a second."""
_LISTED: Final = 60.0
"""Seconds for which a list of instruments is not asked for again: Deribit allows one such question in ten."""
_CLOCK: Final = 60.0
"""Seconds from one look at a venue's clock to the next."""
_JSON: Final = {"Content-Type": "application/json"}


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
            if wait := left_alone(answer.status, answer.headers):
                raise VenueError(f"{request.url}: too many requests, HTTP {answer.status}", wait)
            if not answer.ok:
                raise VenueError(f"{request.url}: HTTP {answer.status}")
            return msgspec.json.decode(await answer.read())
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise VenueError(f"{request.url}: {error or type(error).__name__}") from error


class Collector:
    """Collects from one venue.

    Parameters
    ----------
    reading, session, outbox
        Who understands the venue, with what it is asked, and where gaps are told.
    endpoints
        Beginnings of the venue's addresses, and what stands in their place: venues move.
    record
        Called with whatever the venue says; None where nobody keeps it.
    refresh
        Seconds until the venue is asked again for its instruments.
    data_silence, longest_wait
        As `Link`.

    """

    def __init__(  # noqa: PLR0913
        self,
        reading: Reading,
        session: aiohttp.ClientSession,
        outbox: Taking,
        *,
        endpoints: Mapping[str, str] = MappingProxyType({}),
        record: Callable[[Line], None] | None = None,
        refresh: float = 3_600.0,
        data_silence: float = 120.0,
        longest_wait: float = 32.0,
    ) -> None:
        self.venue = reading.venue
        self.reading = reading
        self._session = session
        self._outbox = outbox
        self._endpoints = endpoints
        self._record = record
        self._refresh = refresh
        self._conversations = count(1)
        self._patience = {"data_silence": data_silence, "longest_wait": longest_wait}
        self._listing = Listing()
        self._links: dict[str, Link] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._before: dict[str, FeedStatus] = {}
        self._answers: list[Any] = []
        self._listed_at = -_LISTED

    @property
    def account(self) -> Account:
        """What it did and met."""
        return self.reading.account

    @property
    def connected(self) -> bool:
        """Whether all connections bring data."""
        return bool(self._links) and all(link.connected for link in self._links.values())

    async def list_instruments(self, symbols: Collection[str]) -> Listing:
        """Ask for the venue's instruments, and choose those of some symbols.

        Raises
        ------
        VenueError
            It does not answer, or has none of them.

        """
        answers = await self._listed()
        listing = self.reading.choose(answers, symbols).after(self._listing)
        if listing.chosen != self._listing.chosen:  # else a recording has it
            for answer in answers:
                self._keep("listing", answer)
        self._listing = listing
        self.reading.relist(listing)
        return listing

    async def traded(self) -> dict[str, float]:
        """Ask what was traded within 24 hours, in US dollars by symbol.

        Raises
        ------
        VenueError
            The venue does not answer, or not as documented.

        """
        answers = await self._listed()
        return self.reading.traded(answers, await self._ask(self.venue.volumes()))

    async def run(self, wanted: Wanted | None = None) -> None:
        """Collect for ever the instruments that are listed, and those that are wanted later on."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._beat())
                group.create_task(self._watch_clock())
                group.create_task(self._poll())
                await self._connect(group)
                self._forget_others()
                while wanted is not None:
                    await asyncio.sleep(self._refresh)
                    await self._look_again(wanted, group)
        finally:
            for stream in [stream for stream, link in self._links.items() if link.connected]:
                self._tell(stream, Gap(time.time(), None, "collector stopped"))

    def resume(self, told: Iterable[FeedStatus]) -> None:
        """Take up, before it runs, what was told of the venue: gaps that last, and when collectors ran."""
        self._before = {each.stream: each for each in told if each.exchange == self.venue.NAME}

    def hear(self, told: FeedStatus) -> None:
        """Take what any collector told of the venue, this one too."""
        if (link := self._links.get(told.stream)) is not None:
            link.hear(Gap(told.since, told.until, told.reason))

    async def _beat(self) -> None:
        """Tell that a collector runs: one that is killed cannot tell of its end."""
        while True:
            now = time.time()
            self._tell(contract.FEED_COLLECTOR, Gap(now, now, "collecting"))
            await asyncio.sleep(contract.FEED_BEAT)

    def _forget_others(self) -> None:
        """Tell that gaps are over of streams that there were before and that nobody collects now."""
        for stream, last in self._before.items():
            if last.until is None and stream not in self._links:
                self._tell(stream, Gap(last.since, time.time(), "no longer collected"))
        self._before = {}

    async def _watch_clock(self) -> None:
        while True:
            try:
                for _ in range(2):  # the first answer may have waited for a connection
                    asked = time.time()
                    answer = await self._ask(self.venue.clock())
                    self.reading.clock(asked, answer, time.time())
            except VenueError as error:
                log.warning("a venue does not tell the time", reason=str(error))
                await asyncio.sleep(error.wait)
            await asyncio.sleep(_CLOCK)

    def _gap_before(self, stream: str) -> Gap | None:
        """Return the gap of a stream that lasts since before this collector ran."""
        last, beat = self._before.get(stream), self._before.get(contract.FEED_COLLECTOR)
        if last is not None and last.until is None:
            return Gap(last.since, None, last.reason)
        if beat is not None and time.time() - beat.since > contract.FEED_UNHEARD:
            gap = Gap(beat.since, None, "no collector ran")
            self._tell_gap(stream, gap)
            return gap
        return None

    async def _look_again(self, wanted: Wanted, group: asyncio.TaskGroup) -> None:
        before = self._listing.chosen
        try:
            await self.list_instruments(await wanted())
        except VenueError as error:
            log.warning("the list of instruments could not be looked at again", reason=str(error))
            return
        if self._listing.chosen != before:
            log.info("instruments have changed", venue=self.venue.NAME, number=len(self._listing.chosen))
            await self._connect(group)

    async def _connect(self, group: asyncio.TaskGroup) -> None:
        """Begin connections that are missing, change those that have to bring others, end the rest."""
        connections = self._connections()
        self.account.connections = len(connections)
        for stream, connection in connections.items():
            if (link := self._links.get(stream)) is None:
                link = self._links[stream] = self._link(stream, connection)
                self._tasks[stream] = group.create_task(link.run())
            elif not link.change(connection):
                continue
            await asyncio.sleep(_APART)
        for stream in self._links.keys() - connections.keys():
            group.create_task(self._end(stream))

    async def _end(self, stream: str) -> None:
        """End a connection once the others had time to bring what it brought."""
        link, task = self._links.pop(stream), self._tasks.pop(stream)
        await asyncio.sleep(OVERLAP)
        task.cancel()
        await asyncio.wait({task})
        link.forget()

    def _connections(self) -> dict[str, Connection]:
        """Return the connections by the names of their streams."""
        found: dict[str, Connection] = {}
        numbers = defaultdict[str, Iterator[int]](lambda: count(1))
        for each in self.venue.subscriptions(self._listing.chosen, frozenset(contract.FEEDS)):
            address = each.url.partition("?")[0]
            number = next(numbers[address])
            stream = address if number == 1 else f"{address} ({number})"
            found[stream] = msgspec.structs.replace(each, url=self._at(each.url))
        return found

    async def _listed(self) -> list[Any]:
        """Return the answers with the venue's instruments, all pages of them; some allow no two questions."""
        if time.monotonic() - self._listed_at > min(_LISTED, self._refresh / 2):
            self._answers, self._listed_at = await self._list(), time.monotonic()
        return self._answers

    async def _list(self) -> list[Any]:
        answers = list[Any]()
        for request in self.venue.listing():
            page: Request | None = request
            while page is not None:
                answers.append(await self._ask(page))
                page = self.reading.next_page(page, answers[-1])
        return answers

    async def _ask(self, request: Request) -> Any:
        return await ask(self._session, msgspec.structs.replace(request, url=self._at(request.url)))

    def _at(self, url: str) -> str:
        """Return where an address of the venue's is to be found."""
        for beginning, other in self._endpoints.items():
            if url.startswith(beginning):
                return other + url.removeprefix(beginning)
        return url

    def _link(self, stream: str, connection: Connection) -> Link:
        return Link(
            self._session,
            self.venue,
            connection,
            reader=self._reader,
            told_gap=lambda gap: self._tell_gap(stream, gap),
            gap=self._gap_before(stream),
            **self._patience,
        )

    def _reader(self) -> Callable[[str | bytes], Sequence[Told]]:
        """Return what reads the frames of one conversation: its state begins anew with it."""
        number, began_ms = next(self._conversations), _now_ms()
        state = self.reading.state(self._listing, began_ms)
        if self._record is not None:
            self._record(Line("began", began_ms, number))

        def read(frame: str | bytes) -> Sequence[Told]:
            now_ms = _now_ms()
            if self._record is not None:
                self._record(Line("frame", now_ms, number, **said(frame)))
            return self.reading.frame(frame, state, now_ms)

        return read

    def _keep(self, kind: Literal["listing", "answer"], answer: Any, about: str = "") -> None:
        if self._record is not None:
            text = msgspec.json.encode(answer).decode()
            self._record(Line(kind, _now_ms(), text=text, about=about))

    async def _poll(self) -> None:
        """Ask for what is not pushed, in rounds that are spread over their time."""
        state = self.reading.state(self._listing, _now_ms())
        while requests := self.venue.polls(self._listing.chosen, self.reading.topics):
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
        self._keep("answer", answer, request.about)
        self.reading.answer(request, answer, state, _now_ms())
        return 0.0

    def _tell_gap(self, stream: str, gap: Gap) -> None:
        """Tell of a gap when it begins and when it is over; an empty one says that data begin to come."""
        if gap.until is None:
            self.account.gaps += 1
            log.warning("a feed is silent", venue=self.venue.NAME, stream=stream, reason=gap.reason)
        elif gap.until > gap.since:
            self.account.reconnects += 1
            seconds = round(gap.until - gap.since, 1)
            log.info("a feed is back", venue=self.venue.NAME, stream=stream, seconds=seconds)
        self._tell(stream, gap)

    def _tell(self, stream: str, gap: Gap) -> None:
        status = FeedStatus(self.venue.NAME, stream, gap.since, gap.until, gap.reason)
        key, told_at = self.venue.NAME.encode(), time.time()
        self._outbox.put_record(contract.FEED_STATUS, key, codec.encode(status), told_at)


def _now_ms() -> int:
    return round(time.time() * 1_000)
