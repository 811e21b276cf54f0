"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Let the C library give back what it keeps of freed memory; where it cannot, nothing happens.

    What piles up while partitions move (records that wait, states that are read anew) is freed in pieces
    between others that stay, and glibc keeps those: a worker would grow by megabytes with each rebalance.
    """
    with suppress(OSError, AttributeError, TypeError):  # only glibc knows it
        ctypes.CDLL(None).malloc_trim(0)
