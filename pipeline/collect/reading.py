"""What a venue says, live or recorded, understood: messages for Kafka, and an account of everything else."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from weakref import WeakSet

import msgspec
import structlog

from pipeline import contract
from pipeline.collect.account import Account
from pipeline.collect.bundles import Bundles, References
from pipeline.collect.names import USUAL
from pipeline.collect.quiet import Quiet
from pipeline.collect.sides import SideCheck
from pipeline.collect.venue import UNREADABLE, Dropped, Refused, Request, State, Unreadable
from pipeline.messages import Funding, Liquidation, OpenInterest, Price

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from pipeline.collect.instruments import Instrument
    from pipeline.collect.names import Names
    from pipeline.collect.venue import Feed, Told, Venue
    from pipeline.messages import FeedStatus

log = structlog.get_logger(__name__)

TOPIC_OF: Final[dict[type[Feed], str]] = {
    Liquidation: contract.LIQUIDATIONS,
    Price: contract.PRICES,
    OpenInterest: contract.OPEN_INTEREST,
    Funding: contract.FUNDING,
}
_COMPLAINTS: Final = 5
"""Unreadable frames of a venue that are shown in the log; the others are counted."""
_SHOWN: Final = 500
"""Characters of them."""
_CLOCK_OFF: Final = 1.0
"""Seconds by which clocks may differ."""
_FAR_AHEAD: Final = 9.0
"""Seconds from which on a record is left out: it would move symbols' clocks, which never go back."""


class VenueError(Exception):
    """A venue cannot be used or does not answer; for `wait` seconds it wants to be left alone."""

    def __init__(self, text: str, wait: float = 0.0) -> None:
        super().__init__(text)
        self.wait = wait


class Listing(NamedTuple):
    """A venue's instruments: those to be collected, and the names of all."""

    chosen: Sequence[Instrument] = ()
    known: frozenset[str] = frozenset()

    def after(self, before: Listing) -> Listing:
        """Return the same in another order: those that were there before keep their places.

        Subscriptions follow the order, so as few connections as possible have to change.
        """
        new = {each.name: each for each in self.chosen}
        places = [new.pop(each.name, None) for each in before.chosen]
        rest = iter(new.values())
        filled = [each or next(rest, None) for each in places]
        return self._replace(chosen=[*filter(None, filled), *rest])


class Taking(Protocol):
    """Where messages go: an `Outbox`."""

    def put(self, topic: str, message: Feed) -> None:
        """Take a message."""

    def tell(self, status: FeedStatus) -> None:
        """Take what is told of a feed."""


