"""One worker of the simulation: the real application, with what lies around it simulated as thinly as can be.

Real: `create_app` and all that it makes: the application's hooks (hand-over, begin, ready), stages, flow,
intake and merge, checkpoint, delivery, lease, store and tables, the agents and the channels between them, and
the consumer of `runtime/transport.py` with what it inherits of Faust's (`getmany`, `commit`, seeking, the
application's part of a revocation).

Simulated: `Thread` and `Coordinator` take the place of aiokafka's consumer and its membership in the group,
`Producer` of its producer, accumulator and sender; `_recover` of Faust's recovery of tables (reads changelogs
from where the store says, hands them to it, then resumes in Faust's order); `_read` of the conductor; the
tasks of `start` of Faust's services. An agent that fails ends the worker, as with the CrashingSupervisor.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict, deque
from functools import partial
from types import SimpleNamespace

from aiokafka.errors import KafkaError, NoError, RebalanceInProgressError
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest
from aiokafka.structs import RecordMetadata, TopicPartition
from faust.types import TP
from virtual_loop import WALL

from pipeline import contract
from pipeline.app import create_app
from pipeline.runtime.application import Application

_BEAT = HeartbeatRequest("group", 1, "member")
_SYNC = SyncGroupRequest("group", 1, "member", None, [])
CHANGELOG_READ = 50
"""Records of a changelog that are read at once."""


class Batch:
    """Records of one partition on their way to the broker."""

    def __init__(self, loop, tp, number, most):
        self.tp = tp
        self.future = loop.create_future()
        self.drained = loop.create_future()
        self.number, self.records, self.futures = number, [], []
        self._most = most
        self._builder = self

    def append(self, *, timestamp, key, value, headers=()):  # noqa: ARG002 - tombstones come after days
        """Take a record, or return None when there is no room."""
        if len(self.records) >= self._most or self.drained.done():
            return None
        self.records.append((key, value, timestamp))
        self.futures.append(None)
        return SimpleNamespace(offset=len(self.records) - 1)


class Producer:
    """aiokafka's producer: a batch that is being filled for each partition, and one that is on its way."""

    def __init__(self, worker, most):
        self._worker, self._loop, self._most = worker, worker.loop, most
        self._batches = defaultdict(deque)
        self._flying = {}
        self._message_accumulator = SimpleNamespace(
            _batches=self._batches, _pending_batches=self._flying.values()
        )
        self._numbers = defaultdict(int)
        self._failed = None
        self._sender = SimpleNamespace(_send_produce_req=self._send_request)
        worker.app.lease.guard(self._sender)

    async def send(self, topic, value, *, key, partition, timestamp_ms, headers=()):  # noqa: ARG002, PLR0913
        tp = TopicPartition(topic, partition)
        while True:
            if self._failed is not None:
                raise KafkaError(repr(self._failed)) from self._failed
            batches = self._batches[tp]
            if not batches:
                batches.append(Batch(self._loop, tp, self._numbers[tp], self._most))
                self._numbers[tp] += 1
                self._loop.call_soon(self._take_off, tp)
            batch = batches[-1]
            if batch.append(timestamp=timestamp_ms, key=key, value=value) is not None:
                batch.futures[-1] = future = self._loop.create_future()
                return future
            await asyncio.shield(batch.drained)

    async def flush(self):
        waiting = [batch.future for batches in self._batches.values() for batch in batches]
        waiting += [batch.future for batch in self._flying.values()]
        if waiting:
            await asyncio.wait(waiting)

    def _take_off(self, tp):
        if tp not in self._flying and self._batches[tp] and self._failed is None:
            batch = self._flying[tp] = self._batches[tp].popleft()
            batch.drained.set_result(None)
            self._loop.create_task(self._fly(tp, batch))

    async def _fly(self, tp, batch):
        try:
            await self._sender._send_produce_req(0, {tp: batch})
        except Exception as error:  # noqa: BLE001 - as aiokafka's sender: it ends all that waits
            self._fail(error)
        else:
            del self._flying[tp]
            self._take_off(tp)

    async def _send_request(self, node, batches):
        broker, worker = self._worker.broker, self._worker
        [(tp, batch)] = batches.items()
        place = TP(tp.topic, tp.partition)
        late = broker.network.lateness()
        if late > worker.app.settings.session_timeout:
            worker.overtaken()
        offset = await broker.ask(
            broker.produce,
            worker,
            self._loop.time(),
            batch.number,
            place,
            batch.records,
            late=late,
        )
        if broker.network.loses():
            await asyncio.sleep(1.0)
            await self._sender._send_produce_req(node, batches)
            return
        for index, future in enumerate(batch.futures):
            if future is not None and not future.done():
                future.set_result(RecordMetadata(tp.topic, tp.partition, tp, offset + index, 0, 0, 0))
        if not batch.future.done():
            batch.future.set_result(RecordMetadata(tp.topic, tp.partition, tp, offset, 0, 0, 0))

    def _fail(self, error):
        self._failed = self._failed or error
        waiting = [batch for batches in self._batches.values() for batch in batches]
        for batch in [*waiting, *self._flying.values()]:
            for future in [batch.future, *filter(None, batch.futures)]:
                if not future.done():
                    failure = KafkaError(repr(error))
                    failure.__cause__ = error
                    future.set_exception(failure)
                    future.exception()
            if not batch.drained.done():
                batch.drained.set_result(None)


