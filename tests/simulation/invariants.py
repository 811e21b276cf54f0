"""What has to hold at every moment of a run, and at its end."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict

from faust.types import TP
from simulated_market import identify

from pipeline import contract
from pipeline.features.states import read_snapshot


class Violation(AssertionError):  # noqa: N818 - it is what a rule's breach is called
    """Something that must never be was."""


class Watch:
    """Sees whatever the broker takes, and raises when it must not be.

    - An acknowledged record is in every state that has to know it.
    - A state is not ahead of what it led to being sent, nor of a state downstream of it.
    - What is sent is what an uninterrupted run sends.
    - Nobody sends who was out of touch for longer than the session timeout.

    `begins` tells of topics that were made anew where their offsets would be if they had gone on.
    """

    def __init__(self, expected, changelogs):
        self._expected, self._changelogs = expected, changelogs
        self.broker = None
        self.sent = {}
        self.times_sent = defaultdict(int)
        self.begins = {}
        self.applied = {}
        self._checked = defaultdict(int)
        self._acknowledged = defaultdict(int)
        self.problem = None
        self.trace = []

    def appended(self, worker, sent_at, tp, offset):
        """Look at what was appended by a worker, which sent it at some time."""
        self.trace.append((tp, offset, worker.name))
        try:
            self._check_sender(worker, sent_at)
            for record in self.broker.logs[tp][offset:]:
                if tp.topic in self._changelogs:
                    self._stored(self._changelogs[tp.topic], record)
                elif tp.topic != contract.CONTEXT:
                    self._sent(tp.topic, record.value)
        except Violation as violation:
            self.problem = self.problem or violation

    def committed(self, tp, offset):
        """Look at what was acknowledged."""
        self.trace.append((tp, offset))
        if tp.topic == contract.CONTEXT or offset > len(self.broker.logs[tp]):
            return  # beyond the end lies nothing to acknowledge: it tells of a topic that was made anew
        try:
            self._check_acknowledged(tp, offset + self.begins.get(tp, 0))
        except Violation as violation:
            self.problem = self.problem or violation

    def _check_sender(self, worker, sent_at):
        expired = self.broker.group.expired.get(worker.coordinator.name)
        if expired is not None and sent_at > expired:
            raise Violation(
                f"{worker.name} sent at {sent_at:.3f}, though it was taken for dead at {expired:.3f}"
            )

    def _sent(self, topic, value):
        name, content = identify(topic, value)
        if name not in self._expected.outputs:
            raise Violation(f"{name} was sent, and an uninterrupted run sends no such message")
        if content != self._expected.outputs[name]:
            raise Violation(f"{name} was sent as {content}, not as {self._expected.outputs[name]}")
        self.sent[name] = content
        self.times_sent[name] += 1

    def _stored(self, table, record):
        place = table, record.partition, record.key.decode()
        snapshot = read_snapshot(record.value)
        for topic, (last, _) in snapshot.applied.items():
            reached = (*place, topic)
            offset = last + self.begins.get(TP(topic, record.partition), 0)
            if offset > self.applied.get(reached, -1):
                self._check_sent(reached, offset)
                self._check_downstream(reached, offset)
                self.applied[reached] = offset

    def _check_sent(self, reached, offset):
        caused = self._expected.caused.get(reached, ())
        index = self._checked[reached]
        while index < len(caused) and caused[index][0] <= offset:
            missing = [name for name in caused[index][1] if name not in self.sent]
            if missing:
                raise Violation(f"{reached} was stored up to {offset} before {missing} was sent")
            index += 1
        self._checked[reached] = index

    def _check_downstream(self, reached, offset):
        table, partition, key, topic = reached
        for other in contract.TABLES[contract.TABLES.index(table) + 1 :]:
            wanted = _at_most(self._expected.marks.get((other, partition, key, topic), ()), offset)
            if self.applied.get((other, partition, key, topic), -1) < wanted:
                raise Violation(f"{reached} was stored up to {offset} before {other}, which comes after it")

    def _check_acknowledged(self, tp, offset):
        for (table, partition, key, topic), marks in self._expected.marks.items():
            if (topic, partition) == tuple(tp):
                wanted = _at_most(marks, offset - 1)
                if self.applied.get((table, partition, key, topic), -1) < wanted:
                    raise Violation(f"{tp} was acknowledged up to {offset}, and {table} of {key} lacks it")

    def at_the_end(self, recovered):
        """Compare what was sent, and the state that a new worker recovers, with the uninterrupted run."""
        if missing := [name for name in self._expected.outputs if name not in self.sent]:
            raise Violation(f"never sent: {missing[:5]}")
        for place, wanted in self._expected.states.items():
            found = recovered.get(place)
            if self._comparable(found) != self._comparable(wanted, place[1]):
                raise Violation(f"the state of {place} is {found}, not {wanted}")

    def _comparable(self, snapshot, partition=None):
        """Return what has to be alike; of one that was made without topics made anew say its partition."""
        if snapshot is None:
            return None
        applied = dict(snapshot.applied)
        if partition is not None:
            begins = {topic: self.begins.get(TP(topic, partition), 0) for topic in applied}
            applied = {
                topic: (place - begins[topic], time)
                for topic, (place, time) in applied.items()
                if place >= begins[topic]
            }
        return snapshot.frozen, snapshot.active, applied


def _at_most(offsets, offset):
    place = bisect_right(offsets, offset)
    return offsets[place - 1] if place else -1
