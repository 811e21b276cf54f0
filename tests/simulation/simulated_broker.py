"""A Kafka broker in memory: logs, committed offsets, one consumer group, and a network that is not kind.

Requests and answers take drawn times, so those of different partitions overtake each other. An answer to a
producer may be lost: then the request is repeated, and an idempotent broker takes it once, another twice.
The group is Kafka's classic one with its eager protocol: all hand over before anybody gets a partition.
"""

from __future__ import annotations

from collections import defaultdict

from aiokafka.errors import IllegalGenerationError, NoError, RebalanceInProgressError, UnknownMemberIdError
from aiokafka.structs import ConsumerRecord
from virtual_loop import WALL


class Network:
    """Draws how long things take, and which answers are lost.

    Attributes
    ----------
    slow, slowest
        The share of requests that take long, and the longest that these take, in seconds.
    late, latest
        The same for what is produced: it may arrive when others have taken over long ago.
    lossy
        The share of answers to producers that are lost.

    """

    def __init__(self, rng, latest):
        self.rng = rng
        self.slow, self.slowest = rng.choice((0.0, 0.02, 0.1)), rng.choice((0.5, 3.0, 9.0))
        self.late, self.latest = rng.choice((0.0, 0.02, 0.15)), latest
        self.lossy = rng.choice((0.0, 0.05))

    def delay(self):
        draw = self.rng.random()
        return draw * self.slowest if self.rng.random() < self.slow else 0.0005 + 0.004 * draw

    def lateness(self):
        return self.rng.random() * self.latest if self.rng.random() < self.late else 0.0

    def heal(self):
        """Let everything be quick and safe from now on, so that a run comes to its end."""
        self.slow = self.late = self.lossy = 0.0

    def loses(self):
        return self.rng.random() < self.lossy


class Broker:
    """Partitions and a group; `watch` is told what is appended and committed."""

    def __init__(self, loop, network, settings, watch):
        self.loop, self.network, self.watch = loop, network, watch
        self.logs = defaultdict(list)
        self.committed = {}
        self.group = Group(loop, settings, self)
        self._idempotent = settings.producer_idempotence
        self._taken = {}
        self._waiting = []

    async def ask(self, apply, *args, late=0.0):
        """Let the broker do something: the request takes a while, and so does the answer."""
        answer = self.loop.create_future()
        self.loop.outside(late + self.network.delay(), self._serve, answer, apply, args)
        return await answer

    def _serve(self, answer, apply, args):
        result = apply(*args)
        self.loop.outside(self.network.delay(), _settle, answer, result)

    def write(self, tp, key, value, timestamp_ms):
        """Append one record, as a feed does."""
        log = self.logs[tp]
        log.append(
            ConsumerRecord(
                tp.topic, tp.partition, len(log), timestamp_ms, 0, key, value, None,
                len(key or b""), len(value or b""), (),
            )
        )  # fmt: skip
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            _settle(waiter, None)

    def produce(self, worker, sent_at, number, tp, records):
        """Append a batch of a worker's producer, once if it is idempotent; return where it begins."""
        place = worker.name, tp
        number_before, offset = self._taken.get(place, (-1, -1))
        if self._idempotent and number <= number_before:
            return offset
        offset = len(self.logs[tp])
        for key, value, timestamp_ms in records:
            self.write(tp, key, value, self.now_ms() if timestamp_ms is None else timestamp_ms)
        self._taken[place] = number, offset
        self.watch.appended(worker, sent_at, tp, offset)
        return offset

    def commit(self, member, generation, offsets):
        """Keep committed offsets of a member of this generation; return whether they were taken."""
        if self.group.refuses(member, generation):
            return False
        for tp, offset in offsets.items():
            self.committed[tp] = offset
            self.watch.committed(tp, offset)
        return True

    def recreate(self, topic, *, forget_commits):
        """Delete a topic and make it anew."""
        for tp in [tp for tp in self.logs if tp.topic == topic]:
            self.logs[tp] = []
            if forget_commits:
                self.committed.pop(tp, None)

    async def something_new(self, timeout):  # noqa: ASYNC109
        """Wait until anything is appended, but not for ever."""
        waiter = self.loop.create_future()
        self._waiting.append(waiter)
        self.loop.outside(timeout, _settle, waiter, None)
        await waiter

    def now_ms(self):
        return round((WALL + self.loop.time()) * 1_000)


class Member:
    def __init__(self):
        self.heard = 0.0
        self.joining = None
        self.expired = False


class Group:
    """Members, their generation, and who has which partition numbers."""

    FIRST_DELAY = 0.3

    def __init__(self, loop, settings, broker):
        self._loop, self._settings, self._broker = loop, settings, broker
        self._members = {}
        self._round = 0
        self.generation = 0
        self.preparing = False
        self.expired = {}

    def join(self, name, answer):
        """Take a member in; it is answered when all have joined, or at once when it was taken for dead."""
        if name in self.expired:
            _settle(answer, None)
            return
        member = self._members.setdefault(name, Member())
        member.joining = answer
        self._heard(name, member)
        self._prepare()

    def leave(self, name):
        """Let a member go."""
        if self._members.pop(name, None):
            self._prepare()

    def _prepare(self):
        if not self.preparing:
            self.preparing = True
            self._round += 1
            self._loop.outside(self._settings.rebalance_timeout, self._give_up, self._round)
        if self._members and all(member.joining for member in self._members.values()):
            self._loop.outside(self.FIRST_DELAY, self._complete, self._round)

    def _give_up(self, number):
        if number == self._round and self.preparing:
            self._members = {name: member for name, member in self._members.items() if member.joining}
            self._complete(number)

    def _complete(self, number):
        joined = all(member.joining for member in self._members.values())
        if number != self._round or not self.preparing or not self._members or not joined:
            return
        self.preparing = False
        self.generation += 1
        names = sorted(self._members)
        self._broker.network.rng.shuffle(names)
        for place, name in enumerate(names):
            member = self._members[name]
            partitions = set(range(place, self._settings.partitions, len(names)))
            answer, member.joining = member.joining, None
            self._heard(name, member)
            self._loop.outside(self._broker.network.delay(), _settle, answer, (self.generation, partitions))

    def check(self, name, generation):
        """Return Kafka's error code for a heartbeat, or for the request to sync."""
        member = self._members.get(name)
        if member is None:
            return UnknownMemberIdError.errno
        if generation != self.generation:
            return IllegalGenerationError.errno
        self._heard(name, member)
        return RebalanceInProgressError.errno if self.preparing else NoError.errno

    def refuses(self, name, generation):
        return name not in self._members or generation != self.generation

    def _heard(self, name, member):
        member.heard = self._loop.time()
        self._loop.outside(self._settings.session_timeout, self._expire, name, member)

    def _expire(self, name, member):
        silent = self._loop.time() - member.heard >= self._settings.session_timeout - 1e-9
        if self._members.get(name) is member and silent and not member.joining:
            del self._members[name]
            self.expired[name] = self._loop.time()
            self._prepare()


def _settle(future, result):
    if not future.done():
        future.set_result(result)