class Reading:
    """Understands one venue.

    Parameters
    ----------
    venue, outbox
        Who speaks, and where messages go.
    topics
        What is published.
    price_every
        Seconds from one price of a symbol to the next, at least.
    names
        What venues call coins.
    references
        Prices of all venues together.

    Attributes
    ----------
    topics
        What is published.
    account
        What it did and met.
    sides
        Whether the venue's sides fit its prices.
    quiet
        Of which symbols nothing comes.

    """

    def __init__(  # noqa: PLR0913
        self,
        venue: Venue,
        outbox: Taking,
        *,
        topics: Collection[str] = contract.FEEDS,
        price_every: float = 1.0,
        names: Names = USUAL,
        references: References | None = None,
    ) -> None:
        self.venue = venue
        self.account = Account()
        self.sides = SideCheck()
        self._outbox = outbox
        self.topics = frozenset(topics)
        self.quiet = Quiet(self.topics)
        self._price_every_ms = round(price_every * 1_000)
        self._alarmed = self._clock_wrong = False
        self._refused: set[str] = set()
        self._names = names
        self._bundles = Bundles(venue.NAME, references or References())
        self._states: WeakSet[State] = WeakSet()
        self._traded = defaultdict[str, float](float)

    def next_page(self, request: Request, answer: Any) -> Request | None:
        """Return what to ask for the rest of an answer with instruments.

        Raises
        ------
        VenueError
            It is not as documented.

        """
        with self._documented("list of instruments"):
            return self.venue.next_page(request, answer)

    @contextmanager
    def _documented(self, what: str) -> Iterator[None]:
        try:
            yield
        except UNREADABLE as error:
            raise VenueError(f"{self.venue.NAME}: its {what} is not as documented: {error!r}") from error

    def choose(self, answers: Sequence[Any], symbols: Collection[str]) -> Listing:
        """Return the instruments of some symbols out of the venue's answers.

        Raises
        ------
        VenueError
            The answers are not as documented, or have none of them.

        """
        every, refused = self._instruments(answers)
        for reason in sorted(set(refused) - self._refused):
            log.warning("an instrument is not collected", reason=reason)
            self.account.dropped["instrument refused"] += 1
            self._refused.add(reason)
        chosen = [each for each in every if each.symbol in symbols]
        if not chosen:
            raise VenueError(f"{self.venue.NAME} has none of {', '.join(sorted(symbols))}")
        return Listing(chosen, frozenset(each.name for each in every))

    def _instruments(self, answers: Sequence[Any]) -> tuple[list[Instrument], list[str]]:
        with self._documented("list of instruments"):
            return self.venue.instruments(answers, self._names)

    def traded(self, answers: Sequence[Any], volumes: Any) -> dict[str, float]:
        """Return what was traded within 24 hours, in US dollars by symbol.

        Raises
        ------
        VenueError
            The answers are not as documented.

        """
        every, _ = self._instruments(answers)
        with self._documented("list of volumes"):
            by_name, total = self.venue.traded(volumes), dict[str, float]()
        for each in every:
            total[each.symbol] = total.get(each.symbol, 0.0) + by_name.get(each.name, 0.0)
        return total

    def clock(self, asked: float, answer: Any, answered: float) -> None:
        """Take the venue's time, as it told it when it was asked.

        Raises
        ------
        VenueError
            The answer is not as documented.

        """
        with self._documented("time"):
            told = self.venue.clock_ms(answer) / 1_000
        clock = self.account.clock
        clock.add(asked, told, answered)
        wrong = abs(clock.ahead or 0.0) > _CLOCK_OFF + clock.uncertainty
        if wrong and not self._clock_wrong:
            log.warning("a venue's clock differs from this one", venue=self.venue.NAME, ahead_s=clock.ahead)
        self._clock_wrong = wrong

    def state(self, listing: Listing, began_ms: int) -> State:
        """Return the state of a conversation that begins."""
        state = State(listing.chosen, listing.known, began_ms, self._price_every_ms, self._traded)
        self._states.add(state)
        return state

    def relist(self, listing: Listing) -> None:
        """Let conversations that go on know of other instruments."""
        self._bundles.relist(listing.chosen)
        self.quiet.relist({each.symbol for each in listing.chosen}, time.monotonic())
        for state in self._states:
            state.relist(listing.chosen, listing.known)

    def frame(self, frame: str | bytes, state: State, now_ms: int) -> Sequence[Told]:
        """Publish what a frame tells, and return it."""
        self.account.frames += 1
        state.now_ms = now_ms
        return self._understood(lambda: self._parse(frame, state), frame)

    def answer(self, request: Request, answer: Any, state: State, now_ms: int) -> None:
        """Publish what an answer tells."""
        state.now_ms = now_ms
        self._understood(lambda: self.venue.parse_poll(request, answer, state), answer)

    def _parse(self, frame: str | bytes, state: State) -> Sequence[Told]:
        content = self.venue.decode(frame)
        return () if content is None else self.venue.parse(content, state)

    def _understood(self, read: Callable[[], Sequence[Told]], raw: object) -> Sequence[Told]:
        """Publish what a frame tells; what cannot be used is counted, and the first such frames shown."""
        try:
            told = read()
        except UNREADABLE as error:
            self._reject(repr(error), raw)
            return ()
        for each in told:
            try:
                self._take(each)
            except UNREADABLE as error:  # this one alone: the others of the frame are good
                self._reject(repr(error), raw)
        return told

    def _reject(self, error: str, raw: object) -> None:
        self.account.rejected += 1
        if self.account.rejected <= _COMPLAINTS:
            shown = str(raw)[:_SHOWN]
            log.warning("a frame is not as documented", venue=self.venue.NAME, error=error, frame=shown)

    def _take(self, told: Told) -> None:
        if isinstance(told, Dropped):
            self.account.dropped[told.reason] += 1
        elif isinstance(told, Refused):
            self.account.refused[told.reason] += 1
        elif isinstance(told, Unreadable):
            self._reject(told.error, told.row)
        elif isinstance(told, (Liquidation, Price, OpenInterest, Funding)):
            self._publish(TOPIC_OF[type(told)], told)

    def _publish(self, topic: str, message: Feed) -> None:
        """Publish a message that the pipeline will take: what a venue says may be impossible."""
        message = msgspec.convert(msgspec.to_builtins(message), type(message))
        self.account.received = time.time()
        behind = self.account.received - message.timestamp
        if behind < -_FAR_AHEAD:
            self.account.dropped["far ahead of this machine's clock"] += 1
            return
        self.account.last = max(self.account.last, message.timestamp)
        self.account.behind = behind
        if not self._bundles.take(message):
            self.account.dropped["price of a bundle is off"] += 1
            return
        self._check_sides(message)
        if topic in self.topics:
            self._outbox.put(topic, message)
            self.account.messages[topic] += 1
            self.quiet.hear(topic, message.symbol, time.monotonic())

    def _check_sides(self, message: Feed) -> None:
        self.sides.add(message)
        if self.sides.inverted and not self._alarmed:
            self._alarmed = True
            log.error(
                "strong moves liquidated those whom they favoured: this venue's sides look inverted, "
                "compare them with its documentation",
                venue=self.venue.NAME,
                moves=len(self.sides.verdicts),
            )
