"""A collector of one venue: its connections, what is asked in rounds, and instruments that change."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import structlog

from pipeline.collect.asking import LISTED, Asking
from pipeline.collect.link import OVERLAP, Gap, Link
from pipeline.collect.reading import Listing, VenueError
from pipeline.collect.recording import Line, said
from pipeline.collect.silence import INSTRUMENTS, Silence
from pipeline.collect.venue import as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import aiohttp

    from pipeline.collect.account import Account
    from pipeline.collect.ranking import Wanted
    from pipeline.collect.reading import Reading, Taking
    from pipeline.collect.venue import Connection, Request, State, Told
    from pipeline.messages import FeedStatus

log = structlog.get_logger(__name__)

_APART: Final = 0.4
"""Seconds from one connection of a venue to the next: OKX allows three a second."""
_CLOCK: Final = 60.0
"""Seconds from one look at a venue's clock to the next."""


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

    Attributes
    ----------
    asking
        Asks the venue.

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
        self.asking = Asking(reading, session, endpoints, min(LISTED, refresh / 2))
        self._silence = Silence(reading.venue.NAME, reading.account, outbox)
        self._session = session
        self._record = record
        self._refresh = refresh
        self._conversations = count(1)
        self._patience = {"data_silence": data_silence, "longest_wait": longest_wait}
        self._listing = Listing()
        self._links: dict[str, Link] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def account(self) -> Account:
        """What it did and met."""
        return self.reading.account

    @property
    def connected(self) -> bool:
        """Whether all connections bring data."""
        return bool(self._links) and all(link.connected for link in self._links.values())

    @property
    def refused(self) -> int:
        """What the venue refuses on the present connections: it is missing, while all else comes."""
        return sum(link.refused for link in self._links.values())

    async def list_instruments(self, symbols: Collection[str]) -> Listing:
        """Ask for the venue's instruments, and choose those of some symbols.

        Raises
        ------
        VenueError
            It does not answer, or has none of them.

        """
        answers = await self.asking.instruments()
        listing = self.reading.choose(answers, symbols).after(self._listing)
        if listing.chosen != self._listing.chosen:  # else a recording has it
            for answer in answers:
                self._keep("listing", answer)
        self._listing = listing
        self.reading.relist(listing)
        return listing

    async def run(self, wanted: Wanted | None = None) -> None:
        """Collect for ever the instruments that are listed, and those that are wanted later on."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._silence.beat())
                group.create_task(self._watch_clock())
                group.create_task(self._poll())
                await self._connect(group)
                self._silence.forget_all_but(self._links)
                while wanted is not None:
                    await asyncio.sleep(self._refresh)
                    await self._look_again(wanted, group)
        finally:
            self._silence.stop([stream for stream, link in self._links.items() if link.connected])

    def hear(self, told: FeedStatus) -> None:
        """Take what any collector told of the venue, before this one ran or now, itself too."""
        if not self._silence.hear(told):
            return
        if link := self._links.get(told.stream):
            link.hear(Gap(told.since, told.until, told.reason))
        elif told.stream == INSTRUMENTS and told.until is None and self._links:
            self._silence.tell(INSTRUMENTS, Gap(told.since, told.since, "another collector has them"))

    def unlisted(self, reason: str) -> None:
        """Take that the venue cannot be used now."""
        self._silence.unlisted(reason)

    async def _watch_clock(self) -> None:
        while True:
            try:
                await self.asking.time()
            except VenueError as error:
                log.warning("a venue does not tell the time", reason=str(error))
                await asyncio.sleep(error.wait)
            await asyncio.sleep(_CLOCK)

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
        wanted = self.venue.subscriptions(self._listing.chosen)
        return {
            stream: msgspec.structs.replace(each, url=self.asking.at(each.url))
            for stream, each in by_stream(wanted).items()
        }

    def _link(self, stream: str, connection: Connection) -> Link:
        return Link(
            self._session,
            self.venue,
            connection,
            reader=self._reader,
            told_gap=lambda gap: self._silence.tell(stream, gap),
            gap=self._silence.gap_before(stream),
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
            self._record(Line(kind, _now_ms(), text=as_text(answer), about=about))

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
            answer = await self.asking.ask(request)
        except VenueError as error:
            self.account.refused[str(error)] += 1
            log.warning("no answer", venue=self.venue.NAME, reason=str(error))
            return error.wait
        self._keep("answer", answer, request.about)
        self.reading.answer(request, answer, state, _now_ms())
        return 0.0


def by_stream(connections: Iterable[Connection]) -> dict[str, Connection]:
    """Return connections by the names of their streams: addresses, numbered where several have the same."""
    found: dict[str, Connection] = {}
    numbers = defaultdict[str, Iterator[int]](lambda: count(1))
    for each in connections:
        address = each.url.partition("?")[0]
        number = next(numbers[address])
        found[address if number == 1 else f"{address} ({number})"] = each
    return found


def _now_ms() -> int:
    return round(time.time() * 1_000)
