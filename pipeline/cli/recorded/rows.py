"""Rows of recorded files, whatever the file's format: parquet, CSV, JSON Lines, raw Binance captures."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from codecs import BOM_UTF8
from collections import Counter
from decimal import Decimal
from itertools import compress, islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO, TypeAlias, TypeVar

from pipeline import codec
from pipeline.cli.recorded import force_orders
from pipeline.messages import EARLIEST_S, LATEST_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

COLUMNS: Final = (
    *("timestamp_ms", "timestamp", "symbol", "exchange", "id", "side", "price", "quantity", "value_usd"),
    *("close", "volume", "volume_usd", "spread_bps", "open_interest_usd", "rate"),
)
"""Every column that means something; others are not read."""
_TIMES: Final = {"timestamp_ms": ("milliseconds", 1), "timestamp": ("seconds", 1_000)}
"""Columns of times: the unit of each, and its milliseconds. The first that a row has counts."""
_SERIES: Final = ("symbol", "exchange")
_BATCH: Final = 8_192
_PEEK: Final = 5
_BLANK: Final = BOM_UTF8 + b" \t\r\n"
"""Around an object of a line of JSON."""
_KEEP: Final = "surrogateescape"
"""What is no UTF-8 is kept, and refused where it means something."""

T = TypeVar("T")


class UnusableFileError(Exception):
    """A file that cannot be read at all, and what to do about it."""


class Refusal(NamedTuple):
    """A row that cannot be used, and why."""

    reason: str


Row: TypeAlias = dict[str, Any] | Refusal


class Place(NamedTuple):
    """Of which symbol and venue a row is, and its time in milliseconds; None where it says nothing of it."""

    series: tuple[str | None, str | None]
    time_ms: float | None


def place(row: Row) -> Place:
    """Return where a row belongs."""
    told = {} if isinstance(row, Refusal) else row
    symbol, exchange = (text(told.get(name)) for name in _SERIES)
    return Place((_name(symbol), _name(exchange)), time_ms(row))


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def time_ms(row: Row) -> float | None:
    """Return a row's time in milliseconds, None where it has none that can be one."""
    if isinstance(row, Refusal):
        return None
    column = _time_column(row)
    value = number(row.get(column))
    moment = value * _TIMES[column][1] if isinstance(value, int | float) else None
    return moment if moment is not None and EARLIEST_S * 1_000 <= moment < LATEST_S * 1_000 else None


def time_objection(row: dict[str, Any]) -> str | None:
    """Say what is wrong with a row's time; None where nothing is, or where the row has none."""
    column = _time_column(row)
    if row.get(column) is None or time_ms(row) is not None:
        return None
    return f"{column}: expected {_TIMES[column][0]} since 1970, between 2000 and 2100"


def _time_column(row: dict[str, Any]) -> str:
    return "timestamp" if row.get("timestamp_ms") is None else "timestamp_ms"


def identity(row: Row) -> tuple[Any, ...]:
    """Return what tells a captured liquidation from others: symbol, side, quantity and time."""
    if isinstance(row, Refusal):
        return ()
    return (row["symbol"], row["side"], number(row["quantity"]), time_ms(row))


def number(value: Any) -> Any:
    """Return the number that a text, bytes or a decimal holds, and anything else as it is."""
    if not isinstance(value, str | bytes | Decimal):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def text(value: Any) -> Any:
    """Return the text that bytes hold, and anything else as it is."""
    return value.decode(errors=_KEEP) if isinstance(value, bytes) else value


