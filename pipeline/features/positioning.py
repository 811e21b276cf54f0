"""The positioning stage: open interest and funding in, their state over all venues out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from msgspec import Meta, Struct

from pipeline.contract import FUNDING, OPEN_INTEREST, POSITIONING
from pipeline.features.funding import FundingRates
from pipeline.features.measurements import PositioningReading
from pipeline.features.open_interest import OpenInterests, VenueConstants
from pipeline.features.stage import Stage
from pipeline.features.state import State
from pipeline.messages import SECOND, Funding, OpenInterest, PositioningUpdate, rounded_if_known, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.features.event import Event
    from pipeline.features.states import States


class PositioningConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How open interest and funding are joined and sent.

    Attributes
    ----------
    venues
        How they are joined over venues.
    refresh_s
        Seconds after which an unchanged state is sent again, lest its Redis keys expire.

    """

    venues: VenueConstants = VenueConstants()
    refresh_s: Annotated[int, Meta(ge=1, le=359)] = 60


SEED: Final = PositioningConstants()
_CONCERNED: Final = (OpenInterest, Funding)


class PositioningState(State):
    """What is known of one symbol's positioning.

    Attributes
    ----------
    ignored
        How many values were too old, or of a venue too many.

    """

    __slots__ = ("_funding", "_open_interest", "_refresh", "_sent", "_sent_second", "_sequence", "ignored")

    def __init__(self, constants: PositioningConstants) -> None:
        super().__init__()
        self._refresh = constants.refresh_s
        self._open_interest = OpenInterests(constants.venues)
        self._funding = FundingRates(constants.venues)
        self._sent: tuple[float | None, ...] = ()  # what the last message said
        self._sent_second = 0
        self._sequence = 0
        self.ignored = 0

    @property
    def skipped(self) -> Mapping[str, int]:
        """Values of open interest and funding that were ignored."""
        return {"ignored_positioning": self.ignored}

    def fold(self, event: Event, message: OpenInterest | Funding) -> None:
        """Take a value; note the reading on the event, and send it when it is news.

        A value that is too old, or of a venue too many, changes nothing and leaves no reading.
        """
        if isinstance(message, OpenInterest):
            taken = self._open_interest.add(message.exchange, event.time, message.open_interest_usd)
        else:
            taken = self._funding.add(message.exchange, event.time, message.rate)
        if taken:
            event.positioning = reading = self._read()
            self._publish(event, reading)
        else:
            self.ignored += 1

    def _read(self) -> PositioningReading:
        open_interest, funding = self._open_interest, self._funding
        return PositioningReading(
            time=max(open_interest.time or 0, funding.time or 0),
            open_interest_usd=open_interest.total(),
            change_1m=open_interest.change_1m(),
            change_5m=open_interest.change_5m(),
            rate=funding.mean(open_interest),
            open_interest_time=open_interest.time,
            funding_time=funding.time,
        )

    def _publish(self, event: Event, reading: PositioningReading) -> None:
        """Send what changed, at most once a second; what did not change, now and then."""
        content = (reading.open_interest_usd, reading.change_1m, reading.change_5m, reading.rate)
        second = reading.time // SECOND
        waited = second - self._sent_second
        if waited < self._refresh and (waited < 1 or content == self._sent):
            return
        self._sequence += 1
        self._sent, self._sent_second = content, second
        update = PositioningUpdate(
            event.symbol,
            seconds(reading.time),
            rounded_if_known(reading.open_interest_usd, 2),
            rounded_if_known(reading.change_1m, 6),
            rounded_if_known(reading.change_5m, 6),
            rounded_if_known(reading.rate, 8),
            self._sequence,
        )
        event.send(POSITIONING, event.symbol, update)

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return [
            self._open_interest.freeze(),
            self._funding.freeze(),
            self._sent,
            self._sent_second,
            self._sequence,
            self.ignored,
        ]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        open_interest, funding, sent, self._sent_second, self._sequence, self.ignored = frozen
        self._open_interest.thaw(open_interest)
        self._funding.thaw(funding)
        self._sent = tuple(sent)


class PositioningStage(Stage[PositioningState]):
    """Fold open interest and funding into the positioning of their symbol; note it, and send it."""

    table: ClassVar[str] = "positioning"
    topics: ClassVar[frozenset[str]] = frozenset((OPEN_INTEREST, FUNDING))
    marked: ClassVar[frozenset[str]] = topics

    def __init__(self, constants: PositioningConstants = SEED) -> None:
        self._constants = constants

    def new(self, key: str) -> PositioningState:  # noqa: ARG002
        """Return the state of a symbol without data."""
        return PositioningState(self._constants)

    def step(self, event: Event, states: States[PositioningState]) -> None:
        """Fold a value; other messages are none of this stage's concern."""
        message = event.message
        if not isinstance(message, _CONCERNED):
            return
        state = states.open(event)
        if state is not None:
            state.fold(event, message)
