"""One run of the simulation from its seed, and the command that replays it.

`python tests/simulation/simulated_run.py FIRST [COUNT] [--broken RULE ...]` runs seeds until one fails, and
tells which; with broken rules, until each of them was noticed. The hash seed is part of what makes a run
repeat exactly, so the command sets it for itself.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import logging
import multiprocessing
import os
import random
import sys
import traceback
import zlib
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import structlog
from broken_rules import RULES, broken
from faust.types import TP
from invariants import Violation, Watch
from simulated_broker import Broker, Network
from simulated_market import REFERENCE, Expected, Market, fitting, old
from simulated_worker import Worker, recover
from virtual_loop import WALL, NothingToDoError, VirtualLoop, virtual_time

from pipeline import app, contract, load_profile
from pipeline.features.states import read_snapshot
from pipeline.runtime import intake
from pipeline.runtime.lease import LeaseLostError
from pipeline.runtime.placement import partition_of
from pipeline.runtime.store import SnapshotStore
from pipeline.runtime.topic_plan import changelog_topic
from pipeline.settings import Settings

HEALED = 60.0
"""Virtual seconds after which the network is kind."""
LONGEST = 400.0
"""Virtual seconds within which a run has to come to its end."""
LONGEST_REST = 60.0
"""Virtual seconds after which a worker that was stopped is gone, and what it sent has arrived."""
PATIENCE = 0.5
"""Instead of the intake's 0.02 s, how often it looks whether a wait is over."""
SEEDS_AT_ONCE = 20
PROFILES = (str(Path(__file__).with_name("habits.toml")), "seed")
BROKEN_BY_FATE = (LeaseLostError,)


class Run:
    """A market, some workers, and what fate has for them."""

    def __init__(self, seed):
        self.rng = rng = random.Random(seed)
        self.mixed = rng.random() < 0.6
        self.partitions = rng.choice((1, 2, 2, 3))
        self.settings = Settings(
            app_id="sim",
            partitions=self.partitions,
            redis_enabled=False,
            web_enabled=False,  # its views have clients of their own, that ask a real broker
            session_timeout=6.0,
            rebalance_timeout=10.0,
            context_settle_ms=60_000,
            max_poll_records=rng.choice((5, 20, 200)),
            budget_records=rng.choice((10, 50, 1_000)),
            producer_idempotence=rng.random() < 0.8,
            profile=PROFILES[seed % 2],
        )
        place = partial(rng.choice((partition_of, partition_of, _by_checksum)), partitions=self.partitions)
        self._remade, self.acts = self._draw(Market(rng, self.partitions, place, mixed=self.mixed))
        self._act = 0
        home = place(REFERENCE.encode())
        self.expected = Expected(
            self.acts, self.partitions, home, load_profile(self.settings.profile), self._remade
        )
        changelogs = {changelog_topic("sim", table): table for table in contract.TABLES}
        self.watch = Watch(self.expected, changelogs)
        self.loop = VirtualLoop(rng)
        network = Network(rng, latest=5.0 if self.mixed else 15.0)
        self.broker = self.watch.broker = Broker(self.loop, network, self.settings, self.watch)
        self.workers = {}
        self._lives = 0
        self._faults = rng.randrange(7)
        self._batch_records = rng.choice((1, 4, 50))
        self._resting = False
        self.done = None

    def _draw(self, market):
        """Return which topic is made anew, if any, and what lies on the topics before and after that."""
        rng = self.rng
        first = market.draw(rng.randrange(20, 120), round((old(rng) if self.mixed else WALL) * 1_000))
        if not self.mixed or rng.random() < 0.7:
            return None, [first]
        remade = rng.choice(contract.FEEDS)
        later = market.draw(rng.randrange(10, 60), first[-1].time + 500)
        return remade, [first, fitting(first, later, remade)]

    def go(self):
        """Run to the end, and say what was wrong: raise Violation."""
        try:
            with virtual_time(self.loop):
                self.done = self.loop.create_future()
                self._feed()
                for number in range(self.rng.choice((1, 2, 2, 3))):
                    self.loop.outside(self.rng.uniform(0, 3) if number else 0, self._start, number)
                self.loop.outside(HEALED, self.broker.network.heal)
                self.loop.outside(0.5, self._look)
                self._finish()
        finally:
            self.loop.close()

    def _finish(self):
        try:
            ended = self.loop.run(self.done, LONGEST * len(self.acts))
        except NothingToDoError:
            ended = False
        if self.watch.problem is not None:
            raise self.watch.problem
        if not ended:
            ends = self.expected.ends[self._act]
            raise Violation(f"not done after {self.loop.time():.0f} s: {self.broker.committed} of {ends}")
        self.watch.at_the_end(self._recovered())
        for worker in self.workers.values():
            if self._settled(worker) and (worker.app.intake.records or worker.app.intake.size):
                raise Violation(f"{worker.name} never got {worker.app.intake.records} records of budget back")

    def _recovered(self):
        """Return the snapshots that a new worker would find, by table, partition and key."""
        found = {}
        for name in contract.TABLES:
            store = SnapshotStore("memory://", None, None, table_name=name)
            for partition in range(self.partitions):
                tp = TP(changelog_topic("sim", name), partition)
                if records := self.broker.logs[tp]:
                    recover(store, tp, records)
                stored = store.partition(partition).items()
                found |= {(name, partition, key): read_snapshot(data) for key, data in stored}
        return found

    def _settled(self, worker):
        coordinator = getattr(worker, "coordinator", None)
        refused = coordinator is None or self.broker.group.refuses(coordinator.name, coordinator.generation)
        return worker.process.alive and not refused

    def _feed(self):
        for record in self.acts[self._act]:
            delay = 0.0 if self.mixed else record.time / 1_000 - WALL
            self.loop.outside(delay, self.broker.write, record.tp, record.key, record.value, record.time)

    def _start(self, number):
        if self._resting:
            return
        self._lives += 1
        name = f"{number}.{self._lives}"
        ended, overtaken = partial(self._ended, number), partial(self.loop.outside, 0.01, self._strike)
        worker = Worker(name, self.broker, self.settings, self._batch_records, ended, overtaken)
        self.workers[number] = worker
        if self._faults > 0:
            steps = round(10 ** self.rng.uniform(1, 4))
            worker.process.burn(steps, partial(self._strike, worker))

    def _strike(self, worker):
        if self._faults <= 0 or self.done.done() or not worker.process.alive:
            return
        self._faults -= 1
        fate = self.rng.random()
        if fate < 0.5:
            worker.end()
        elif fate < 0.85:
            worker.process.frozen = True
            self.loop.outside(self.rng.choice((2.0, 5.5, 7.0, 15.0)), self._thaw, worker)
        else:
            worker.stop_soon()

    def _thaw(self, worker):
        worker.process.frozen = False
        if worker.process.alive and self._faults > 0:
            worker.process.burn(round(10 ** self.rng.uniform(0, 3)), partial(self._strike, worker))

    def _ended(self, number, worker):
        error = worker.error
        if error is not None and not isinstance(_first_cause(error), BROKEN_BY_FATE):
            self.watch.problem = self.watch.problem or Violation(
                f"{worker.name} ended: {''.join(traceback.format_exception(error))}"
            )
        self.loop.outside(self.rng.choice((0.1, 1.0, 8.0)), self._start, number)

    def _look(self):
        if self.watch.problem is not None:
            self._end()
        elif self._all_is_committed() and self._all_calm():
            is_last = self._act == len(self.acts) - 1
            self.loop.outside(1.0, self._end if is_last else self._rest)
        else:
            self.loop.outside(0.5, self._look)

    def _rest(self):
        """Stop all workers, and wait until all that they have sent has arrived."""
        self._resting = True
        for worker in self.workers.values():
            (worker.stop_soon if self.rng.random() < 0.5 else worker.end)()
        self.loop.outside(LONGEST_REST, self._make_anew)

    def _make_anew(self):
        """Make a topic anew, and begin the next act."""
        self.broker.recreate(self._remade, forget_commits=self.rng.random() < 0.5)
        self.watch.begins = self.expected.begins
        self._act += 1
        self._faults = self.rng.randrange(5)
        self._resting = False
        self._feed()
        for number in self.workers:
            self._start(number)
        self._look()

    def _all_is_committed(self):
        contexts = [TP(contract.CONTEXT, number) for number in range(self.partitions)]
        wanted = self.expected.ends[self._act] | {tp: len(self.broker.logs[tp]) for tp in contexts}
        return all(self.broker.committed.get(tp, 0) == end or not end for tp, end in wanted.items())

    def _all_calm(self):
        return not any(worker.process.frozen for worker in self.workers.values())

    def _end(self):
        if not self.done.done():
            self.done.set_result(None)

    def __str__(self):
        """Say what happened."""
        sent = self.watch.times_sent
        return (
            f"{sum(map(len, self.acts))} records, {self._remade or 'nothing'} made anew, "
            f"{len(sent)} messages sent {sum(sent.values())} times, "
            f"{self._lives} lives of workers, {self.loop.time():.1f} s, trace {self.digest()}"
        )

    def digest(self):
        """Return what tells one run from another."""
        return hashlib.sha256(repr(self.watch.trace).encode()).hexdigest()[:16]