class RowFile(ABC):
    """A file of rows, which may be read any number of times."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """Yield every row, in the order of the file."""

    def survey(self) -> tuple[set[str], list[Place]]:
        """Return which columns hold something that means something, and where every row belongs."""
        columns: set[str] = set()
        places = []
        for row in self.rows():
            places.append(place(row))
            if not isinstance(row, Refusal):
                columns.update(row)
        return columns.intersection(COLUMNS), places

    def some(self, wanted: Sequence[bool]) -> Iterator[Row]:
        """Yield the rows that are wanted: `wanted` says of each whether it is."""
        return compress(self.rows(), wanted)


class CsvFile(RowFile):
    """Comma-separated values under a header."""

    def rows(self) -> Iterator[Row]:
        """Yield every row; empty cells are left out."""
        with _open(self.path) as file:
            for row in _parsed(csv.DictReader(file, strict=True)):
                if isinstance(row, Refusal):
                    yield row
                elif any(row.get(None) or ()):
                    yield Refusal("garbled: more cells than the header has")
                else:
                    yield {name: value for name, value in row.items() if name in COLUMNS and value}


class JsonLinesFile(RowFile):
    """One JSON object a line."""

    def rows(self) -> Iterator[Row]:
        """Yield every row; nulls are left out, and lines without anything in them are none."""
        decode = codec.decoder(dict[str, Any])
        with self.path.open("rb") as file:
            for line in filter(None, (line.strip(_BLANK) for line in file)):
                try:
                    yield {name: value for name, value in decode(line).items() if value is not None}
                except codec.UNREADABLE:
                    yield Refusal("not a JSON object (NaN and Infinity are no JSON)")


class ForceOrderFile(RowFile):
    """A Binance `forceOrder` capture: no header, twelve columns."""

    def rows(self) -> Iterator[Row]:
        """Yield every line as a liquidation."""
        with _open(self.path) as file:
            for cells in _parsed(csv.reader(file, strict=True)):
                fields = cells if isinstance(cells, Refusal) else force_orders.liquidation(cells)
                yield Refusal(fields) if isinstance(fields, str) else fields


class ParquetFile(RowFile):
    """Parquet; kept in Arrow's columns, made into rows a few thousand at a time."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            from pyarrow import ArrowException, parquet, types  # type: ignore[import-untyped] # noqa: PLC0415
        except ImportError as error:
            raise UnusableFileError(
                f"{path}: reading parquet needs pyarrow: pip install 'cascade-pipeline[replay]'"
            ) from error
        try:
            with parquet.ParquetFile(path) as file:  # `read_table` would import pandas where it is installed
                names = [name for name in file.schema_arrow.names if name in COLUMNS]
                _require_once(path, names)
                table = file.read(columns=names)
            table.validate(full=True)  # else texts that are no UTF-8 are found row by row
        except (ArrowException, OSError) as error:
            raise UnusableFileError(f"{path}: {error}") from error
        for place, field in enumerate(table.schema):
            if types.is_timestamp(field.type):  # Python has no dates of nanoseconds
                table = table.set_column(place, field.name, table[place].cast("int64"))
        self._table = table

    def rows(self) -> Iterator[Row]:
        """Yield every row; nulls are left out."""
        return _rows(self._table)

    def survey(self) -> tuple[set[str], list[Place]]:
        """Return the same without making whole rows."""
        table = self._table
        columns = {name for name in table.column_names if table[name].null_count < len(table)}
        return columns, [place(row) for row in _rows(table.select(columns.intersection((*_SERIES, *_TIMES))))]

    def some(self, wanted: Sequence[bool]) -> Iterator[Row]:
        """Yield the rows that are wanted; the others are not made."""
        return _rows(self._table.filter(list(wanted))) if wanted else iter(())


def _require_once(path: Path, columns: Sequence[str]) -> None:
    """Refuse a file that has one of the columns that mean something several times."""
    repeated = [name for name, times in Counter(columns).items() if name in COLUMNS and times > 1]
    if repeated:
        raise UnusableFileError(f"{path}: several columns are called {', '.join(repeated)}")


def _rows(table: Any) -> Iterator[Row]:
    for batch in table.to_batches(max_chunksize=_BATCH):
        for row in batch.to_pylist():
            yield {name: value for name, value in row.items() if value is not None}


def open_rows(path: Path) -> RowFile:
    """Return a file's rows, by its suffix; a CSV without a header is taken for a raw capture if it is one.

    Raises
    ------
    UnusableFileError
        There is no such file, its suffix is unknown, it is no parquet in spite of its suffix, or it has
        several columns of one name.

    """
    if not path.is_file():
        raise UnusableFileError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    match path.suffix.lower():
        case ".parquet":
            return ParquetFile(path)
        case ".jsonl":
            return JsonLinesFile(path)
        case ".csv":
            beginning = _beginning(path)
            if any(map(force_orders.recognises, beginning)):
                return ForceOrderFile(path)
            _require_once(path, next(iter(beginning), []))
            return CsvFile(path)
    raise UnusableFileError(f"{path}: expected .parquet, .csv or .jsonl")


def _beginning(path: Path) -> list[list[str]]:
    """Return the cells of the first lines of a CSV, as far as they are some."""
    with _open(path) as file:
        lines = islice(_parsed(csv.reader(file)), _PEEK)
        return [cells for cells in lines if not isinstance(cells, Refusal)]


def _open(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", errors=_KEEP, newline="")


def _parsed(rows: Iterator[T]) -> Iterator[T | Refusal]:
    """Yield what a reader of CSV finds, and a refusal where that is no row; the next line begins anew."""
    while True:
        try:
            yield next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield Refusal(f"garbled: {error}")
