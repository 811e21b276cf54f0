"""Signals as rows of a file: parquet, CSV or JSON Lines, one column a field."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
from msgspec import UNSET
from msgspec.structs import astuple

from pipeline import codec
from pipeline.cli.recorded.rows import UnusableFileError
from pipeline.cli.replacing import replacing
from pipeline.messages import Metrics, Scores, Signal, SignalContext, millis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_TEXTS: Final = frozenset(
    (
        *("symbol", "signal", "id", "no_data", "volatility_regime", "leading_exchange", "market_regime"),
        *("level_reason", "profile"),
    )
)
_INTEGERS: Final = frozenset(("timestamp_ms", "signal_level", "sequence", "weights_version"))
_FLAGS: Final = frozenset(("stale", "warming"))
_BATCH: Final = 10_000


def _names(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(kind) if field.name != "feeds")


COLUMNS: Final = (
    *("timestamp_ms", "symbol", "signal", "signal_level", "probability", "id", "sequence"),
    *(f"score_{name}" for name in _names(Scores)),
    *_names(Metrics),
    *(name.replace("timestamp", "context_timestamp") for name in _names(SignalContext)),
    *("raw_score", "level_reason", "event_timestamp", "profile", "weights_version"),
    *(f"contribution_{name}" for name in _names(Scores)),
)
"""Names are those of the message; `no_data` lists components, separated by spaces. Files tell of no feeds.

Contributions are null where the profile tells none.
"""
_NO_CONTRIBUTIONS: Final = (None,) * len(_names(Scores))


def signal_row(signal: Signal) -> tuple[Any, ...]:
    """Return a signal as a flat row, one value for each of `COLUMNS`."""
    metrics, context, meta = signal.metrics, signal.context, signal.meta
    return (
        *(millis(signal.timestamp), signal.symbol, signal.signal, signal.signal_level),
        *(signal.probability, signal.id, signal.sequence),
        *astuple(signal.scores),
        *astuple(metrics)[:-1],
        " ".join(metrics.no_data),
        *astuple(context)[:-1],
        *(meta.raw_score, meta.level_reason, meta.event_timestamp, meta.profile),
        meta.weights_version,
        *(_NO_CONTRIBUTIONS if (parts := meta.contributions) is UNSET else astuple(parts)),
    )


class SignalFile(ABC):
    """A file that signals are written to, for the length of a `with` block.

    Attributes
    ----------
    wanted
        Whether it takes its place when it is done.

    """

    wanted = True
    _file: Any

    @abstractmethod
    def write(self, row: tuple[Any, ...]) -> None:
        """Add a row, as `signal_row` has it."""

    def close(self) -> None:
        """Write what is left."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self.close()
        except Exception:
            if kind is None:  # else what went wrong first is told
                raise


class CsvSignalFile(SignalFile):
    """Comma-separated values under a header."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(COLUMNS)

    def write(self, row: tuple[Any, ...]) -> None:
        """Add a row."""
        self._writer.writerow(row)


class JsonLinesSignalFile(SignalFile):
    """One JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def write(self, row: tuple[Any, ...]) -> None:
        """Add a row."""
        self._file.write(codec.encode(dict(zip(COLUMNS, row, strict=True))) + b"\n")


class ParquetSignalFile(SignalFile):
    """Parquet, written some thousands of rows at a time."""

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow as pa  # type: ignore[import-untyped] # noqa: PLC0415 - an optional dependency
            from pyarrow import parquet  # noqa: PLC0415
        except ImportError as error:
            raise UnusableFileError(
                "writing parquet needs pyarrow: pip install 'cascade-pipeline[replay]'"
            ) from error
        self._table = pa.Table
        self._schema = pa.schema([(name, _arrow_type(pa, name)) for name in COLUMNS])
        self._file = parquet.ParquetWriter(path, self._schema)
        self._rows: list[tuple[Any, ...]] = []

    def write(self, row: tuple[Any, ...]) -> None:
        """Add a row."""
        self._rows.append(row)
        if len(self._rows) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        columns = list(zip(*self._rows, strict=True)) or [()] * len(COLUMNS)
        self._file.write_table(
            self._table.from_pydict(dict(zip(COLUMNS, columns, strict=True)), self._schema)
        )
        self._rows.clear()

    def close(self) -> None:
        """Write what is left, and the footer."""
        self._flush()
        super().close()


def _arrow_type(pa: Any, name: str) -> Any:
    if name in _TEXTS:
        return pa.string()
    if name in _INTEGERS:
        return pa.int64()
    return pa.bool_() if name in _FLAGS else pa.float64()


_FORMATS: Final[dict[str, Callable[[Path], SignalFile]]] = {
    ".parquet": ParquetSignalFile,
    ".csv": CsvSignalFile,
    ".jsonl": JsonLinesSignalFile,
}


@contextmanager
def create_signal_file(path: Path) -> Iterator[SignalFile]:
    """Yield the file that signals are written to, by its suffix; what was there stays until it is done.

    Raises
    ------
    UnusableFileError
        The suffix is unknown, there is no such directory, or no file can be made in it.

    """
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UnusableFileError(f"{path}: expected .parquet, .csv or .jsonl")
    if not path.parent.is_dir():
        raise UnusableFileError(f"{path}: there is no directory {path.parent}")
    with replacing(path) as place:
        with _open(kind, place, path) as file:
            yield file
        if not file.wanted:
            place.unlink()


def _open(kind: Callable[[Path], SignalFile], place: Path, path: Path) -> SignalFile:
    try:
        return kind(place)
    except OSError as error:
        raise UnusableFileError(f"{path}: {error.strerror}") from error
