"""Records with a header whose name is no UTF-8, which Kafka takes from whoever may write.

aiokafka (0.14) fails at such a record, and does not say where it lies: it would end each worker in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.consumer import fetcher
from aiokafka.record import memory_records
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy

if TYPE_CHECKING:
    from collections.abc import Iterator


def read_any_names() -> None:
    """Let aiokafka's consumers read such records too: what is no UTF-8 is written out in the name."""
    fetcher.MemoryRecords = memory_records._MemoryRecordsPy
    memory_records.DefaultRecordBatch = _Batch


class _Batch:
    """A batch of aiokafka's, which is read once more, by slower means, where that fails."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._batch = data, DefaultRecordBatch(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except UnicodeDecodeError:
            yield from _PatientBatch(self._data)  # the fetcher leaves out what it had of them


class _PatientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    _buffer: Any

    def __iter__(self) -> Any:
        found = super().__iter__()
        self._buffer = _Bytes(self._buffer)
        return found


class _Bytes(bytearray):
    """Bytes whose parts can all be decoded."""

    def __getitem__(self, place: Any) -> Any:
        found: Any = super().__getitem__(place)
        return _Bytes(found) if isinstance(place, slice) else found

    def decode(self, *_: Any) -> str:
        return super().decode("utf-8", "backslashreplace")
