"""The store behind a table: snapshots by partition and key, and how far their changelogs were read.

Faust's memory store reads a changelog again from its beginning after every rebalance, also for partitions
that it keeps, and keeps keys of partitions that it lost. This one remembers, and forgets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import faust
import msgspec
from faust.stores.base import Store

from pipeline import codec
from pipeline.features.state import Order
from pipeline.features.states import read_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from faust.types import TP


ORDER: Final = "order"
"""The header of a tombstone that tells which state it is for."""
_read_order: Final[Callable[[bytes], Order]] = codec.unpacker(cast("Any", Order))


class ChangelogLostError(Exception):
    """A changelog ends before what is known of it: it was deleted, or lost its end."""

    def __init__(self, tp: TP, end: int, known: int | None = None) -> None:
        knows = "other tables tell of more" if known is None else f"this worker knows it up to {known}"
        super().__init__(
            f"{tp.topic}-{tp.partition}: it ends at offset {end}, and {knows}: it "
            "was deleted, or lost its end, and with it state. Stop all workers, set another PIPELINE_APP_ID "
            "and run `cascade topics apply`: state is then made again from what the input topics still hold"
        )


class SnapshotStore(Store[Any, Any]):
    """Snapshots of one table, by partition and key."""

    app: Any

    def __post_init__(self) -> None:
        self._snapshots: dict[int, dict[str, bytes]] = {}
        self._read: dict[Any, int] = {}
        self.records_read = 0
        self._revoked: set[Any] = set()

    def partition(self, number: int) -> dict[str, bytes]:
        """Return the snapshots of a partition, by key."""
        return self._snapshots.setdefault(number, {})

    @property
    def size(self) -> int:
        """How many bytes the snapshots have, over all partitions."""
        return sum(len(data) for snapshots in self._snapshots.values() for data in snapshots.values())

    def put(self, tp: TP, key: str, data: bytes, offset: int) -> None:
        """Keep a snapshot that was confirmed at an offset of its changelog partition.

        Raises
        ------
        ChangelogLostError
            What was written before lies there or behind it: the changelog was made anew meanwhile.
        """
        known = self._read.get(tp, -1)
        if 0 <= offset <= known:  # aiokafka (0.14) knows no offset of what the broker had taken before
            raise ChangelogLostError(tp, offset, known)
        self.partition(tp.partition)[key] = data
        self.set_persisted_offset(tp, offset)

    def apply_changelog_batch(
        self, batch: Iterable[Any], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        """Take snapshots from the changelog: of two of a key the newer state wins, not the later write.

        Each event holds a batch of the changelog's records: Faust takes a record by itself 100 us.
        """
        for event in batch:
            message = event.message
            if message.tp in self._revoked:
                continue  # Faust (0.15) kept it from before the rebalance, and hands it over after
            for record in message.value:
                try:
                    self._apply(self.partition(message.tp.partition), record)
                except (AttributeError, ValueError, msgspec.MsgspecError) as error:
                    # Faust would log whatever is raised here, and wait for the end of recovery for ever.
                    self._give_up(message.tp, record, error)
                    return
            self.set_persisted_offset(message.tp, message.offset)
            self.records_read += len(message.value)

    def _give_up(self, tp: TP, record: Any, error: Exception) -> None:
        reason = RuntimeError(
            f"{tp.topic}-{tp.partition}, offset {record.offset}, key {record.key!r}: no snapshot of this "
            f"version ({error}). Start the version that wrote it, or with an empty state by another "
            "PIPELINE_APP_ID"
        )
        self.app.add_future(self.app.crash(reason))

    def _apply(self, snapshots: dict[str, bytes], record: Any) -> None:
        key, data = record.key.decode(), record.value
        known = snapshots.get(key)
        if known is not None:
            order = _buried(record) if data is None else read_head(data).order
            if order is not None and read_head(known).order > order:
                return
        if data is None:
            snapshots.pop(key, None)
        else:
            snapshots[key] = data

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the offset up to which a changelog partition is known, None when it is not."""
        return self._read.get(tp)

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Note the offset up to which a changelog partition is known."""
        self._read[tp] = max(offset, self._read.get(tp, -1))

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Forget what belongs to partitions that were taken away."""
        self._revoked = (self._revoked | revoked) - assigned
        for tp in revoked & set(self._read):
            del self._read[tp]
            self._snapshots.pop(tp.partition, None)

    def reset_state(self) -> None:
        """Do nothing: nothing lies on disk."""

    async def backup_partition(
        self, tp: TP | int, flush: bool = True, purge: bool = False, keep: int = 1
    ) -> None:
        """Do nothing: the changelog is the backup."""

    def restore_backup(self, tp: TP | int, latest: bool = True, backup_id: int = 0) -> None:
        """Do nothing: the changelog is the backup."""


def _buried(tombstone: Any) -> Order | None:
    """Return the order of the state that a tombstone is for; None when it does not say, and is for any."""
    order = dict(tombstone.headers or ()).get(ORDER)
    return None if order is None else _read_order(order)


class SnapshotTable(faust.Table[Any, Any]):
    """A table whose changelog holds snapshots; written by the checkpoint alone."""

    data: SnapshotStore

    def _new_store(self) -> SnapshotStore:
        return SnapshotStore("memory://", self.app, self, table_name=self.name)
