"""An event loop with a virtual clock, and in it several processes that can be stopped or killed at any step.

A process is a first-in-first-out queue of callbacks, as in asyncio's own loop: within one, their order is
asyncio's. Which process runs next is drawn, as machines run side by side. Time stands while anything can
run, and then leaps to the next timer.

Whose a callback is, its context says: tasks inherit it from the task that made them, and what is done when a
future is done belongs to whoever asked for that.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from itertools import count
from types import SimpleNamespace
from unittest import mock

from pipeline.runtime import delivery, intake, lease, units

WALL = 1_760_000_000.0
"""The time of day, in Unix seconds, when the virtual clock shows 0."""


class Process:
    """Callbacks that run one after the other, and what is to happen after so many more of them."""

    def __init__(self, name):
        self.name = name
        self.ready = deque()
        self.alive = True
        self.frozen = False
        self.steps = 0
        self.fuse = None
        self.blow = None

    def burn(self, steps, blow):
        """Call something after so many more steps."""
        self.fuse, self.blow = steps, blow

    def kill(self):
        """Let nothing of it run any more."""
        self.alive = False
        self.ready.clear()


_process: ContextVar[Process] = ContextVar("process")


class NothingToDoError(Exception):
    """Everybody waits, and for nothing."""


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs until a future is done; nothing depends on the machine, so the same draws give the same run."""

    def __init__(self, rng):
        self._rng = rng
        self._now = 0.0
        self._timers = []
        self._count = count()
        self._tasks = []
        self.world = Process("world")
        self._processes = [self.world]
        self._outside = copy_context()
        self._outside.run(_process.set, self.world)
        self.problems = []

    def process(self, name):
        """Add a process; `spawn` starts something in it."""
        process = Process(name)
        self._processes.append(process)
        return process

    def spawn(self, process, coroutine):
        """Start a task in a process."""
        context = copy_context()
        context.run(_process.set, process)
        return self.create_task(coroutine, context=context)

    def outside(self, delay, callback, *args):
        """Call something later that belongs to no worker: the network, the broker, fate."""
        self.call_later(delay, callback, *args, context=self._outside)

    def run(self, future, until):
        """Run until a future is done or the clock shows a time; return whether it is done."""
        asyncio.set_event_loop(self)
        asyncio.events._set_running_loop(self)
        try:
            while not future.done():
                if self._now > until:
                    return False
                self._turn()
        finally:
            asyncio.events._set_running_loop(None)
            asyncio.set_event_loop(None)
        return True

    def _turn(self):
        able = [process for process in self._processes if process.ready and not process.frozen]
        if not able:
            self._leap()
            return
        process = able[0] if len(able) == 1 else self._rng.choice(able)
        handle = process.ready.popleft()
        if not handle._cancelled:
            handle._run()
        process.steps += 1
        if process.fuse is not None:
            process.fuse -= 1
            if process.fuse <= 0:
                process.fuse = None
                process.blow()

    def _leap(self):
        if not self._timers:
            raise NothingToDoError
        self._now = max(self._now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now:
            _, _, process, handle = heapq.heappop(self._timers)
            if process.alive and not handle._cancelled:
                process.ready.append(handle)
        self._processes = [process for process in self._processes if process.alive]

    def close(self):
        """Close what is still waiting, without running any of it on."""
        for process in self._processes:
            process.kill()
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False
                try:
                    task.get_coro().close()
                except (RuntimeError, Exception):  # noqa: BLE001, S112 - it is dead, whatever it says
                    continue
        self._tasks.clear()
        self._timers.clear()

    # What asyncio asks of a loop

    def time(self):
        return self._now

    def get_debug(self):
        return False

    def is_running(self):
        return True

    def is_closed(self):
        return False

    def create_future(self):
        return asyncio.Future(loop=self)

    def create_task(self, coro, *, name=None, context=None):
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def call_soon(self, callback, *args, context=None):
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        process = context.get(_process, self.world)
        if process.alive:
            process.ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay, callback, *args, context=None):
        return self.call_at(self._now + max(delay, 0.0), callback, *args, context=context)

    def call_at(self, when, callback, *args, context=None):
        context = copy_context() if context is None else context
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._count), context.get(_process, self.world), handle))
        return handle

    def _timer_handle_cancelled(self, handle):
        """Leave it in the heap: it is passed over."""

    def call_exception_handler(self, context):
        self.problems.append(context)


@contextmanager
def virtual_time(loop):
    """Let the runtime see the loop's clock wherever it asks for the time."""
    clock = SimpleNamespace(
        monotonic=loop.time,
        perf_counter=loop.time,
        time=lambda: WALL + loop.time(),
        clock_gettime=lambda _: loop.time(),
        CLOCK_MONOTONIC=1,
    )
    modules = (delivery, intake, lease, units)
    patches = [mock.patch.object(module, "time", clock) for module in modules]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()
