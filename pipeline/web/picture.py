"""What a worker has lately sent: the newest of each symbol, its past, the newest signals."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from pipeline.messages import (
    LEVELS,
    PositioningUpdate,
    RegimeUpdate,
    Signal,
    VelocityUpdate,
    VolatilityUpdate,
)
from pipeline.signals.explanation import contributions
from pipeline.web.history import History, Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pipeline.messages import Outgoing

NEWEST: Final = 500
"""Signals that are kept of each level, and changes of level."""
MOST_HISTORIES: Final = 500
"""Symbols whose past a worker keeps, at most 1 MiB each; those above NONE come first."""
_BETWEEN: Final = 1.0
"""Seconds between two moments of a symbol's past, unless the probability rises."""


class SymbolPicture:
    """The newest messages of one symbol, and its past."""

    __slots__ = ("history", "kept", "partition", "positioning", "signal", "since", "velocity", "volatility")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.signal: Signal | None = None
        self.since = 0.0
        self.kept = 0.0
        self.velocity: VelocityUpdate | None = None
        self.volatility: VolatilityUpdate | None = None
        self.positioning: PositioningUpdate | None = None
        self.history: History | None = None

    @property
    def level(self) -> int:
        """The level of the newest signal, 0 (NONE) before the first."""
        return 0 if self.signal is None else self.signal.signal_level

    def moment(self, signal: Signal, weights: Mapping[str, float]) -> Moment:
        """Return the symbol as a signal shows it."""
        velocity, metrics = self.velocity, signal.metrics
        return Moment(
            signal.timestamp,
            None if self.volatility is None else self.volatility.price,
            signal.probability,
            signal.signal_level,
            metrics.velocity,
            metrics.acceleration,
            metrics.volume_usd,
            None if velocity is None else velocity.velocity_60s,
            None if velocity is None else velocity.velocity_300s,
            None if velocity is None else velocity.long_value_usd,
            None if velocity is None else velocity.short_value_usd,
            tuple(contributions(signal, weights).values()),
        )


