"""Recorded market data as messages, merged by time.

Every row is used or counted with a reason; files of liquidations may overlap. Messages of one file come in
the order of time; files are merged by timestamp in whole milliseconds, then by topic in the order of
`contract.INPUTS`, then as they were named.
"""

from __future__ import annotations

from collections import Counter
from heapq import merge
from itertools import compress, groupby, repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, cast

from pipeline import codec, contract
from pipeline.cli.recorded.bars import as_price, bar_lengths
from pipeline.cli.recorded.rows import (
    COLUMNS,
    ForceOrderFile,
    Place,
    Refusal,
    Row,
    UnusableFileError,
    identity,
    number,
    open_rows,
    text,
    time_objection,
)
from pipeline.features.duplicates import digest
from pipeline.messages import Funding, Liquidation, OpenInterest, Price, millis

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence
    from pathlib import Path

FIELDS: Final[dict[str, tuple[str, ...]]] = {
    contract.LIQUIDATIONS: ("price", "quantity", "value_usd"),
    contract.PRICES: ("price", "volume_usd", "spread_bps"),
    contract.OPEN_INTEREST: ("open_interest_usd",),
    contract.FUNDING: ("rate",),
}
"""Columns of numbers, taken over under their own names."""
_TEXTS: Final = ("symbol", "exchange", "side", "id")
_ORDER: Final = {topic: place for place, topic in enumerate(contract.INPUTS)}

Message: TypeAlias = Liquidation | Price | OpenInterest | Funding


class Recorded(NamedTuple):
    """A message of a recorded file; `time_ms` is its timestamp in whole milliseconds."""

    time_ms: int
    topic: str
    message: Message


class Period(NamedTuple):
    """Milliseconds since the epoch: from `begin_ms` up to, not including, `end_ms`."""

    begin_ms: float = float("-inf")
    end_ms: float = float("inf")

    def objection(self, moment: float) -> str | None:
        """Say why a moment (milliseconds) is outside."""
        if moment < self.begin_ms:
            return "before the time asked for"
        return "after the time asked for" if moment >= self.end_ms else None


class Source(NamedTuple):
    """A file, its topic, the symbol of rows that name none, and whether no row may name another."""

    topic: str
    path: Path
    symbol: str | None = None
    alone: bool = False


class Recording:
    """One recorded file of one topic.

    Parameters
    ----------
    topic, path
        What the file holds, and where it is.
    symbol
        The symbol of rows that name none.

    Attributes
    ----------
    size
        How many rows the file has.
    symbols
        Those that rows name, and `symbol` where one names none.
    begin_ms
        The earliest time in it, None when it holds none that can be one.

    Raises
    ------
    UnusableFileError
        The file cannot be read at all, or nobody says whose its rows are.

    """

    def __init__(self, topic: str, path: Path, symbol: str | None = None) -> None:
        self.topic = topic
        self.path = path
        self.symbol = symbol
        try:
            self._file = open_rows(path)
            columns, places = self._file.survey()
        except OSError as error:
            raise UnusableFileError(f"{path}: {error.strerror}") from error
        self.size = len(places)
        if self.size and not columns:
            reasons = (f" ({row.reason})" for row in self._file.rows() if isinstance(row, Refusal))
            raise UnusableFileError(f"{path}: no row holds any of {', '.join(COLUMNS)}{next(reasons, '')}")
        if self.size and symbol is None and "symbol" not in columns:
            raise UnusableFileError(f"{path}: no column `symbol`: say SYMBOL={path}, or --symbol for all")
        named = {name for name, _ in {place.series for place in places}}
        self.symbols = {symbol if name is None else name.strip().upper() for name in named}
        self.begin_ms = min((time for _, time in places if time is not None), default=None)
        self._bars = self._bar_lengths(places) if "close" in columns and "price" not in columns else None
        self._moments = list(map(self._moment, places))
        known = [moment for moment in self._moments if moment is not None]
        self._in_order = known == sorted(known)

    def read(self, period: Period, refused: Counter[str], known: set[Hashable]) -> Iterator[Recorded]:
        """Yield the usable messages of a period in the order of time; count the others by reason.

        Captures of the same stream overlap: `known` identifies what they gave already.
        """
        found = self._read(period, refused, known)
        return found if self._in_order else iter(sorted(found, key=lambda item: item.time_ms))

    def _read(self, period: Period, refused: Counter[str], known: set[Hashable]) -> Iterator[Recorded]:
        objections = [None if moment is None else period.objection(moment) for moment in self._moments]
        refused.update(reason for reason in objections if reason)
        wanted = [not reason for reason in objections]
        for row, moment in zip(self._file.some(wanted), compress(self._moments, wanted), strict=False):
            found = self._decode(row, moment)
            if isinstance(found, Recorded) and isinstance(self._file, ForceOrderFile):
                found = _first(found, identity(row), known)
            if isinstance(found, Refusal):
                refused[found.reason] += 1
            else:
                yield found

    def _bar_lengths(self, places: list[Place]) -> dict[Any, float]:
        lengths = bar_lengths(places)
        if not lengths and self.begin_ms is not None:
            raise UnusableFileError(f"{self.path}: a single bar: its length is unknown")
        return lengths

    def _moment(self, found: Place) -> float | None:
        """Return when a row counts as having happened, in milliseconds; None where nobody knows."""
        if found.time_ms is None or self._bars is None:
            return found.time_ms
        return found.time_ms + self._bars[found.series]

    def _decode(self, row: Row, moment: float | None) -> Recorded | Refusal:
        if isinstance(row, Refusal):
            return row
        bars = self._bars is not None
        found = as_price(row, bars=bars) if self.topic == contract.PRICES else row
        try:
            decoded = codec.decode(self.topic, codec.encode(self._fields(found, moment)))
        except UnicodeEncodeError:
            return Refusal("not UTF-8")
        message = cast("Message | None", decoded.messages[0] if decoded.messages else None)
        if message is None:
            return Refusal(time_objection(row) or decoded.rejections[0].reason)
        return Recorded(millis(message.timestamp), self.topic, message)

    def _fields(self, row: dict[str, Any], moment: float | None) -> dict[str, Any]:
        fields: dict[str, Any] = {name: text(row[name]) for name in _TEXTS if name in row}
        fields |= {name: number(row[name]) for name in FIELDS[self.topic] if name in row}
        if self.symbol is not None:
            fields.setdefault("symbol", self.symbol)
        if moment is not None:
            fields["timestamp"] = moment / 1000
        return fields


