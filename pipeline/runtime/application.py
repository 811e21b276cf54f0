"""The Faust application: its hooks, and the parts of a worker that live as long as it does."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

import faust
import structlog
from faust.types import TP

from pipeline import contract
from pipeline.runtime.batches import BatchSchema
from pipeline.runtime.checkpoint import Checkpoint
from pipeline.runtime.delivery import Delivery
from pipeline.runtime.distribution import Distribution
from pipeline.runtime.flow import Flow
from pipeline.runtime.intake import Intake
from pipeline.runtime.lease import Lease, LeaseLostError
from pipeline.runtime.memory import give_back
from pipeline.runtime.recovery import Recovery
from pipeline.runtime.store import ChangelogLostError, SnapshotTable
from pipeline.runtime.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mode.utils.queues import ThrowableQueue

    from pipeline.features.stage import Stage
    from pipeline.runtime.units import Barrier, Unit
    from pipeline.settings import Settings

log = structlog.get_logger()

Phase: TypeAlias = Literal["starting", "rebalancing", "recovering", "ready", "stopping"]
REBALANCES: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Bounds of the seconds from the begin of a rebalance until a worker goes on."""
_HAND_OVER_SHARE: Final = 0.5
"""The part of the session timeout within which a hand-over has to be done."""
_FLUSH_SHARE: Final = 0.25
"""The part of it that the producer gets to send what is left after that."""


class HandOver(faust.Channel[Any]):
    """A channel between two agents that never blocks and that a rebalance does not clear.

    How much is on its way is bounded by the intake's budget; what belongs to an ended epoch is dropped by
    whoever gets it.
    """

    @property
    def queue(self) -> ThrowableQueue[Any]:
        """The queue behind the channel: unbounded, and left alone by Faust's flow control."""
        if self._queue is None:
            self._queue = self.app.FlowControlQueue(maxsize=0, clear_on_resume=False)
        return self._queue

    def put_nowait(self, work: Unit | Barrier) -> None:
        """Hand work over at once."""
        for subscriber in self._subscribers:
            subscriber.queue.put_nowait(work)


