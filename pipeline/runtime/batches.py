"""Batches: all records of a partition from one poll, in the shape that Faust knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import faust

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Records(list[Any]):
    """Records of one partition, of one topic or merged from several; `size` is in bytes."""

    def __init__(self, records: Iterable[Any]) -> None:
        super().__init__(records)
        self.size = sum(len(record.value or b"") for record in self)

    def parts(self, most: int) -> Iterator[Records]:
        """Yield the records in parts of that many bytes: a part ends with the record that fills it."""
        if self.size <= most:
            yield self
            return
        first = size = 0
        for place, record in enumerate(self, 1):
            size += len(record.value or b"")
            if size >= most or place == len(self):
                yield Records(self[first:place])
                first, size = place, 0


class Batch:
    """Records of one partition in the shape of a single Kafka record.

    It lies where its last record lies, so that offsets of batches rise as Faust expects.
    """

    __slots__ = (
        "checksum",
        "headers",
        "key",
        "offset",
        "partition",
        "serialized_key_size",
        "serialized_value_size",
        "timestamp",
        "timestamp_type",
        "topic",
        "value",
    )

    def __init__(self, records: Records) -> None:
        last = records[-1]
        self.topic, self.partition, self.offset = last.topic, last.partition, last.offset
        self.timestamp, self.timestamp_type = last.timestamp, last.timestamp_type
        self.headers, self.key, self.value, self.checksum = (), b"", records, None
        self.serialized_key_size = self.serialized_value_size = 0


class BatchSchema(faust.Schema[Any, Any]):
    """Hands a batch to the agent as it is: decoding, and what to do when it fails, is the pipeline's."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:
        """Return the message's key untouched."""
        return message.key

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:
        """Return the message's value untouched."""
        return message.value
