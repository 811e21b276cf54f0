"""How fast the liquidations of a symbol come, and how that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeAlias

from msgspec import Meta, Struct

from pipeline import contract
from pipeline.features.correlation import Venues
from pipeline.features.duplicates import Duplicates
from pipeline.features.measurements import Measurement, Trigger
from pipeline.features.stage import Stage
from pipeline.features.state import SHARED
from pipeline.features.velocity_state import Market, VelocityState
from pipeline.features.velocity_update import create_update
from pipeline.features.windows import Windows
from pipeline.messages import micros, seconds

if TYPE_CHECKING:
    from pipeline.features.event import Event
    from pipeline.features.states import States
    from pipeline.messages import Context

Span: TypeAlias = Annotated[float, Meta(ge=0.001, le=300)]
_NAMED: Final = (10, 30, 60, 300)


class VelocityConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Constants of the velocity measurement.

    Attributes
    ----------
    windows_s
        Lengths of the sliding windows in seconds. The last four are what the messages name them.
    grace_s
        How far prices and the market's context may lead liquidations without moving a symbol's clock.
    correlation_s, correlation_least_s, correlation_venues
        One-second counts that venues are compared over; in how many of them a venue must have events; the
        most venues of a symbol that are kept apart.
    repeat_s, repeats_remembered
        How long a liquidation is remembered to recognise its repeats, and how many are, at most.
    publish_s
        The least time between two updates of a symbol.

    """

    windows_s: tuple[Span, Span, Span, Span, Span, Span, Span] = (0.1, 0.5, 2, 10, 30, 60, 300)
    grace_s: Annotated[float, Meta(ge=0, le=60)] = 3.0
    correlation_s: Annotated[int, Meta(ge=3, le=60)] = 60
    correlation_least_s: Annotated[int, Meta(ge=2, le=60)] = 3
    correlation_venues: Annotated[int, Meta(ge=2, le=16)] = 16
    repeat_s: Annotated[float, Meta(gt=0, le=60)] = 60.0
    repeats_remembered: Annotated[int, Meta(ge=1, le=4_096)] = 4_096
    publish_s: Annotated[float, Meta(ge=0, le=60)] = 1.0

    def __post_init__(self) -> None:
        if self.windows_s[3:] != _NAMED or sorted(set(self.windows_s)) != list(self.windows_s):
            raise ValueError(f"windows_s: expected three rising lengths below 10, then {_NAMED}")
        Windows(self.spans)

    @property
    def spans(self) -> list[int]:
        """The lengths of the windows in microseconds."""
        return [micros(length) for length in self.windows_s]


class VelocityStage(Stage[Any]):
    """Measure liquidations: the state of each symbol, and under `SHARED` the market's context.

    A symbol's clock is the largest of its newest liquidation, its newest price less the grace, and the
    newest context less the grace. The grace keeps a price feed that leads from emptying the short windows.
    """

    table: ClassVar[str] = "velocity"
    topics: ClassVar[frozenset[str]] = frozenset((contract.LIQUIDATIONS, contract.PRICES, contract.CONTEXT))
    marked: ClassVar[frozenset[str]] = frozenset((contract.LIQUIDATIONS, contract.PRICES))

    def __init__(self, constants: VelocityConstants) -> None:
        self._constants = constants
        self._grace = micros(constants.grace_s)
        self._interval = micros(constants.publish_s)
        _, burst, short, base, *_ = constants.windows_s
        self._burst_s, self._short_s, self._base_s = burst, short, base
        # Seconds between the centres of windows, and between the centres of those distances.
        self._burst_to_short = (short - burst) / 2
        self._short_to_base = (base - short) / 2
        self._between = (base - burst) / 4

    def new(self, key: str) -> VelocityState | Market:
        """Return the state of a symbol without liquidations, or of a market without context."""
        constants = self._constants
        if key == SHARED:
            return Market()
        return VelocityState(
            key,
            Windows(constants.spans),
            Venues(constants.correlation_s, constants.correlation_least_s, constants.correlation_venues),
            Duplicates(micros(constants.repeat_s), constants.repeats_remembered),
        )

    def market_time(self, states: States[Any]) -> int:
        """Return the time of the newest context, in microseconds."""
        market: Market = states.get(SHARED)
        return market.time

    def step(self, event: Event, states: States[Any]) -> None:
        """Fold a liquidation, or let a price or a context move clocks."""
        if event.topic == contract.LIQUIDATIONS:
            self._fold(event, states)
        elif event.topic == contract.PRICES:
            self._price(event, states)
        if event.context is not None:
            self._context(event, event.context, states)

    def _fold(self, event: Event, states: States[Any]) -> None:
        market: Market = states.get(SHARED)
        state: VelocityState | None = states.open(event, market.time)
        if state is None:
            return
        clock = max(state.clock, event.time, market.time - self._grace)
        if state.fold(event.message, event.time, clock):  # type: ignore[arg-type]  # of that topic
            self._measure(event, state, market, "liquidation")

    def _price(self, event: Event, states: States[Any]) -> None:
        market: Market = states.get(SHARED)
        state: VelocityState | None = states.open(event, market.time)
        if state is None:
            return
        clock, newer = max(event.time, market.time) - self._grace, event.time > state.event_time
        state.event_time = max(state.event_time, event.time)
        if state.advance(clock) or (newer and clock == state.clock):  # that far a context has moved it before
            self._measure(event, state, market, "price")

    def _context(self, event: Event, context: Context, states: States[Any]) -> None:
        time = micros(context.timestamp)
        if time <= states.get(SHARED).time:
            return
        market: Market = states.change(SHARED)
        market.set(context)
        clock = time - self._grace
        for symbol, state in states.active():
            if clock > state.clock:
                states.change(symbol)
                state.advance(clock)
                self._measure(event, state, market, "context")

    def _measure(self, event: Event, state: VelocityState, market: Market, trigger: Trigger) -> None:
        """Note a measurement on the event, and send an update when one is due.

        velocity = events in 10 s / 10; acceleration over windows a < b = (velocity a - velocity b) /
        ((b - a) / 2), the distance between their centres: of 2 s and 10 s. jerk = (acceleration of 0.5 s and
        2 s - acceleration of 2 s and 10 s) / 2.375 s, the distance between the centres of those.
        """
        windows, clock = state.windows, state.clock
        count, long_cents, short_cents = windows.base.totals(clock)
        velocity = count / self._base_s
        short = windows.short.count(clock) / self._short_s
        burst = windows.burst.count(clock) / self._burst_s
        acceleration = (short - velocity) / self._short_to_base
        found = Measurement(
            state.symbol,
            trigger,
            clock,
            state.event_time,
            velocity,
            acceleration,
            ((burst - short) / self._burst_to_short - acceleration) / self._between,
            (long_cents + short_cents) / 100 / self._base_s,
            state.recent,
            state.venues.correlation(),
            state.venues.leader,
        )
        event.measurements.append(found)
        if clock >= state.publish_from:
            self._publish(event, state, market, found)

    def _publish(self, event: Event, state: VelocityState, market: Market, found: Measurement) -> None:
        """Send an update unless all that it would tell is what the last one told."""
        last = state.published
        update = create_update(state, market, found)
        if last is not None:
            update.timestamp, update.sequence = last.timestamp, last.sequence
            if update == last:
                return
        update.timestamp = seconds(found.clock)
        update.sequence += 1
        state.published = update
        state.publish_from = found.clock + self._interval
        event.send(contract.VELOCITY, state.symbol, update)
