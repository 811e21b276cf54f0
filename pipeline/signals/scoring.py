"""The last stage: judge each measurement, and send a signal when there is something to say.

When: a rise in level at once; a fall, or no change, at most once per `emit_interval_s` of event time;
unchanged NONE at most once per `none_interval_s`; the first of a symbol at once. "Rise" and "unchanged" are
against the level that was last sent: a fall that was held back has not been heard of by anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from pipeline.contract import ALERTS, CRITICAL, FUNDING, INPUTS, LIQUIDATIONS, OPEN_INTEREST, SIGNALS
from pipeline.features.measurements import silence
from pipeline.features.stage import Stage
from pipeline.features.state import SHARED
from pipeline.features.states import effective
from pipeline.messages import Control, FeedStatus, Liquidation, micros
from pipeline.signals import levels
from pipeline.signals.joins import Joiner
from pipeline.signals.message import build_signal
from pipeline.signals.score import judge, judge_unusual
from pipeline.signals.scoring_state import SharedState, SymbolState
from pipeline.signals.weights import WeightSet, name_weights, read_weights

if TYPE_CHECKING:
    from pipeline.features.event import Event
    from pipeline.features.habits import Habits
    from pipeline.features.measurements import Measurement, VolatilityReading
    from pipeline.features.states import States
    from pipeline.messages import Context
    from pipeline.signals.joins import Joined
    from pipeline.signals.profile import Profile
    from pipeline.signals.score import Verdict

_COUNTED: Final = frozenset((LIQUIDATIONS, OPEN_INTEREST, FUNDING))
"""Topics whose records are skipped by offset in the symbol's state; prices, contexts and control order
themselves by time."""


class ScoringStage(Stage[Any]):
    """Join, score and judge every measurement; state of the market under `SHARED`, the rest by symbol."""

    table: ClassVar[str] = "scoring"
    topics: ClassVar[frozenset[str]] = frozenset(INPUTS)
    marked: ClassVar[frozenset[str]] = _COUNTED

    def __init__(self, profile: Profile) -> None:
        score = profile.score
        self._profile = profile.name
        self._constants = score
        self._grace = micros(profile.velocity.grace_s)
        self._memory = micros(score.memory_s)
        self._span = profile.velocity.spans[-1]
        self._emit_interval = micros(score.emit_interval_s)
        self._none_interval = micros(score.none_interval_s)
        self._joiner = Joiner(
            own=read_weights(score.weights),
            context_lifetime=micros(score.context_lifetime_s),
            open_interest_lifetime=micros(score.open_interest_lifetime_s),
            funding_lifetime=micros(score.funding_lifetime_s),
        )

    def new(self, key: str) -> SharedState | SymbolState:
        """Return the state of a key that nothing is known about."""
        return (
            SharedState(self._memory, self._span)
            if key == SHARED
            else SymbolState(self._memory, self._constants.habits)
        )

    def current_weights(self, states: States[Any]) -> dict[str, float]:
        """Return the newest weights by component name."""
        shared: SharedState = states.get(SHARED)
        return name_weights(shared.weights or self._joiner.own)

    def step(self, event: Event, states: States[Any]) -> None:
        """Take what the event says about market and positioning, and judge what was measured."""
        if event.topic in _COUNTED:
            self._fold_counted(event, states)
            return
        newer = event.context is not None and self._take_context(event.context, states)
        if isinstance(event.message, Control):
            self._take_control(event.message, states)
        elif isinstance(event.message, FeedStatus):
            self._take_feed_status(event, event.message, states)
        news = event.volatility is not None and self._take_price(event.volatility, event.symbol, states)
        for measured in event.measurements:
            self._fold_tick(event, measured, states, news=news)
        if newer:
            self._tick_others(event, states)

    def _fold_counted(self, event: Event, states: States[Any]) -> None:
        shared: SharedState = states.get(SHARED)
        state: SymbolState | None = states.open(event, shared.contexts.newest)
        if state is None:
            return
        if event.positioning is not None:
            time = max(event.positioning.time, state.readings.newest)
            state.readings.add(time, event.positioning, max(state.clock, shared.horizon))
            state.joined = None
            if state.habits is not None:
                state.habits.positioned(event.positioning)
        for measured in event.measurements:
            if state.habits is not None and isinstance(event.message, Liquidation):
                state.habits.liquidated(measured.clock, event.message)
            self._judge(event, measured, state, shared)

    def _fold_tick(self, event: Event, measured: Measurement, states: States[Any], *, news: bool) -> None:
        """Judge what no liquidation led to: only if time has moved, so that repeats change nothing.

        Or if the price is `news` to its symbol's habits, and a context has moved the clock that far before.
        """
        state: SymbolState = states.get(measured.symbol)
        told = measured.trigger == "price"
        moved = measured.clock > state.clock and (told or state.level > levels.NONE)
        if moved or (news and told and measured.clock == state.clock):
            market_time = states.get(SHARED).contexts.newest
            time = effective(event.time, market_time) if told else 0
            state = states.change(measured.symbol, time)
            self._judge(event, measured, state, states.get(SHARED))

    def _tick_others(self, event: Event, states: States[Any]) -> None:
        """Judge the symbols above NONE that nothing else has moved so far: their level has to come down."""
        shared: SharedState = states.get(SHARED)
        for symbol, state in states.active():
            if state.clock < shared.horizon:
                measured = silence(symbol, shared.horizon, state.event_time)
                self._judge(event, measured, states.change(symbol), shared)

    def _take_context(self, context: Context, states: States[Any]) -> bool:
        """Take a context, and tell whether it is newer: the partition of the reference hears each twice."""
        shared: SharedState = states.get(SHARED)
        time = micros(context.timestamp)
        if time <= shared.contexts.newest:
            return False
        states.change(SHARED)
        shared.revision += 1
        shared.horizon = time - self._grace
        shared.contexts.add(time, context, shared.horizon)
        shared.feeds.forget(shared.horizon)
        return True

    def _take_price(self, reading: VolatilityReading, symbol: str, states: States[Any]) -> bool:
        """Let a price that counts become a habit of its symbol; tell whether it is news to that."""
        if self._constants.habits is None:
            return False
        time = effective(reading.time, states.get(SHARED).contexts.newest)
        state: SymbolState = states.change(symbol, time)
        habits: Habits = state.habits  # type: ignore[assignment]  # as the constants say
        return habits.priced(reading.time, reading.price, anew=reading.anew)

    def _take_control(self, control: Control, states: States[Any]) -> None:
        """Put weights in force from their timestamp on; what is older by (timestamp, version) is ignored."""
        shared: SharedState = states.get(SHARED)
        known = shared.weight_sets
        time = micros(control.timestamp)
        if known.values and (time, control.version) <= (known.newest, known.values[-1].version):
            return
        states.change(SHARED)
        shared.revision += 1
        values = None if control.weights is None else read_weights(control.weights)
        known.add(time, WeightSet(control.version, values), shared.horizon)

    def _take_feed_status(self, event: Event, status: FeedStatus, states: States[Any]) -> None:
        """Note that a venue's stream has fallen silent, or is back."""
        shared: SharedState | None = states.open(event)
        if shared is None:
            return
        shared.revision += 1
        shared.feeds.take(status)
        shared.feeds.forget(max(shared.horizon, event.time - self._memory))

    def _judge(self, event: Event, measured: Measurement, state: SymbolState, shared: SharedState) -> None:
        clock = state.clock = max(measured.clock, state.clock, shared.horizon)
        state.event_time = measured.event_time
        due = self._is_due(state)
        if not due and (state.level == levels.EXTREME or (state.habits is None and not measured.recent)):
            return  # no level is above EXTREME, and without liquidations it is NONE
        joined = state.joined
        if joined is None or clock >= joined.until or state.revision != shared.revision:
            joined = self._joiner.join(
                clock, shared.contexts, state.readings, shared.weight_sets, shared.feeds
            )
            state.joined, state.revision = joined, shared.revision
        if state.habits is None:
            verdict = judge(measured, joined, self._constants)
        else:
            state.habits.advance(clock)
            unusual = state.habits.measure(joined.oi_change, joined.funding_rate)
            verdict = judge_unusual(unusual, joined, self._constants)
        if due or verdict.level > state.level:
            self._send(event, measured, joined, verdict, state)

    def _is_due(self, state: SymbolState) -> bool:
        """Tell whether a signal may be sent that brings no rise."""
        interval = self._none_interval if state.level == levels.NONE else self._emit_interval
        return not state.sequence or state.clock - state.sent >= interval

    def _send(
        self, event: Event, measured: Measurement, joined: Joined, verdict: Verdict, state: SymbolState
    ) -> None:
        state.level, state.sent = verdict.level, state.clock
        state.sequence += 1
        signal = build_signal(
            measured, joined, verdict, clock=state.clock, sequence=state.sequence, profile=self._profile
        )
        event.send(SIGNALS, signal.symbol, signal)
        if verdict.level >= levels.ALERT:
            event.send(ALERTS, signal.symbol, signal)
        if verdict.level >= levels.CRITICAL:
            event.send(CRITICAL, signal.symbol, signal)