class Thread:
    """aiokafka's consumer, as Faust's thread shows it: positions, fetches, and what is known of ends."""

    def __init__(self, worker):
        self._worker, self._broker, self._loop = worker, worker.broker, worker.loop
        self._assigned = set()
        self._paused = set()
        self._positions = {}
        self._ends = {}
        self._assignments = 0

    def assign(self, tps):
        self._assigned, self._paused = tps, set()
        self._positions, self._ends = {}, {}
        self._assignments += 1

    def assignment(self):
        return set(self._assigned)

    def pause(self, tps):
        self._paused |= set(tps)

    def highwater(self, tp):
        return self._ends.get(tp, 0)

    async def highwaters(self, *tps):
        return await self._broker.ask(lambda: {tp: len(self._broker.logs[tp]) for tp in tps})

    def caught_up(self, tp):
        end, position = self._ends.get(tp), self._positions.get(tp)
        return None not in {end, position} and position >= end

    def heard(self):
        return WALL + self._loop.time()

    def answered(self, _tp):
        return math.inf  # a fetch of this broker looks at all partitions in one moment

    async def getmany(self, active, timeout):  # noqa: ASYNC109
        deadline = self._loop.time() + timeout
        while True:
            found = await self._fetch(sorted((active & self._assigned) - self._paused))
            if found or self._loop.time() >= deadline:
                return found
            await self._broker.something_new(deadline - self._loop.time())

    async def _fetch(self, tps):
        if unknown := [tp for tp in tps if tp not in self._positions]:
            assignments = self._assignments
            known = await self._broker.ask(lambda: {tp: self._broker.committed.get(tp, 0) for tp in unknown})
            if assignments != self._assignments:
                return {}
            self._positions = known | self._positions
        asked, assignments = {tp: self._positions[tp] for tp in tps}, self._assignments
        answer = await self._broker.ask(self._look_up, asked)
        found = {}
        for tp, (records, end) in answer.items():
            if assignments != self._assignments or self._positions.get(tp) != asked[tp]:
                continue
            self._ends[tp] = end
            if asked[tp] > end:
                self._positions[tp] = 0  # out of range: aiokafka goes to the beginning
            elif records:
                self._positions[tp] += len(records)
                found[tp] = records
        return found

    def _look_up(self, asked):
        most = self._worker.app.settings.max_poll_records
        logs = self._broker.logs
        return {tp: (logs[tp][place : place + most], len(logs[tp])) for tp, place in asked.items()}

    async def seek_to_committed(self):
        tps, assignments = sorted(self._assigned), self._assignments
        committed = await self._broker.ask(lambda: {tp: self._broker.committed.get(tp) for tp in tps})
        if assignments == self._assignments:
            self._positions |= {tp: offset for tp, offset in committed.items() if offset is not None}
        return committed

    async def seek_to_beginning(self, *tps):
        self._positions |= dict.fromkeys(self._assigned.intersection(tps), 0)

    async def commit(self, offsets):
        group = self._worker.coordinator
        return await self._broker.ask(self._broker.commit, group.name, group.generation, dict(offsets))

    async def missing(self, _topics):
        return []


