"""A recording, understood again as it was when it was made: line by line, by the clock of then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.collect.venue import Request

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline.collect.reading import Listing, Reading
    from pipeline.collect.recording import Line
    from pipeline.collect.venue import State


class Replay:
    """Understands again what one venue said.

    Parameters
    ----------
    reading
        Understands the venue.
    symbols
        Those that are collected.

    """

    def __init__(self, reading: Reading, symbols: Collection[str]) -> None:
        self._reading = reading
        self._symbols = symbols
        self._answers: list[Any] = []
        self._listing: Listing | None = None
        self._states: dict[int, State] = {}

    def take(self, line: Line) -> None:
        """Take the next line.

        Raises
        ------
        VenueError
            The recording does not begin with the venue's instruments, or has none of those symbols.

        """
        if line.kind == "listing":
            if self._listing is not None:  # the instruments changed
                self._answers, self._listing = [], None
            self._answers.append(msgspec.json.decode(line.text))
            return
        state = self._state(line)
        if line.kind == "frame":
            self._reading.frame(line.content, state, line.at_ms)
        elif line.kind == "answer":
            request = Request(url="", about=line.about)
            self._reading.answer(request, msgspec.json.decode(line.text), state, line.at_ms)

    def _state(self, line: Line) -> State:
        """Return the state of the line's conversation: begun anew with it."""
        if self._listing is None:
            self._listing = self._reading.choose(self._answers, self._symbols)
            self._reading.relist(self._listing)
        if line.kind == "began" or line.conversation not in self._states:
            self._states[line.conversation] = self._reading.state(self._listing, line.at_ms)
        return self._states[line.conversation]
