"""Faust's Kafka transport, handing over batches: all records of a partition from one poll as one message.

Faust (0.15) creates four asyncio tasks a message, asks the broker to hold an empty fetch for 1.5 s, and keeps
books of acknowledged messages that can commit past an unprocessed one (upstream issue 606). Here a message
is a batch, an empty fetch is short, and what may be committed is said by the checkpoint.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from mode.utils.futures import maybe_async

from pipeline import contract
from pipeline.runtime import membership
from pipeline.runtime.confirmation import NotCommittedError
from pipeline.runtime.connections import keep_steady
from pipeline.runtime.headers import read_any_names
from pipeline.runtime.lanes import fetch_apart, send_apart
from pipeline.runtime.topics import NO_KAFKA, missing_topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from faust.types import TP

    from pipeline.runtime.intake import Intake


_AGAIN: Final = 0.1
"""Seconds until a commit is tried again without which nothing can go on."""
_ANSWER: Final = 2.0
"""Seconds that the broker has to tell which topics there are."""


class LoopConsumer(driver.AIOKafkaConsumerThread):
    """The aiokafka consumer in the worker's own loop: Faust gives it a thread, and each call crosses over.

    Two threads that share one interpreter lock wait up to 5 ms for each other at every turn. Also, an empty
    fetch is short here, and the lease hears of heartbeats.
    """

    app: Any

    def __init__(self, consumer: Consumer, loop: asyncio.AbstractEventLoop, beacon: Any) -> None:
        super().__init__(consumer, loop=loop, thread_loop=loop, beacon=beacon)

    async def start(self) -> None:
        """Start the consumer in the loop that is running."""
        self._thread_started.set()
        await self._default_start()

    async def stop(self) -> None:
        """Stop the consumer."""
        if self._started.is_set() and not self._stopped.is_set():
            self._stopped.set()
            await self._shutdown_thread()

    async def call_thread(self, fun: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the consumer: there is no thread to cross over to."""
        return await maybe_async(fun(*args, **kwargs))

    def _create_consumer(self, loop: asyncio.AbstractEventLoop) -> Any:
        read_any_names()
        consumer = super()._create_consumer(loop)
        consumer._fetch_max_wait_ms = self.app.settings.fetch_max_wait_ms
        keep_steady(consumer)
        return consumer

    async def on_start(self) -> None:
        """Start the consumer, then listen to its heartbeats, and to what ends its membership."""
        await super().on_start()
        consumer = self._ensure_consumer()
        fetch_apart(consumer, contract.PROJECTED)
        coordinator = consumer._coordinator
        self.app.lease.watch(coordinator)
        membership.watch(coordinator, self.app.settings, self.app.lease, self.app.crash)

    def caught_up(self, tp: TP) -> bool:
        """Tell whether all records of a partition that the broker is known to have were handed out."""
        position, end = self.place(tp)
        return position is not None and end is not None and position >= end

    def place(self, tp: TP) -> tuple[int | None, int | None]:
        """Return which record of a partition is fetched next and where it ends, as far as that is known."""
        state = self._state(tp)
        return (None, None) if state is None else (state._position, state.highwater)

    def answered(self, tp: TP) -> float:
        """Return when the broker last told of a partition, in Unix milliseconds; 0 when it has not yet."""
        state = self._state(tp)
        return 0 if state is None else state.timestamp or 0

    def _state(self, tp: TP) -> Any:
        assignment = self._ensure_consumer()._subscription.subscription.assignment
        return None if assignment is None else assignment.state_value(driver.ensure_aiokafka_TP(tp))

    async def missing(self, topics: Iterable[str]) -> list[str]:
        """Return the topics that the broker does not know; none where it does not answer."""
        with suppress(*NO_KAFKA):  # a TimeoutError is an OSError
            async with asyncio.timeout(_ANSWER):
                return await missing_topics(self._ensure_consumer(), sorted(topics))
        return []

    def pause(self, tps: Iterable[TP]) -> None:
        """Fetch partitions no more; the next assignment begins without pauses."""
        self._ensure_consumer().pause(*map(driver.ensure_aiokafka_TP, tps))

    def request_rejoin(self) -> None:
        """Let the group share its partitions out anew."""
        self._ensure_consumer()._coordinator.request_rejoin()

    def heard(self) -> float:
        """Return when the broker last answered a fetch, in Unix seconds; 0 when it has not yet."""
        assignment = self._ensure_consumer()._subscription.subscription.assignment
        states = [] if assignment is None else map(assignment.state_value, assignment.tps)
        return max((state.timestamp or 0 for state in states if state is not None), default=0) / 1_000


