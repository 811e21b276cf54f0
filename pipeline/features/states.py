"""The states of a stage by key: live ones, their snapshots, and which may be forgotten."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from msgspec import Struct

from pipeline import codec
from pipeline.features.state import SHARED, Order, State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from pipeline.features.event import Event

LIFETIME: Final = 7 * 86_400_000_000
"""Microseconds of a key's own event time without a record after which its state begins anew."""
LATENESS: Final = 86_400_000_000
"""Microseconds of the market's time for which such a state is kept yet: a record may come late."""
_LOOK: Final = 3_600_000_000
"""Microseconds of the market's time from one search for such states to the next."""
_SNAPSHOT_VERSION: Final = 3

S = TypeVar("S", bound=State)


def effective(time: int, market_time: int) -> int:
    """Return when a record counts as having happened where the market moves clocks (microseconds).

    That is at most `LATENESS` before the market: a symbol that is fed its past lives one life meanwhile,
    though its records may lie weeks apart, and nobody can tell whether its state was forgotten in between.
    """
    earliest = market_time - LATENESS
    return time if time > earliest else earliest  # noqa: FURB136 - for each event, and `max` takes longer


class Head(Struct, array_like=True):
    """What can be told of a stored state without restoring it."""

    version: int
    incarnation: int
    position: tuple[int, ...]
    active: bool
    applied: dict[str, tuple[int, int]]
    newest: int

    @property
    def order(self) -> Order:
        """As `State.order`."""
        return self.incarnation, self.position


class Snapshot(Head, array_like=True):
    """The stored form of a state."""

    frozen: Any


H = TypeVar("H", bound=Head)


class Moment(Generic[S]):
    """States as they were at one moment, each packed when it is asked for or about to change.

    So that moment holds nothing up, however many states there are.
    """

    __slots__ = ("_live", "_taken", "waiting")

    def __init__(self, live: Mapping[str, S], keys: set[str]) -> None:
        self._live = live
        self._taken: dict[str, bytes] = {}
        self.waiting = keys

    def take(self, key: str) -> None:
        """Pack one of the states that wait."""
        self.waiting.remove(key)
        self._taken[key] = snapshot(self._live[key])

    def take_some(self, most: int) -> bool:
        """Pack so many of the states that wait, and tell whether there are more."""
        for key in list(islice(self.waiting, most)):
            self.take(key)
        return bool(self.waiting)

    def take_all(self) -> dict[str, bytes]:
        """Return the snapshots of all states."""
        self.take_some(len(self.waiting))
        return self._taken