class Coordinator:
    """aiokafka's membership in the group: joining, heartbeats, and the calls to those who listen to it."""

    def __init__(self, worker):
        self._worker, self._loop, self._group = worker, worker.loop, worker.broker.group
        self.name = worker.name
        self.generation = 0
        self._lives = 0
        self._rejoin = asyncio.Event()
        self._member = False
        worker.app.lease.watch(self)

    async def _send_req(self, _request):
        error = await self._worker.broker.ask(self._group.check, self.name, self.generation)
        return SimpleNamespace(error_code=error)

    async def run(self):
        """Join whenever that is needed."""
        consumer = self._worker.app.consumer
        while True:
            self._worker.app.on_rebalance_start()
            await consumer.on_partitions_revoked(consumer.assignment())
            while not (joined := await self._join()):
                self._begin_anew()
            self.generation, partitions = joined
            self._member = True
            self._rejoin.clear()  # what was heard before is done with
            if await self._ask(_SYNC) != NoError.errno:
                continue
            await self._worker.assigned(partitions, self.generation)
            await self._rejoin.wait()

    async def beat(self):
        """Send heartbeats, and see what they say."""
        while True:
            await asyncio.sleep(self._worker.app.settings.heartbeat_interval)
            if self._member:
                error = await self._ask(_BEAT)
                if error != NoError.errno:
                    self._rejoin.set()

    async def _ask(self, request):
        generation = self.generation
        error = (await self._send_req(request)).error_code
        if generation != self.generation:
            return NoError.errno
        if error not in {NoError.errno, RebalanceInProgressError.errno} and self._member:
            self._begin_anew()
        return error

    async def _join(self):
        answer = self._loop.create_future()
        self._loop.outside(self._worker.broker.network.delay(), self._group.join, self.name, answer)
        return await answer

    def _begin_anew(self):
        self._member = False
        self._lives += 1
        self.name = f"{self._worker.name}/{self._lives}"

    def leave(self):
        self._loop.outside(self._worker.broker.network.delay(), self._group.leave, self.name)


class Batches:
    """The stream of the intake agent."""

    def __init__(self, queue):
        self._queue = queue

    def noack(self):
        return self

    def events(self):
        return self

    def __aiter__(self):
        return self

    async def __anext__(self):
        return SimpleNamespace(message=await self._queue.get())


