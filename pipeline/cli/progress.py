"""How far the reading of recorded files has come, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from pipeline.cli.output import progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.cli.recorded.recordings import Recorded, Recordings

STEP: Final = 500
"""Messages between two steps of the bar."""


def watched(recordings: Recordings, what: str) -> Iterator[Recorded]:
    """Yield recorded messages, and show what is done with them, and how many rows of the files were read."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with progress_bar(*columns, total=recordings.size) as update:
        for number, recorded in enumerate(recordings):
            if number % STEP == 0:
                update(completed=recordings.done)
            yield recorded
