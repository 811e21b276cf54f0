"""The whole topology without a broker: the stages in their order, and `Engine`.

The Faust agents run exactly these steps; replay, backtest and tests run them through `Engine`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from msgspec import Struct

from pipeline import codec, contract
from pipeline.features.event import TOLD, Event, Output
from pipeline.features.positioning import PositioningStage
from pipeline.features.reading import Record, create_event, read, refuse
from pipeline.features.roster import MOST_SYMBOLS, Roster
from pipeline.features.states import States
from pipeline.features.velocity import VelocityStage
from pipeline.features.volatility import VolatilityStage
from pipeline.messages import Signal, micros
from pipeline.signals.profile import SEED, Profile
from pipeline.signals.regime import RegimeStage
from pipeline.signals.scoring import ScoringStage
from pipeline.signals.statistics import Statistics, StatisticsReport

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pipeline.features.stage import Stage
    from pipeline.messages import Incoming

__all__ = ["Engine", "Output", "create_stages"]


_LARGEST_OFFSET: Final = 2**63 - 1
"""Kafka's offsets are 64-bit integers."""
Stages: TypeAlias = tuple[PositioningStage, VolatilityStage, RegimeStage, VelocityStage, ScoringStage]


def create_stages(profile: Profile) -> Stages:
    """Return the stages in the order in which an event passes through them."""
    return (
        PositioningStage(profile.positioning),
        VolatilityStage(profile.volatility),
        RegimeStage(profile.reference, profile.regime),
        VelocityStage(profile.velocity),
        ScoringStage(profile),
    )


class EngineSnapshot(Struct, array_like=True):
    """The stored form of an engine: read positions by topic, states by table and key."""

    offsets: dict[str, int]
    tables: dict[str, dict[str, bytes]]
    profile: str