class Consumer(driver.Consumer):
    """Hands over batches as the intake arranges them, and commits what the checkpoint acknowledged.

    Attributes
    ----------
    covered
        The offset behind the last record of each partition that a checkpoint of this epoch covers.
    polled
        When records were last asked for, in monotonic seconds.

    """

    app: Any
    _thread: LoopConsumer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._acknowledged: dict[TP, int] = {}
        self.covered: dict[TP, int] = {}
        self._fetched: dict[TP, int] = {}
        self.polled = time.monotonic()
        self._confirmed: dict[TP, int | None] = {}
        self._read_offset = _NoBooks()
        self._fetching = asyncio.Lock()
        self._sought = self._placed = False

    @property
    def _intake(self) -> Intake:
        intake: Intake = self.app.intake
        return intake

    def acknowledge(self, offsets: Mapping[TP, int]) -> None:
        """Note where to commit: for each partition the offset of the next record to be processed."""
        self._acknowledged.update(offsets)
        self.covered.update(offsets)

    def lag(self, tp: TP) -> int | None:
        """Return how many records of a partition no checkpoint covers yet; None when that is not known."""
        position, end = self._thread.place(tp)
        # Without a commit it begins where the broker's records begin, and the first of them may be gone.
        covered = self.covered.get(tp) or self.committed(tp) or position
        if end is None or position is None or covered is None:
            return None
        # Once all is fetched and covered the rest are no records: retention took them, or a transaction ends.
        done = position >= end and self.covered.get(tp, 0) >= self._fetched.get(tp, 0)
        return 0 if done else max(0, end - covered)

    def committed(self, tp: TP) -> int:
        """Return from which offset on a crash repeats a partition's records, as far as is known."""
        return self._confirmed.get(tp) or 0

    def caught_up(self, tp: TP) -> bool:
        """Tell whether all records of a partition that the broker is known to have were handed out."""
        return self._thread.caught_up(tp)

    def heard(self) -> float:
        """Return when the broker last answered a fetch, in Unix seconds; 0 when it has not yet."""
        return self._thread.heard()

    def answered(self, tp: TP) -> float:
        """Return when the broker last told of a partition, in Unix milliseconds; 0 when it has not yet."""
        return self._thread.answered(tp)

    def request_rejoin(self) -> None:
        """Let the group share its partitions out anew."""
        self._thread.request_rejoin()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish and commit what was begun before anything is taken away, then let Faust go on."""
        self.stop_flow()
        self._sought = self._placed = False
        await self.app.hand_over()
        self._acknowledged.clear()
        self.covered.clear()
        self._fetched.clear()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Begin a new epoch with what was assigned."""
        self.polled = time.monotonic()
        self.app.begin(assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Go to where the group had come; what was fetched of inputs before that is not to be used.

        Faust (0.15) seeks at the end of a recovery, while the flow is on, and between a rebalance and that.
        """
        recovered = self.flow_active
        await super().perform_seek()
        if recovered and await self.app.read_anew():
            await super().perform_seek()
        self._sought |= recovered and self.flow_active

    def resume_flow(self) -> None:
        """Go on, with inputs and outputs if their places were sought, and without changelogs then.

        Not before: Faust (0.15) empties its queues when it resumes, after the places were sought. And it
        would let aiokafka ask for changelogs in every fetch, and keep what nobody takes.
        """
        super().resume_flow()
        self._placed = self._sought
        if self._placed:
            self._thread.pause(filter(self._is_changelog_tp, self.assignment()))
        self._intake.look_again()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go to where the group had come, or to the beginning, so that what was not used is fetched again.

        aiokafka leaves a partition without a commit where a fetch from before the rebalance has brought it,
        and a fetch that is still under way would move others on again.
        """
        async with self._fetching:
            committed: Mapping[TP, int] = await super().seek_to_committed()
            self._confirmed = dict(committed)
            never = [tp for tp, offset in committed.items() if not offset and not self._is_changelog_tp(tp)]
            if never:
                with suppress(IllegalStateError):  # taken away meanwhile: the next rebalance seeks anew
                    await self._thread.seek_to_beginning(*never)
        return committed

    async def verify_all_partitions_active(self) -> None:
        """Leave it to `Health` to tell what is stuck.

        Faust (0.15) looks for a batch of each topic since the last rebalance; one of several topics lies
        where its last record lies.
        """

    async def commit_all(self) -> None:
        """Commit until nothing acknowledged is left: a commit under way may have left some out.

        Faust (0.15) takes the end of a wait for that one for its end, and would begin another.
        """
        while self._acknowledged or self._commit_fut is not None:
            if self._commit_fut is None:
                await self.commit()
            else:
                await asyncio.wait({self._commit_fut})

    async def commit_and_end_transactions(self) -> None:
        """Commit nothing when stopped: the hand-over did, as far as the broker took it in time.

        Faust (0.15) would wait for a commit that is under way, and without a broker for ever.
        """

    async def on_task_error(self, exc: BaseException) -> None:
        """Commit nothing when an agent fails: Faust (0.15) would wait as long before the worker fails."""

    async def commit_now(self, offsets: Mapping[TP, int]) -> None:
        """Commit, whatever was acknowledged, and do not go on before that is confirmed."""
        while not await self._commit(offsets):  # noqa: ASYNC110 - the broker tells nobody when it would take it
            await asyncio.sleep(_AGAIN)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit; Faust (0.15) counts also what was refused as committed.

        aiokafka (0.14) tries for ever where a topic is gone, and whoever stops waits for it; also beyond a
        rebalance, when other places were sought.
        """
        sought = self._confirmed
        committing = asyncio.ensure_future(super()._commit(offsets))
        try:
            while not (await asyncio.wait({committing}, timeout=self.app.settings.session_timeout))[0]:
                if missing := await self._thread.missing({tp.topic for tp in offsets}):
                    await self.app.crash(NotCommittedError(missing))
                    return False
            done = committing.result()
        finally:
            committing.cancel()
        if done:
            sought.update(offsets)
        return done

    def _new_consumer_thread(self) -> LoopConsumer:
        return LoopConsumer(self, self.loop, self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109
        self.polled = time.monotonic()
        wanted = self._usable(self._intake.wanted(active_partitions or set()))
        if not wanted:
            await self._intake.wait_for_room()
            return {}
        async with self._fetching:
            found = await super()._getmany(wanted, min(timeout, self._intake.patience()))
        if not self.flow_active:
            return {}
        usable = {tp: found[tp] for tp in self._usable(found)}
        self._fetched.update({tp: records[-1].offset + 1 for tp, records in usable.items() if records})
        return self._intake.arrange(usable)

    def _usable(self, tps: Iterable[TP]) -> set[TP]:
        """Leave out inputs and outputs until this assignment's recovery is over."""
        return {tp for tp in tps if self._placed or self._is_changelog_tp(tp)}

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Keep no books of gaps: batches acknowledge ranges."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return iter(list(self._acknowledged))

    def _new_offset(self, tp: TP) -> int | None:
        return self._acknowledged.pop(tp, None)

    def _should_commit(self, tp: TP, offset: int) -> bool:
        """Commit what was acknowledged, also below an older commit: a topic may have been made anew.

        Faust (0.15) looks at what it last tried: a commit that is refused after a rebalance, late, would keep
        the same offset from ever being committed again.
        """
        return offset != self._confirmed.get(tp)


class _NoBooks(dict[Any, Any]):
    """Takes the place of Faust's read offsets, by which it drops what seems to have been read.

    A batch of several topics lies where its last record lies; and every state knows what it has applied.
    """

    def __missing__(self, key: Any) -> None:
        return None

    def __setitem__(self, key: Any, value: Any) -> None:
        """Keep nothing."""

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Keep nothing."""


class Producer(driver.Producer):
    """An idempotent producer, unless the settings say that the broker knows none; it sends with the lease.

    A retried request of an idempotent producer neither doubles nor reorders records. Changelogs are sent to
    apart: a signal does not wait for snapshots.
    """

    def _settings_extra(self) -> dict[str, Any]:
        app: Any = self.app
        return {**super()._settings_extra(), "enable_idempotence": app.settings.producer_idempotence}

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        app: Any = self.app
        producer = super()._new_producer(transactional_id)
        app.lease.guard(producer._sender)
        send_apart(producer, {table.changelog_topic_name for table in app.state_tables.values()})
        keep_steady(producer)
        return producer


class Transport(driver.Transport):
    """Faust's aiokafka transport with the consumer and producer above."""

    Consumer = Consumer
    Producer = Producer
