"""Raw frames as they came, kept: what was understood wrongly can be understood again.

JSON Lines, gzip, a file for each run of a venue. A file that a crash cut short is read up to where it ends.
"""

from __future__ import annotations

import base64
import gzip
import time
import zlib
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from pipeline import codec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
    """Writes what one venue says to a file of its own.

    Raises
    ------
    OSError
        The directory cannot be written to.

    """

    def __init__(self, directory: Path, venue: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        began = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        self._file = gzip.open(directory / f"{venue}-{began}.jsonl.gz", "ab")  # noqa: SIM115 - as long as it runs
        self._flushed = time.monotonic()

    def write(self, line: Line) -> None:
        """Write a line; it is on the disk a second later at most, once another one comes."""
        self._file.write(codec.encode(line) + b"\n")
        if time.monotonic() - self._flushed > _FLUSH:
            self._file.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        """Write the rest."""
        self._file.close()


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
            raise ValueError(f"{path}: {error}") from error


def recordings(directory: Path) -> list[tuple[str, Path]]:
    """Return the venue and the path of each recording, oldest first."""
    paths = sorted(directory.glob("*.jsonl.gz"), key=lambda path: path.name.rpartition("-")[2])
    return [(path.name.rpartition("-")[0], path) for path in paths]