class Engine:
    """Run the whole topology over records handed in one by one: no broker, no Redis, no clock.

    Parameters
    ----------
    profile
        The constants of every stage.
    max_symbols
        How many symbols are kept, besides the reference symbol; records of others become dead letters.
    beside
        Further profiles that measure as `profile` does: what is measured once, each scores by itself. Their
        signals come after its own, and name their profile. No snapshot can be taken then.
    told
        The topics (or the topic) whose messages are wanted, by default all: others are not made, but for dead
        letters.

    Raises
    ------
    ValueError
        A profile of `beside` measures otherwise, or `told` names something else than topics out.

    Examples
    --------
    >>> engine = Engine()
    >>> outputs = engine.process("liquidations", {
    ...     "symbol": "BTCUSDT", "exchange": "binance", "side": "long", "price": 60_000.0,
    ...     "quantity": 0.5, "timestamp": 1_700_000_000.0})
    >>> [output.topic for output in outputs]
    ['cascade.velocity', 'cascade.signals']

    """

    def __init__(
        self,
        profile: Profile = SEED,
        *,
        max_symbols: int = MOST_SYMBOLS,
        beside: Sequence[Profile] = (),
        told: str | Collection[str] = TOLD,
    ) -> None:
        if any(other.measuring != profile.measuring for other in beside):
            raise ValueError(f"beside: expected profiles that measure as {profile.name!r} does")
        self._told = frozenset([told] if isinstance(told, str) else told)
        if unknown := self._told - TOLD:
            raise ValueError(f"told: no topics out: {', '.join(sorted(unknown))}")
        self.profile = profile
        self._max_symbols = max_symbols
        self._beside = [(stage, States(stage.new)) for stage in map(ScoringStage, beside)]
        self._statistics = Statistics()
        self._offsets: dict[str, int] = {}
        self._build({})

    def _build(self, stored: Mapping[str, Mapping[str, bytes]]) -> None:
        self._stored = {table: dict(stored.get(table, {})) for table in contract.TABLES}
        self._stages = create_stages(self.profile)
        self._steps: list[tuple[Stage[Any], States[Any]]] = [
            (stage, States(stage.new, self._stored[stage.table])) for stage in self._stages
        ]
        self._all = [*self._steps, *self._beside]
        known = [key for table in self._stored.values() for key in table]
        self._roster = Roster(self._max_symbols, self.profile.reference, known)

    def process(
        self,
        topic: str,
        value: str | bytes | bytearray | memoryview | Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        offset: int | None = None,
    ) -> list[Output]:
        """Process one record and return what it leads to, in order.

        Parameters
        ----------
        topic
            One of `contract.INPUTS`.
        value
            The record's value: JSON as text or bytes, or what Python's json would make of it.
        offset
            The record's offset; by default one more than the topic's last. Records at or below an offset
            that a symbol's state has applied are repeats and change nothing.

        Raises
        ------
        ValueError
            The topic is not an input of the pipeline, or the offset is none.

        """
        self._check(topic)
        record = Record(topic, codec.as_json(value), self._next(topic, offset))
        events, letters = read(record, keyed=False)
        if events and not self._roster.admits(events[0].symbol):
            return [*letters, refuse(record, self._roster.objection)]
        return letters + [output for found in events for output in self._run(found)]

    def feed(self, topic: str, message: Incoming) -> list[Output]:
        """Process one message that was validated already; otherwise as `process`."""
        self._check(topic)
        found = create_event(topic, message, self._next(topic, None))
        if not self._roster.admits(found.symbol):
            record = Record(topic, codec.encode(message), found.offset)
            return [refuse(record, self._roster.objection)]
        return self._run(found)

    @property
    def statistics(self) -> StatisticsReport:
        """What was sent so far, and the weights in force; not part of the state that `snapshot` returns."""
        self._statistics.current_weights = self._stages[-1].current_weights(self._steps[-1][1])
        return self._statistics.report()

    def skipped(self) -> Counter[str]:
        """Count the messages that were read and changed nothing, over all symbols, by what was wrong.

        `late_liquidations`, `repeated_liquidations`, `forgotten_liquidations` (too many to tell all of their
        repeats), `late_prices`, `doubted_prices`, `ignored_positioning`. Part of the state.
        """
        found: Counter[str] = Counter()
        for _, states in self._steps:
            for state in states.all():
                found.update(state.skipped)
        return found

    def snapshot(self) -> bytes:
        """Return all state as bytes, for `restore`.

        Raises
        ------
        ValueError
            There are profiles beside the first.

        """
        if self._beside:
            raise ValueError("beside: there is no snapshot of several profiles")
        for stage, states in self._steps:
            self._stored[stage.table].update(states.take_snapshots())
        return codec.pack(EngineSnapshot(self._offsets, self._stored, self.profile.name))

    @classmethod
    def restore(cls, data: bytes, profile: Profile = SEED, *, max_symbols: int = MOST_SYMBOLS) -> Self:
        """Return an engine that goes on where `snapshot` was taken.

        Raises
        ------
        msgspec.DecodeError
            The bytes are no snapshot of an engine.
        ValueError
            It was taken under a profile of another name.

        """
        stored = _read_engine(data)
        if stored.profile != profile.name:
            raise ValueError(f"a snapshot of profile {stored.profile!r} cannot go on under {profile.name!r}")
        engine = cls(profile, max_symbols=max_symbols)
        engine._offsets = stored.offsets
        engine._build(stored.tables)
        return engine

    def _check(self, topic: str) -> None:
        if topic not in contract.INPUTS:
            raise ValueError(f"{topic!r} is no input: expected one of {', '.join(contract.INPUTS)}")

    def _next(self, topic: str, offset: int | None) -> int:
        if offset is None:
            offset = self._offsets.get(topic, -1) + 1
        if not 0 <= offset <= _LARGEST_OFFSET:
            raise ValueError("offset: expected 0 to 2**63 - 1")
        self._offsets[topic] = max(offset, self._offsets.get(topic, -1))
        return offset

    def _run(self, found: Event) -> list[Output]:
        found.told = self._told
        for stage, states in self._all:
            stage.step(found, states)
        if found.context is not None:
            self._forget(micros(found.context.timestamp))
        for output in found.outputs:
            if output.topic == contract.SIGNALS and isinstance(output.body, Signal):
                self._statistics.add(output.body)
        return found.outputs

    def _forget(self, market_time: int) -> None:
        """Drop symbols that have been idle for so long that their next record begins anew."""
        dropped = [states.forget(market_time, self._ends) for _, states in self._all]
        if any(dropped):
            idle = set().union(*dropped)
            self._roster.forget(key for key in idle if not any(key in states for _, states in self._all))

    def _ends(self) -> dict[str, int]:
        return {topic: offset + 1 for topic, offset in self._offsets.items()}


_read_engine: Final = codec.unpacker(EngineSnapshot)
