"""Memory: garbage is looked for when that holds up least, and what was freed goes back to the system."""

from __future__ import annotations

import asyncio
import ctypes
import gc
from contextlib import suppress
from typing import Final

_EVERY: Final = 0.02
_LATE: Final = 0.003
_WORTH_IT: Final = 500
_BRIEF: Final = 5_000
"""Young objects that are looked through in one or two milliseconds."""
_ROUNDS: Final = 5


def collect_less() -> None:
    """Look for garbage in cycles less often: a batch makes thousands of objects, and none of them has cycles.

    What is there by now stays as long as the worker, and is not looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def collect_briefly() -> None:
    """Look for garbage among few young objects again and again, before so many are there that it takes 20 ms.

    A busy time is left alone, in which this comes late or many objects are there: most are gone after it.
    """
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _EVERY
        await asyncio.sleep(_EVERY)
        young, rounds, _ = gc.get_count()
        if loop.time() - due < _LATE and _WORTH_IT <= young <= _BRIEF:
            gc.collect(1 if rounds >= _ROUNDS else 0)


def give_back() -> None:
    """Look through all objects for garbage, and let the C library give back what it keeps of freed memory.

    What piles up while partitions move (records that wait, states that are read anew) is freed in pieces
    between others that stay, and glibc keeps those; and what of it is old garbage in cycles, nobody looks for
    in a quiet worker: it would grow by half a megabyte to several with each rebalance. Where the C library
    can give nothing back, it does not.
    """
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):  # only glibc knows it
        ctypes.CDLL(None).malloc_trim(0)
