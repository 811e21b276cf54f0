"""Raw frames as they came, kept: what was understood wrongly can be understood again.

JSON Lines, gzip, a file for each run of a venue. A file that a crash cut short is read up to where it ends.
"""

from __future__ import annotations

import base64
import gzip
import time
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

import structlog
from msgspec import Struct

from pipeline import codec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = structlog.get_logger(__name__)

_FLUSH: Final = 1.0
"""Seconds after which what was written is on the disk."""


class Line(Struct, omit_defaults=True):
    """Something that a venue said.

    Attributes
    ----------
    kind
        `listing`: an answer with instruments; `began`: a conversation began; `frame`: of a conversation;
        `answer`: to a request.
    at_ms
        When it was received, by this machine's clock.
    conversation
        Which one, by number.
    text, data
        What was said, as text, or bytes in base64.
    about
        What was asked about, of an answer.

    """

    kind: Literal["listing", "began", "frame", "answer"]
    at_ms: int
    conversation: int = 0
    text: str = ""
    data: str = ""
    about: str = ""

    @property
    def content(self) -> str | bytes:
        """What was said."""
        return base64.b64decode(self.data) if self.data else self.text


def said(content: str | bytes) -> dict[str, str]:
    """Return a frame as fields of a line."""
    if isinstance(content, str):
        return {"text": content}
    return {"data": base64.b64encode(content).decode()}


class Recorder:
    """Writes what one venue says to a file of its own, as long as the disk takes it: a full one ends no feed.

    Raises
    ------
    OSError
        The directory cannot be written to.

    """

    def __init__(self, directory: Path, venue: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        began = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        self._path = directory / f"{venue}-{began}.jsonl.gz"
        self._file = gzip.open(self._path, "ab")  # noqa: SIM115 - as long as it runs
        self._flushed = time.monotonic()
        self._ended = False

    def write(self, line: Line) -> None:
        """Write a line; it is on the disk a second later at most, once another one comes."""
        if self._ended:
            return
        with self._ending():
            self._file.write(codec.encode(line) + b"\n")
            if time.monotonic() - self._flushed > _FLUSH:
                self._file.flush()
                self._flushed = time.monotonic()

    def close(self) -> None:
        """Write the rest."""
        with self._ending():
            self._file.close()

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """End the recording, and say so, where the disk does not take it."""
        try:
            yield
        except OSError as error:
            if not self._ended:
                log.warning("a recording ends: it cannot be written", path=str(self._path), reason=str(error))
            self._ended = True


def recorded(path: Path) -> Iterator[Line]:
    """Yield the lines of a file, up to where it ends.

    Raises
    ------
    ValueError
        It is no recording.

    """
    decode = codec.decoder(Line)
    with gzip.open(path) as lines:
        try:
            for line in lines:
                if line.endswith(b"\n"):  # else it was cut short
                    yield decode(line)
        except (EOFError, zlib.error):
            return
        except (OSError, *codec.UNREADABLE) as error:
            raise ValueError(str(error)) from error


def recordings(directory: Path) -> list[tuple[str, Path]]:
    """Return the venue and the path of each recording, oldest first."""
    paths = sorted(directory.glob("*.jsonl.gz"), key=lambda path: path.name.rpartition("-")[2])
    return [(path.name.rpartition("-")[0], path) for path in paths]
