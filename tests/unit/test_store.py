import asyncio
from types import SimpleNamespace

import faust
import pytest
from faust.types import TP

from pipeline import codec
from pipeline.features.state import State
from pipeline.features.states import snapshot
from pipeline.runtime.store import ORDER, ChangelogLostError, SnapshotTable

CHANGELOG = "app-velocity-changelog"


class Counted(State):
    __slots__ = ("count",)

    def __init__(self, offset, count=0, incarnation=0):
        super().__init__()
        self.applied = {"liquidations": (offset, 0)}
        self.count = count
        self.incarnation = incarnation

    def freeze(self):
        return self.count

    def thaw(self, frozen):
        self.count = frozen


@pytest.fixture
def store():
    app = faust.App("app", broker="kafka://localhost:1", web_enabled=False)
    return SnapshotTable(app, name="velocity", key_type=bytes, value_type=bytes, partitions=4).data


def written(offset, value, *, partition=0, key=b"BTCUSDT", headers=()):
    tp = TP(CHANGELOG, partition)
    record = SimpleNamespace(key=key, value=value, offset=offset, headers=headers)
    return SimpleNamespace(message=SimpleNamespace(tp=tp, value=[record], offset=offset))


def recover(store, *events):
    store.apply_changelog_batch(events, to_key=None, to_value=None)


def test_snapshots_are_found_by_partition_and_key(store):
    recover(store, written(0, snapshot(Counted(1))), written(0, snapshot(Counted(2)), partition=3))
    assert store.partition(0) == {"BTCUSDT": snapshot(Counted(1))}
    assert store.partition(3) == {"BTCUSDT": snapshot(Counted(2))}
    assert store.partition(1) == {}


def test_the_newer_state_wins_not_the_later_write(store):
    recover(store, written(0, snapshot(Counted(150))), written(1, snapshot(Counted(100))))
    assert store.partition(0)["BTCUSDT"] == snapshot(Counted(150))


def test_a_state_whose_topic_was_made_anew_beats_higher_offsets(store):
    recover(store, written(0, snapshot(Counted(150))), written(1, snapshot(Counted(3, incarnation=1))))
    assert store.partition(0)["BTCUSDT"] == snapshot(Counted(3, incarnation=1))


def test_a_tombstone_removes_a_key(store):
    recover(store, written(0, snapshot(Counted(1))), written(1, None))
    assert store.partition(0) == {}


def tombstone(offset, state):
    return written(offset, None, headers=[(ORDER, codec.pack((state.incarnation, state.position)))])


def test_a_tombstone_removes_the_state_that_it_is_for_and_older_ones(store):
    recover(store, written(0, snapshot(Counted(150))), tombstone(1, Counted(150)))
    assert store.partition(0) == {}
    recover(store, written(2, snapshot(Counted(100))), tombstone(3, Counted(150)))
    assert store.partition(0) == {}


def test_a_tombstone_that_comes_late_leaves_the_newer_state_of_a_key(store):
    began_anew = Counted(3, incarnation=1)
    recover(store, written(0, snapshot(began_anew)), tombstone(1, Counted(150)))
    assert store.partition(0)["BTCUSDT"] == snapshot(began_anew)


def test_an_old_snapshot_that_comes_after_the_tombstone_does_not_beat_what_began_anew(store):
    old, began_anew = Counted(150), Counted(151, incarnation=1)
    recover(store, written(0, snapshot(old)), tombstone(1, old), written(2, snapshot(began_anew)))
    recover(store, written(3, snapshot(old)))
    assert store.partition(0)["BTCUSDT"] == snapshot(began_anew)


def test_how_far_a_changelog_was_read_is_remembered(store):
    tp = TP(CHANGELOG, 0)
    assert store.persisted_offset(tp) is None
    recover(store, written(7, snapshot(Counted(1))))
    assert store.persisted_offset(tp) == 7
    store.put(tp, "ETHUSDT", snapshot(Counted(2)), 9)
    assert store.persisted_offset(tp) == 9
    assert set(store.partition(0)) == {"BTCUSDT", "ETHUSDT"}