def _by_checksum(key, partitions):
    """Place a key in a way that is not Kafka's own."""
    return zlib.crc32(key) % partitions


def _first_cause(error):
    return error if error.__cause__ is None else _first_cause(error.__cause__)


def attempt(seed):
    """Run one seed; return whether it holds, and what there is to say."""
    found = Run(seed)
    try:
        found.go()
    except Violation as violation:
        return False, f"seed {seed}: {violation}"
    finally:
        gc.collect()
        gc.freeze()  # Faust lets no app go: it is not looked at again
    return True, f"seed {seed} holds: {found}"


def attempt_without(rule, seeds):
    """Run seeds until one notices that a rule is broken; return whether one did, and what it said."""
    with broken(rule):
        for seed in seeds:
            holds, said = attempt(seed)
            if not holds:
                return True, f"without {rule}: {said}"
    return False, f"without {rule}: {len(seeds)} seeds hold"


def side_by_side(work, parts, at_once):
    """Do parts of some work on all processors, so many in a process; yield in order what they return."""
    with multiprocessing.get_context("fork").Pool(maxtasksperchild=1) as pool:
        yield from pool.imap(work, parts, chunksize=at_once)


def quiet():
    """Log nothing: a worker's own log is made for its machine; collect garbage between runs alone."""
    gc.collect()
    gc.freeze()
    gc.disable()
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    intake._PATIENCE = PATIENCE
    app.check_versions = lambda **_: None  # it reads files, each time


def main():
    parser = argparse.ArgumentParser(description="Run seeds of the simulation until one fails.")
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int, nargs="?", default=1)
    parser.add_argument("--broken", choices=RULES, nargs="*", help="rules of the runtime to break")
    chosen = parser.parse_args()
    seeds = range(chosen.first, chosen.first + chosen.count)
    quiet()
    if chosen.broken:
        answers = side_by_side(partial(attempt_without, seeds=seeds), chosen.broken, 1)
    else:
        answers = side_by_side(attempt, seeds, SEEDS_AT_ONCE)
    for holds, said in answers:
        sys.stdout.write(f"{said}\n")
        if not holds:
            sys.exit(1)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"PYTHONHASHSEED": "0"})  # noqa: S606
    main()