class Picture:
    """What was sent for the partitions that the worker has.

    Attributes
    ----------
    weights
        Returns the weights that are in force on a partition, by component.
    symbols
        By name.
    regime
        The market regime, if the reference symbol is among them.
    unread
        Partitions of which what was sent before the worker had them is not known yet.
    by_level, changes
        The newest signals of each level, and those with which a level changed.

    """

    weights: Callable[[int], Mapping[str, float]]

    def __init__(self) -> None:
        self.symbols: dict[str, SymbolPicture] = {}
        self.regime: RegimeUpdate | None = None
        self.regimes: deque[RegimeUpdate] = deque(maxlen=NEWEST)
        self._regime_partition = -1
        self.by_level: tuple[deque[Signal], ...] = tuple(deque(maxlen=NEWEST) for _ in LEVELS)
        self.changes: deque[Signal] = deque(maxlen=NEWEST)
        self._kept: dict[str, SymbolPicture] = {}
        self._partitions: set[int] = set()
        self.unread: set[int] = set()

    def take(self, partition: int, body: Outgoing) -> None:
        """Take a message that is sent for a partition."""
        if isinstance(body, Signal):
            self._signal(partition, body)
        elif isinstance(body, VelocityUpdate):
            self._of(partition, body.symbol).velocity = body
        elif isinstance(body, VolatilityUpdate):
            self._of(partition, body.symbol).volatility = body
        elif isinstance(body, PositioningUpdate):
            self._of(partition, body.symbol).positioning = body
        elif isinstance(body, RegimeUpdate):
            self._regime(partition, body)

    def keep(self, partitions: Collection[int]) -> set[int]:
        """Forget what was sent for other partitions; return those partitions whose past is not known."""
        self.unread = set(partitions) - (self._partitions - self.unread)
        self._partitions = set(partitions)
        self._forget_others()
        return set(self.unread)

    def forget(self, symbols: Iterable[str]) -> None:
        """Show symbols no more that there is no state of any more."""
        for name in symbols:
            self.symbols.pop(name, None)
            self._kept.pop(name, None)

    def _forget_others(self) -> None:
        self.symbols = {
            name: each for name, each in self.symbols.items() if each.partition in self._partitions
        }
        for ring in (*self.by_level, self.changes):
            own = [signal for signal in ring if signal.symbol in self.symbols]
            ring.clear()
            ring.extend(own)
        if self._regime_partition not in self._partitions:
            self.regime = None
            self.regimes.clear()
        kept = [(name, each) for name, each in self.symbols.items() if each.history is not None]
        kept.sort(key=lambda item: (item[1].level, item[1].kept), reverse=True)
        for _, each in kept[MOST_HISTORIES:]:
            each.history = None
        self._kept = dict(kept[:MOST_HISTORIES])

    def newest(self, least: int, symbol: str | None, most: int, *, changes: bool) -> list[Signal]:
        """Return the newest signals from a level up, newest first."""
        found = self.changes if changes else [each for kept in self.by_level[least:] for each in kept]
        wanted = [each for each in found if each.signal_level >= least and symbol in (None, each.symbol)]
        return sorted(wanted, key=in_time, reverse=True)[:most]

    async def put_before(self, earlier: Picture) -> None:
        """Take over what was read of the time before."""
        for name, past in earlier.symbols.items():
            self.symbols[name] = _joined(past, self.symbols.get(name))
            await asyncio.sleep(0)  # a long past takes its time: others have their turn
        for kept, before in zip(self._rings, earlier._rings, strict=True):
            _fill_up(kept, before)
        self._leave_out_repeats()
        if self.regime is None:
            self.regime, self._regime_partition = earlier.regime, earlier._regime_partition
        self._forget_others()
        self.unread -= earlier._partitions

    def _leave_out_repeats(self) -> None:
        """Drop first signals that counted as changes, until what was before told that they are none."""
        levels: dict[str, int] = {}
        for signal in list(self.changes):
            if levels.get(signal.symbol) == signal.signal_level:
                self.changes.remove(signal)
            levels[signal.symbol] = signal.signal_level

    @property
    def _rings(self) -> list[deque[Any]]:
        return [*self.by_level, self.changes, self.regimes]

    def _of(self, partition: int, symbol: str) -> SymbolPicture:
        known = self.symbols.get(symbol)
        if known is None:
            known = self.symbols[symbol] = SymbolPicture(partition)
        return known

    def _signal(self, partition: int, signal: Signal) -> None:
        known = self._of(partition, signal.symbol)
        before = known.signal
        if before is not None and (signal.timestamp, signal.sequence) <= (before.timestamp, before.sequence):
            return  # sent again after a rebalance or a crash
        known.signal = signal
        self.by_level[signal.signal_level].append(signal)
        if before is None or before.signal_level != signal.signal_level:
            known.since = signal.timestamp
            if before is not None or signal.signal_level:
                self.changes.append(signal)
        elif signal.timestamp - known.kept < _BETWEEN and signal.probability <= before.probability:
            return
        known.kept = signal.timestamp
        if known.history is None and self._has_room(signal):
            known.history = History()
            self._kept[signal.symbol] = known
        if known.history is not None:
            known.history.add(known.moment(signal, self.weights(known.partition)))

    def _has_room(self, signal: Signal) -> bool:
        """Tell whether a symbol's past can be kept: for one above NONE a quiet one gives up its own."""
        if len(self._kept) < MOST_HISTORIES:
            return True
        quiet = [each for each in self._kept.values() if each.level == 0] if signal.signal_level else []
        if not quiet:
            return False
        longest = min(quiet, key=lambda each: each.since)
        longest.history = None
        self._kept = {name: each for name, each in self._kept.items() if each is not longest}
        return True

    def _regime(self, partition: int, update: RegimeUpdate) -> None:
        self.regime, self._regime_partition = update, partition
        if update.regime_changed or not self.regimes:
            self.regimes.append(update)


def _joined(past: SymbolPicture, now: SymbolPicture | None) -> SymbolPicture:
    """Return a symbol with what was read of the time before put before what was sent since."""
    if now is None:
        return past
    if now.history is None:
        now.history = past.history
    elif past.history is not None:
        since = now.history.since(0.0)
        earlier = [moment for moment in past.history.since(0.0) if moment.time < since[0].time]
        now.history = History([*earlier, *since])
    if now.signal is None:
        now.signal, now.since, now.kept = past.signal, past.since, past.kept
    elif past.signal is not None and past.level == now.level:
        now.since = min(now.since, past.since)
    now.velocity = now.velocity or past.velocity
    now.volatility = now.volatility or past.volatility
    now.positioning = now.positioning or past.positioning
    return now


def _fill_up(kept: deque[Any], before: Iterable[Any]) -> None:
    """Put older messages before those that are kept, as far as there is room."""
    known = {(each.symbol, each.sequence) for each in kept}
    older = [each for each in before if (each.symbol, each.sequence) not in known]
    room = (kept.maxlen or 0) - len(kept)
    kept.extendleft(reversed(older[len(older) - room :] if room < len(older) else older))


def in_time(signal: Signal) -> tuple[float, str, int]:
    """Return what signals of several symbols are ordered by."""
    return signal.timestamp, signal.symbol, signal.sequence
