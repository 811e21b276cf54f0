"""Processes that runs are carried out in, and that end with this one."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import TYPE_CHECKING, TypeVar

from pipeline.cli.output import fail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

In = TypeVar("In")
Out = TypeVar("Out")


def results(work: Callable[[In], Out], given: Sequence[In], jobs: int) -> Iterator[tuple[int, Out]]:
    """Yield the place and the result of each piece of work, as they are done in so many processes.

    An interruption ends all processes, and what they have begun is put away.
    """
    with ProcessPoolExecutor(jobs, get_context("spawn"), _end_on_sigterm) as pool, _ending_them():
        with _uninterrupted():
            waiting = {pool.submit(_done, work, each): place for place, each in enumerate(given)}
        for future in as_completed(waiting):
            yield waiting[future], future.result()


def _done(work: Callable[[In], Out], given: In) -> Out:
    try:
        return work(given)
    except SystemExit:
        os._exit(1)  # else the pool goes on with what is next


def _end_on_sigterm() -> None:
    signal.signal(signal.SIGTERM, lambda *_: _leave())


def _leave() -> None:
    raise SystemExit


@contextmanager
def _ending_them() -> Iterator[None]:
    """End all processes if the block is left early."""
    try:
        yield
    except BrokenProcessPool:
        fail("a process was ended from outside, perhaps as memory ran out: fewer --jobs need less")
    except BaseException:
        for child in active_children():
            child.terminate()
        raise


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep Ctrl-C from processes that are started, for all the time that they live: it is for this one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
