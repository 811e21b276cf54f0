"""Files that take the place of older ones only when they are whole."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield where to write what is to be at a path: it is there when the block ends, unless that failed."""
    place = path.resolve()  # of a link, what it leads to
    unfinished = place.with_name(f".{place.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
        if unfinished.exists():
            unfinished.replace(place)
    finally:
        with suppress(OSError):  # it took its place, or could not be made
            unfinished.unlink()