async def test_revoked_partitions_are_forgotten_and_kept_ones_are_not(store):
    recover(store, written(7, snapshot(Counted(1))), written(5, snapshot(Counted(1)), partition=1))
    taken, kept = TP(CHANGELOG, 0), TP(CHANGELOG, 1)
    await store.on_rebalance({kept}, {taken, TP("liquidations", 0)}, set())
    assert store.persisted_offset(taken) is None
    assert store.partition(0) == {}
    assert store.persisted_offset(kept) == 5
    assert store.partition(1) != {}


async def test_a_snapshot_that_cannot_be_read_stops_the_worker_with_what_to_do(store):
    crashed = []
    store.app.crash = lambda reason: crashed.append(reason) or asyncio.sleep(0)
    recover(store, written(3, b"\x93what"), written(4, b"\x93ever"))
    recover(store, written(5, snapshot(Counted(1)), key=None))
    assert [str(reason).partition(":")[0] for reason in crashed[1:]] == [
        "app-velocity-changelog-0, offset 5, key None"
    ]
    assert "offset 4" in str(crashed[0])
    assert "PIPELINE_APP_ID" in str(crashed[0])


@pytest.mark.parametrize("turns", range(8))
async def test_a_rebalance_in_the_middle_of_recovery_leaves_nothing_of_a_revoked_partition(store, turns):
    table, tables = store.table, store.app.tables
    tables.add(table)
    tp, recovery = TP(CHANGELOG, 3), tables.recovery
    recovery.add_active(table, tp)
    recovery._set_recovery_started()
    recovery.active_highwaters[tp] = 9_999
    for offset in range(800):
        tables.changelog_queue.put_nowait(
            written(offset, snapshot(Counted(offset)), partition=3, key=b"K%d" % offset)
        )
    reading = asyncio.create_task(recovery._slurp_changelogs(recovery))
    while tables.changelog_queue.qsize() > 400:  # noqa: ASYNC110
        await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    # As Faust does when a partition is revoked, and assigned to somebody else
    tables.on_partitions_revoked({tp})
    store.app.flow_control.suspend()
    store.app.flow_control.clear()
    for _ in range(20):
        await asyncio.sleep(0)
    await store.on_rebalance(set(), {tp}, set())
    recovery.revoke(tp)
    recovery.active_tps.clear()
    recovery.flush_buffers()  # the next recovery begins with it
    reading.cancel()
    # When the partition comes back, its changelog is read from the beginning.
    assert (store.persisted_offset(tp), store.partition(3)) == (None, {})


async def test_a_partition_that_comes_back_is_read_again(store):
    tp = TP(CHANGELOG, 0)
    recover(store, written(7, snapshot(Counted(1))))
    await store.on_rebalance(set(), {tp}, set())
    recover(store, written(8, snapshot(Counted(2))))
    assert store.partition(0) == {}
    await store.on_rebalance({tp}, set(), {tp})
    recover(store, written(7, snapshot(Counted(1))))
    assert store.partition(0) == {"BTCUSDT": snapshot(Counted(1))}


def test_a_snapshot_that_lies_where_another_lay_tells_of_a_changelog_made_anew(store):
    tp = TP(CHANGELOG, 2)
    store.put(tp, "ETHUSDT", snapshot(Counted(2)), 9)
    for offset in (0, 9):
        with pytest.raises(
            ChangelogLostError, match=r"^app-velocity-changelog-2: it ends at offset .* to 9: "
        ):
            store.put(tp, "ETHUSDT", snapshot(Counted(3)), offset)
    store.put(tp, "ETHUSDT", snapshot(Counted(3)), 10)
    assert store.persisted_offset(tp) == 10


def test_a_snapshot_whose_offset_the_broker_does_not_know_is_kept(store):
    tp = TP(CHANGELOG, 2)
    store.put(tp, "ETHUSDT", snapshot(Counted(2)), 9)
    store.put(tp, "ETHUSDT", snapshot(Counted(3)), -1)
    assert store.partition(2) == {"ETHUSDT": snapshot(Counted(3))}
    assert store.persisted_offset(tp) == 9