class States(Generic[S]):
    """The live states of one stage in one partition, and which of them changed since the last snapshot.

    No state ever equals a fresh one again: clocks and running numbers remain. So a rule by event time makes
    it fresh: the first record that comes more than `LIFETIME` after a key's newest finds a new state. Once
    the market is past that, and `LATENESS` more, no record can find the old one, and `forget` drops it.

    Parameters
    ----------
    new
        Returns the state of a key that nothing is known about.
    stored
        Snapshots by key, read when a key is first asked for.
    recreated
        Topics that were made anew: every state that has read one of them reads it from its beginning.

    """

    def __init__(
        self,
        new: Callable[[str], S],
        stored: dict[str, bytes] | None = None,
        recreated: Collection[str] = (),
    ) -> None:
        self._new = new
        self._stored = stored if stored is not None else {}
        self._recreated = frozenset(recreated)
        self._touched: set[str] = set()
        self._moment: Moment[S] = Moment({}, set())
        self._look_from = 0
        self.live: dict[str, S] = {}
        for key, data in self._stored.items():
            head = read_head(data)
            if not self._recreated.isdisjoint(head.applied):
                self.change(key)
            elif head.active:
                self.get(key)

    def __contains__(self, key: str) -> bool:
        return key in self.live or key in self._stored

    def __len__(self) -> int:
        return len((self._stored.keys() | self.live.keys()) - {SHARED})

    def get(self, key: str) -> S:
        """Return the live state of a key, restored or new."""
        state = self.live.get(key)
        if state is None:
            data = self._stored.get(key)
            state = self.live[key] = self._new(key) if data is None else self._restore(key, data)
        return state

    def open(self, event: Event, market_time: int = 0) -> S | None:
        """Return the state that an event is to be folded into; None where its record was folded in already.

        A record is, once the state was opened for its last message.

        Parameters
        ----------
        event
            A message of the key's own, or one for `SHARED`, which has no age: it is never idle.
        market_time
            The market's newest time (microseconds), where that moves the clocks of the stage.

        """
        key, topic, offset = event.symbol, event.topic, event.offset
        applied = (self.live.get(key) or self.get(key)).applied.get(topic)
        if applied is not None and offset <= applied[0]:
            return None
        state = self.change(key, effective(event.time, market_time) if key else 0)
        if event.last:
            state.applied[topic] = offset, event.time
        return state

    def change(self, key: str, time: int = 0) -> S:
        """Return the live state of a key, noting that it is about to change.

        Parameters
        ----------
        key
            Whose state it is.
        time
            When (microseconds) the record happened that changes it, if that is one of the key's own; after
            more than `LIFETIME` without one the state is a new one.

        """
        if key not in self._touched:
            if key in self._moment.waiting:
                self._moment.take(key)
            self._touched.add(key)
        state = self.live.get(key) or self.get(key)
        age = time - state.newest
        if age > LIFETIME:
            return self._begin(key, state, time)
        if age > 0:
            state.newest = time
        return state

    def forget(self, market_time: int, committed: Callable[[], Mapping[str, int]]) -> dict[str, Order]:
        """Drop the states that no record can find any more; return their keys and orders.

        Parameters
        ----------
        market_time
            The market's newest time in microseconds.
        committed
            Returns by topic up to which offset a crash repeats nothing.

        """
        if market_time < self._look_from:
            return {}
        self._look_from = market_time + _LOOK
        horizon, offsets = market_time - LIFETIME - LATENESS, committed()
        heads = ((key, self._head(key)) for key in self._stored.keys() | self.live.keys())
        idle = {
            key: head.order
            for key, head in heads
            if 0 < head.newest < horizon
            and not (head.active or key in self._moment.waiting)
            and all(offset < offsets.get(topic, 0) for topic, (offset, _) in head.applied.items())
        }
        for key in idle:
            self.live.pop(key, None)
            self._stored.pop(key, None)
        self._touched.difference_update(idle)
        return idle

    def active(self) -> Iterator[tuple[str, S]]:
        """Yield the keys and states that want to hear of the market's clock, in the order of their keys.

        So what a context leads to comes in the same order after a restart, which restores them in any.
        """
        keys = sorted(key for key, state in self.live.items() if state.active)
        return iter([(key, self.live[key]) for key in keys])

    def all(self) -> Iterator[S]:
        """Yield every state, live or stored."""
        return map(self.get, sorted(self._stored.keys() | self.live.keys()))

    def take_snapshots(self) -> dict[str, bytes]:
        """Return the snapshots of all states that changed since the last call."""
        return self.moment().take_all()

    def moment(self) -> Moment[S]:
        """Return all states that changed since the last call, as they are now."""
        self._moment.take_all()
        self._moment, self._touched = Moment(self.live, self._touched), set()
        return self._moment

    def _begin(self, key: str, before: S, time: int) -> S:
        """Let a key's state begin at a time; what it has read stays known, as a crash may repeat it."""
        state = before
        if before.newest:
            state = self.live[key] = self._new(key)
            state.applied = before.applied
        state.incarnation = max(time, before.incarnation + 1)
        state.newest = time
        return state

    def _head(self, key: str) -> S | Head:
        state = self.live.get(key)
        return read_head(self._stored[key]) if state is None else state

    def _restore(self, key: str, data: bytes) -> S:
        stored = read_snapshot(data)
        state = self._new(key)
        state.thaw(stored.frozen)
        state.applied, state.incarnation, state.newest = stored.applied, stored.incarnation, stored.newest
        if not self._recreated.isdisjoint(state.applied):
            state.forget_offsets(self._recreated)
        return state


def snapshot(state: State) -> bytes:
    """Return a state's stored form."""
    return codec.pack(
        Snapshot(
            _SNAPSHOT_VERSION,
            state.incarnation,
            state.position,
            state.active,
            state.applied,
            state.newest,
            state.freeze(),
        )
    )


def made_anew(stored: Mapping[str, bytes], ends: Mapping[str, int]) -> dict[str, int]:
    """Return the topics that end before what some stored state has read of them, and up to where it has.

    They were made anew.
    """
    found: dict[str, int] = {}
    for data in stored.values():
        for topic, (offset, _) in read_head(data).applied.items():
            if offset >= ends.get(topic, offset + 1):
                found[topic] = max(offset + 1, found.get(topic, 0))
    return found


def tells_of(stored: Mapping[str, bytes], committed: Mapping[str, int]) -> set[str]:
    """Return the topics of which some stored state has read a record that was acknowledged."""
    return {
        topic
        for data in stored.values()
        for topic, (offset, _) in read_head(data).applied.items()
        if offset < committed.get(topic, 0)
    }


_read: Final = codec.unpacker(Snapshot)
_read_head: Final = codec.unpacker(Head)


def read_snapshot(data: bytes) -> Snapshot:
    """Return the parts of a stored state.

    Raises
    ------
    msgspec.DecodeError
        The bytes are no snapshot.
    ValueError
        They are one of another version.
    """
    return _checked(_read(data))


def read_head(data: bytes) -> Head:
    """Return what a stored state tells before its contents, which cost far more to decode.

    Raises as `read_snapshot`.
    """
    return _checked(_read_head(data))


def _checked(stored: H) -> H:
    if stored.version != _SNAPSHOT_VERSION:
        raise ValueError(f"snapshot of version {stored.version}, expected {_SNAPSHOT_VERSION}")
    return stored