class Application(faust.App):
    """A Faust app with batches, checkpoints, epochs, a budget and a lease.

    Parameters
    ----------
    settings, stages
        Of the deployment, and the steps that each event takes.
    reference
        The reference symbol.
    web_type
        Faust's web server, or a kind of it.
    options
        Faust's own.

    """

    consumer: Any
    producer: Any

    def __init__(
        self,
        settings: Settings,
        stages: Sequence[Stage[Any]],
        reference: str,
        web_type: Callable[[Any], Any],
        **options: Any,
    ) -> None:
        self.settings = settings
        self._web_type = web_type
        super().__init__(settings.app_id, **options)
        self.lease = Lease(settings.session_timeout)
        self.intake = _intake(settings, reference)
        tables: Any = self.tables
        tables._recovery = Recovery(self, tables, beacon=tables.beacon, loop=tables.loop)
        self.state_tables = {name: self._state_table(name) for name in contract.TABLES}
        self.flow = Flow(
            stages,
            lambda table, partition: self.state_tables[table].data.partition(partition),
            settings.partitions,
            reference=reference,
            max_symbols=settings.max_symbols,
            committed=lambda topic, partition: self.consumer.committed(TP(topic, partition)),
        )
        self.channels = [HandOver(self) for _ in stages]
        self.delivery = Delivery(lambda: self.producer._producer, self.lease, settings.partitions)
        self.checkpoint = Checkpoint(
            flow=self.flow,
            delivery=self.delivery,
            intake=self.intake,
            lease=self.lease,
            tables=self.state_tables,
            enter=self.channels[0].put_nowait,
            acknowledge=self.consumer.acknowledge,
            interval=settings.checkpoint_interval,
        )
        self._assigned, self._read_before = 0.0, 0
        self._phase: Phase = "starting"
        self.started_at = time.time()
        self.phase_since = self._interrupted = time.monotonic()
        self.rebalances = Distribution(REBALANCES)
        self.on_rebalance_complete.connect(cast("Any", self._recovered))

    @property
    def phase(self) -> Phase:
        """What the worker is about."""
        return self._phase

    @property
    def input_partitions(self) -> set[TP]:
        """The partitions of input topics that this worker has."""
        if self._phase == "starting":
            return set()
        return {tp for tp in self.consumer.assignment() if tp.topic in contract.INPUTS}

    @property
    def partitions(self) -> set[int]:
        """The numbers of the partitions that this worker has."""
        return {tp.partition for tp in self.input_partitions}

    @property
    def snapshots_read(self) -> int:
        """How many snapshots were read from changelogs since the worker started."""
        return sum(table.data.records_read for table in self.state_tables.values())

    def _state_table(self, name: str) -> SnapshotTable:
        table = SnapshotTable(
            self,
            name=name,
            schema=BatchSchema(key_type=bytes, value_type=bytes),
            recovery_buffer_size=2,  # batches; with 1 Faust (0.15) would read changelogs for ever
            partitions=self.settings.partitions,
        )
        self.tables.add(table)
        return table

    def _new_web(self) -> Any:
        return self._web_type(self)

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self, self.loop)

    def _enter(self, phase: Phase) -> None:
        if self._phase != "stopping":
            self._phase, self.phase_since = phase, time.monotonic()

    async def hand_over(self) -> None:
        """Finish, commit and drop what was begun: others may have these partitions next."""
        self._enter("rebalancing")
        self._interrupted = self.phase_since
        worked = self.flow.open_for_work
        self.flow.close()
        try:
            async with asyncio.timeout(self.settings.session_timeout * _HAND_OVER_SHARE):
                await self.checkpoint.take()
                await self.consumer.commit_all()
            if worked:
                log.info(
                    "handed over", phase=self._phase, seconds=round(time.monotonic() - self.phase_since, 2)
                )
        except TimeoutError:
            log.warning(
                "handed over before the last checkpoint was done: the next owner repeats what it covered"
            )
        except LeaseLostError as lost:
            log.warning("handed over without a last checkpoint", reason=str(lost))
        except Exception as error:
            log.exception("the last checkpoint failed: the next owner repeats what it covered")
            await self.crash(error)
        finally:
            self.flow.end()
            self.checkpoint.forget()
            self.intake.clear()

    def begin(self, assigned: set[TP]) -> None:
        """Begin a new epoch with what was assigned."""
        partitions = sorted({tp.partition for tp in assigned if tp.topic in contract.INPUTS})
        log.info("recovering: state is read from the changelogs", partitions=partitions)
        self.intake.consumer = self.consumer
        self._enter("recovering")
        self._assigned = time.monotonic()
        self._read_before = self.snapshots_read
        self.flow.begin()
        self.delivery.begin()

    async def _producer_flush(self, logger: Any) -> None:
        """Wait until all is sent that was handed to the producer, but not for ever: else send nothing more.

        A broker that does not confirm would hold up a rebalance, and get the records when others have the
        partitions. Once that was so there is nothing to wait for.
        """
        if self.lease.given_up:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.session_timeout * _FLUSH_SHARE):
                await super()._producer_flush(logger)
                return
        reason = (
            f"{', '.join(self.delivery.unconfirmed())}: the broker did not confirm in time what was sent "
            "before a hand-over: this worker stops and sends nothing more, and what was not confirmed is "
            "repeated. Run `cascade topics check`, as a topic may be gone, look at the broker's replicas "
            "(min.insync.replicas) and disks, and restart it"
        )
        self.lease.give_up(reason)
        await self.crash(LeaseLostError(reason))

    def _crash(self, reason: BaseException) -> None:
        """Keep the first reason: what fails after it fails for it."""
        super()._crash(self.crash_reason or reason)

    def _on_rebalance_when_stopped(self) -> None:
        """Leave the consumer to the stop that is under way.

        Faust (0.15) closes it here, without whose coordinator a seek that is under way asks again for ever,
        and the stop waits for it.
        """

    async def on_stop(self) -> None:
        """Hand over before anything is taken apart, so that nothing has to be repeated after a stop."""
        self._enter("stopping")
        try:
            if self.flow.open_for_work:
                self.consumer.stop_flow()
                await self.hand_over()
            await self.flow.wait_until_over()  # a rebalance may be handing over
        finally:
            await super().on_stop()

    async def read_anew(self) -> bool:
        """Look for topics that were made anew; return whether there are any, read from their beginning now.

        States forget what they have read of them, and all of them are stored before anything new is folded:
        later, those that were stored would be taken for those that were not. The commit tells of it until
        then: after a crash in between, or when the epoch ends, the same is found again.
        """
        if not self.flow.open_for_work:
            return False
        await self._check_changelogs()
        if not (found := self.flow.made_anew()):
            return False
        epoch, commit = self.flow.epoch, self.consumer.commit_now
        if not await self.flow.within_epoch(commit(found)):
            return False
        await self.checkpoint.take()
        return self.flow.epoch == epoch and await self.flow.within_epoch(commit(dict.fromkeys(found, 0)))

    async def _check_changelogs(self) -> None:
        """Refuse a changelog that nothing was ever written to when other tables tell that there was.

        Nobody is assigned one that is not there.
        """
        suspects = {
            TP(self.state_tables[table].changelog_topic_name, partition)
            for table, partition in self.flow.lost_tables()
        }
        there = suspects & self.consumer.assignment()
        ends = await self.consumer.highwaters(*there) if there else {}
        for tp in sorted(suspects):
            if not ends.get(tp):
                raise ChangelogLostError(tp, 0)

    async def _recovered(self, _app: Any, **_: Any) -> None:
        """Look up where the input partitions end, to notice those that were made anew."""
        tps = self.input_partitions
        _check_together(tps)
        for tp, end in (await self.consumer.highwaters(*tps) if tps else {}).items():
            self.flow.note_end(tp, end)
        give_back()
        self._enter("ready")
        self.rebalances.add(self.phase_since - self._interrupted)
        log.info(
            "ready",
            partitions=sorted({tp.partition for tp in tps}),
            snapshots_read=self.snapshots_read - self._read_before,
            seconds=round(time.monotonic() - self._assigned, 2),
        )


def _intake(settings: Settings, reference: str) -> Intake:
    settle = dict.fromkeys(contract.INPUTS, settings.merge_settle_ms / 1_000)
    return Intake(
        reference=reference.encode(),
        partitions=settings.partitions,
        budget_records=settings.budget_records,
        budget_bytes=settings.budget_bytes,
        settle=settle | {contract.CONTEXT: settings.context_settle_ms / 1_000},
    )


def _check_together(tps: set[TP]) -> None:
    """Raise when a partition number was not assigned for all input topics: its symbols would fall apart."""
    owned = {topic: {tp.partition for tp in tps if tp.topic == topic} for topic in contract.INPUTS}
    if len({frozenset(partitions) for partitions in owned.values()}) > 1:
        raise RuntimeError(
            f"the input topics' partitions were not assigned together: {owned}. Do all of them have as many? "
            "Run `cascade topics check`"
        )
