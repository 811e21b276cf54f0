"""The rules of the runtime, each broken on purpose: what the simulation has to notice."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple
from unittest import mock

import pipeline.app
from pipeline import contract
from pipeline.features.state import State
from pipeline.features.states import Moment, States
from pipeline.runtime.application import Application, HandOver
from pipeline.runtime.checkpoint import Checkpoint
from pipeline.runtime.confirmation import all_confirmed
from pipeline.runtime.flow import Flow
from pipeline.runtime.lease import Lease
from pipeline.runtime.merge import Merge
from pipeline.runtime.store import SnapshotStore

if TYPE_CHECKING:
    from collections.abc import Callable


class _SameEpoch:
    """An epoch that is every other one's equal."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0

    def __add__(self, _):
        return self

    __radd__ = __iadd__ = __add__


def _no_epoch(stack):
    """Work of an older epoch goes on in the next."""
    init = Flow.__init__

    def begin_all_alike(self, *args, **kwargs):
        init(self, *args, **kwargs)
        self.epoch = _SameEpoch()

    stack.enter_context(mock.patch.object(Flow, "__init__", begin_all_alike))
    stack.enter_context(mock.patch.object(Checkpoint, "forget"))


async def _acknowledging_first(self, barrier, sent):
    await all_confirmed(sent.pending)
    self._acknowledge(sent.offsets)
    for name in reversed(contract.TABLES):
        await self._write(self._tables[name], barrier)
    self._intake.give_back(sent.records, sent.size)


async def _upstream_first(self, barrier, sent):
    await all_confirmed(sent.pending)
    for name in contract.TABLES:
        await self._write(self._tables[name], barrier)
    if barrier.epoch == self._flow.epoch:
        self._acknowledge(sent.offsets)
        self._intake.give_back(sent.records, sent.size)


async def _unconfirmed(self, barrier, sent):
    for name in reversed(contract.TABLES):
        await self._write(self._tables[name], barrier)
    if barrier.epoch == self._flow.epoch:
        self._acknowledge(sent.offsets)
        self._intake.give_back(sent.records, sent.size)


def _unwatched(self):
    moment = Moment(self.live, self._touched)
    self._touched = set()
    return moment


def _last_written(_self, snapshots, message):
    snapshots[message.key.decode()] = message.value


async def _forgetting_meanwhile(self):
    if self.flow.open_for_work and (found := self.flow.made_anew()):
        await self.consumer._thread.seek_to_beginning(*found)
    return False


def _forgetting_alone(self, topics):
    for topic in topics:
        self.applied.pop(topic, None)


_add = Merge.add


def _awaiting_no_context(self, *args):
    self.await_no_more(contract.CONTEXT)
    _add(self, *args)


def _blocking_agent(app, place):
    """Hand over as to any bounded queue of Faust's: waiting for room, and cleared by a rebalance."""
    following = app.channels[place + 1] if place + 1 < len(app.channels) else None

    @app.agent(app.channels[place], name=app.flow.stages[place].table)
    async def stage(units):
        async for unit in units:
            if not app.flow.fold(place, unit):
                continue
            if following is None:
                await app.checkpoint.deliver(unit)
            else:
                for subscriber in following._subscribers:
                    await subscriber.queue.put(unit)


def _bounded_queue(self):
    if self._queue is None:
        self._queue = self.app.FlowControlQueue(maxsize=1, clear_on_resume=True)
    return self._queue


def _blocking(stack):
    stack.enter_context(mock.patch.object(HandOver, "queue", property(_bounded_queue)))
    stack.enter_context(mock.patch.object(pipeline.app, "create_stage_agent", _blocking_agent))

    def put_nowait(self, work):
        for subscriber in self._subscribers:
            subscriber.queue.force_put_nowait(work)

    stack.enter_context(mock.patch.object(HandOver, "put_nowait", put_nowait))


def _patch(owner, name, value):
    return lambda stack: stack.enter_context(mock.patch.object(owner, name, value))


class Rule(NamedTuple):
    """A way to break a rule, and a part of what is then said."""

    break_it: Callable[[ExitStack], None]
    seen_as: str


RULES = {
    "epochs": Rule(_no_epoch, "of budget back"),
    "acknowledged-last": Rule(_patch(Checkpoint, "_confirm", _acknowledging_first), "lacks it"),
    "downstream-first": Rule(_patch(Checkpoint, "_confirm", _upstream_first), "which comes after it"),
    "messages-confirmed": Rule(_patch(Checkpoint, "_confirm", _unconfirmed), "was sent"),
    "snapshots-of-one-moment": Rule(_patch(States, "moment", _unwatched), "which comes after it"),
    "newer-snapshot-wins": Rule(_patch(SnapshotStore, "_apply", _last_written), "was sent as"),
    "hand-over-never-blocks": Rule(_blocking, "CancelledError"),
    "topics-made-anew-are-noticed": Rule(_patch(Flow, "made_anew", lambda _: {}), "was sent"),
    "read-anew-by-all-at-once": Rule(_patch(Application, "read_anew", _forgetting_meanwhile), "the state of"),
    "topics-made-anew-begin-a-life": Rule(_patch(State, "forget_offsets", _forgetting_alone), "the state of"),
    "context-is-awaited": Rule(_patch(Merge, "add", _awaiting_no_context), "was sent as"),
    "lease": Rule(_patch(Lease, "check", lambda _: None), "taken for dead"),
}


def broken(name):
    """Return a context in which a rule is broken."""
    stack = ExitStack()
    RULES[name].break_it(stack)
    return stack