def open_files(sources: Sequence[Source]) -> list[Recording]:
    """Open recorded files.

    Raises
    ------
    UnusableFileError
        One cannot be used, or rows are not of the symbol that is told for their file, or for all files.

    """
    found = [Recording(each.topic, each.path, each.symbol) for each in sources]
    for file, source in zip(found, sources, strict=True):
        if source.alone and (others := file.symbols - {file.symbol}):
            told = f"a row is of {min(map(str, others))}, not of {file.symbol}: leave out {file.symbol}="
            raise UnusableFileError(f"{file.path}: {told}")
    known = set().union(*(file.symbols for file in found))
    if unknown := {file.symbol for file in found if file.size} - known - {None}:
        raise UnusableFileError(f"--symbol: all rows name others than {min(map(str, unknown))}: leave it out")
    return found


def reference_first(records: Iterable[Recorded], reference: str) -> Iterator[Recorded]:
    """Yield records as workers take them: of one moment and topic the reference symbol's before others'.

    Its prices make the market's context, which others' prices of the same moment find already there.
    """
    for _, together in groupby(records, key=lambda found: (found.time_ms, found.topic)):
        yield from sorted(together, key=lambda found: found.message.symbol != reference)


def _first(found: Recorded, identity: Hashable, known: set[Hashable]) -> Recorded | Refusal:
    if identity in known:
        return Refusal("repeats a row of this capture or of an overlapping one")
    known.add(identity)
    return found


class Recordings:
    """Several recorded files, merged by time; iterate over it once.

    Parameters
    ----------
    files
        What each holds, and the file.
    period
        Rows outside are counted, not used.

    Attributes
    ----------
    used
        Messages so far, by topic.
    refused
        Rows so far that could not be used, by file and reason.

    """

    def __init__(self, files: Sequence[Recording], period: Period = Period()) -> None:  # noqa: B008
        self.files = files
        self.period = period
        self.used: Counter[str] = Counter()
        self._refused: list[Counter[str]] = [Counter() for _ in files]

    @property
    def size(self) -> int:
        """How many rows there are in all."""
        return sum(file.size for file in self.files)

    @property
    def done(self) -> int:
        """How many rows were used or refused so far."""
        return self.used.total() + sum(reasons.total() for reasons in self._refused)

    @property
    def refused(self) -> dict[tuple[str, str], int]:
        """How many rows were refused so far, by name of the file and reason."""
        total: Counter[tuple[str, str]] = Counter()
        for file, reasons in zip(self.files, self._refused, strict=True):
            for reason, count in reasons.items():
                total[file.path.name, reason] += count
        return dict(total)

    @property
    def complaints(self) -> list[str]:
        """What was refused so far, in words."""
        return [
            f"refused: {file}: {reason}: {count:,}" for (file, reason), count in sorted(self.refused.items())
        ]

    def __iter__(self) -> Iterator[Recorded]:
        known: set[Hashable] = set()
        streams = [
            zip(repeat(place), file.read(self.period, self._refused[place], known))
            for place, file in enumerate(self.files)
        ]
        moment, firsts = 0, dict[tuple[str, int], int]()  # of which file each liquidation of a moment is
        for place, found in merge(*streams, key=lambda item: (item[1].time_ms, _ORDER[item[1].topic])):
            if isinstance(found.message, Liquidation):
                if found.time_ms != moment:
                    moment, firsts = found.time_ms, {}
                if firsts.setdefault((found.message.symbol, digest(found.message)), place) != place:
                    self._refused[place]["repeats a row of an overlapping file"] += 1
                    continue
            self.used[found.topic] += 1
            yield found