class Worker:
    """A process with the application in it.

    Parameters
    ----------
    ended
        Called with the worker when it is no more.
    overtaken
        Called when what it sends will arrive after others may have taken over.

    """

    def __init__(self, name, broker, settings, batch_records, ended, overtaken):  # noqa: PLR0913, PLR0917
        self.name, self.broker, self.loop = name, broker, broker.loop
        self.process = self.loop.process(name)
        self.error = None
        self.overtaken = partial(overtaken, self)
        self._ended, self._ending = ended, False
        self._settings, self._batch_records = settings, batch_records
        self._recoveries = []
        self.loop.spawn(self.process, self._guard(self._start))

    async def _start(self):
        self.app: Application = create_app(self._settings)
        self.app.crash = self._crash
        self.app._on_partitions_revoked = self._revoked
        consumer = self.consumer = self.app.consumer
        consumer._on_partitions_revoked = self._revoked
        consumer._on_partitions_assigned = self._take_over
        self.thread = consumer._thread = Thread(self)
        self.app.producer._producer = Producer(self, self._batch_records)
        self.coordinator = Coordinator(self)
        self._inputs = self.app.FlowControlQueue(maxsize=0, clear_on_resume=True)
        self._streams = [aiter(channel) for channel in self.app.channels]
        consumer.stop_flow()
        agents = self.app.agents
        self._spawn(agents["intake"].fun, Batches(self._inputs))
        for stage, stream in zip(self.app.flow.stages, self._streams, strict=True):
            self._spawn(agents[stage.table].fun, stream)
        services = (self._read, self._commit, self.app.checkpoint.run)
        for service in (*services, self.coordinator.run, self.coordinator.beat):
            self._spawn(service)

    def _spawn(self, work, *args):
        return self.loop.create_task(self._guard(work, *args))

    async def _guard(self, work, *args):
        try:
            await work(*args)
        except asyncio.CancelledError as cancelled:
            if asyncio.current_task() not in self._recoveries:
                await self._crash(cancelled)  # Faust's rebalances may cancel who waits: that ends a worker
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the worker
            await self._crash(error)

    async def _crash(self, reason):
        """End as Faust does when a service crashed: by stopping, unless something is quicker."""
        if not self._ending:
            self.error = reason
            if self.broker.network.rng.random() < 0.5:
                self.end()
            else:
                await self.stop()

    async def stop(self):
        """Hand over, leave the group and end."""
        self._ending = True
        if self.app.flow.open_for_work:
            self.consumer.stop_flow()
            await self.app.hand_over()
        self.coordinator.leave()
        self.end()

    def stop_soon(self):
        """Ask for a stop, as SIGTERM does."""
        if not self._ending and hasattr(self, "coordinator"):
            self.loop.spawn(self.process, self._guard(self.stop))

    def end(self):
        """Be gone, with whatever was not sent yet."""
        if self.process.alive:
            self.process.kill()
            self._ended(self)

    async def _read(self):
        while True:
            async for _, message in self.consumer.getmany(timeout=1.0):
                self._inputs.put_nowait(message)
            await asyncio.sleep(0)

    async def _commit(self):
        while True:
            await asyncio.sleep(self.app.settings.commit_interval)
            await self.consumer.commit()

    async def _revoked(self, revoked):
        await Application._on_partitions_revoked(self.app, revoked)

    async def assigned(self, partitions, generation):
        """Take partitions over, of inputs and changelogs."""
        topics = [*contract.INPUTS, *(table.changelog_topic_name for table in self.app.state_tables.values())]
        tps = {TP(topic, partition) for topic in topics for partition in partitions}
        self.thread.assign(tps)
        self.app.consumer_generation_id = generation
        await self.consumer.on_partitions_assigned(tps, generation)

    async def _take_over(self, assigned, generation):
        for recovery in self._recoveries:
            recovery.cancel()  # not when partitions are revoked: until the next assignment Faust goes on
        revoked, new = self.app._update_assignment(set(assigned))
        self.consumer.pause_partitions(assigned)
        for table in self.app.state_tables.values():
            await table.on_rebalance(assigned, revoked, new, generation)
        self._recoveries.append(self._spawn(self._recover, sorted(assigned)))

    async def _recover(self, assigned):
        self.app.flow_control.resume()
        self.consumer.resume_flow()
        for table in self.app.state_tables.values():
            for tp in assigned:
                if tp.topic == table.changelog_topic_name:
                    await self._recover_partition(table, tp)
        await self.app.on_rebalance_complete.send()
        self.consumer.resume_partitions({tp for tp in assigned if tp.topic in contract.INPUTS})
        await self.consumer.perform_seek()
        self.app.flow_control.resume()
        self.consumer.resume_flow()
        self.app.on_rebalance_end()

    async def _recover_partition(self, table, tp):
        log = self.broker.logs[tp]
        end = await self.broker.ask(lambda: len(log))
        while True:
            known = table.data.persisted_offset(tp)
            first = 0 if known is None else known + 1
            if first >= end:
                return
            records = await self.broker.ask(lambda first=first: log[first : first + CHANGELOG_READ])
            recover(table.data, tp, records)


def recover(store, tp, records):
    message = SimpleNamespace(tp=tp, value=records, offset=records[-1].offset)
    store.apply_changelog_batch([SimpleNamespace(message=message)], None, None)
