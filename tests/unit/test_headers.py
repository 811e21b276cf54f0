"""Records whose headers have names that are no UTF-8, as aiokafka's consumers read them."""

import struct

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchBuilderPy
from hostile import Latin

from pipeline.runtime.headers import read_any_names

PLACE = TopicPartition("prices", 0)
PER_BATCH = 4
PLAIN, ZIPPED = DefaultRecordBatch.CODEC_NONE, DefaultRecordBatch.CODEC_GZIP


def batch(first, bad=(), codec=PLAIN):
    """Return the bytes of some records from an offset on, and of those at `bad` with such a name."""
    builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, -1, 1 << 20)
    for place in range(PER_BATCH):
        name = Latin("für") if first + place in bad else "for"
        builder.append(place, 7, b"KEY", b"x" * 100, [(name, b"\xff"), ("none", None)])
    return struct.pack(">q", first) + bytes(builder.build())[8:]


def read(data, first=0):
    records = fetcher.MemoryRecords(data)
    found = fetcher.PartitionRecords(PLACE, records, [], first, None, None, True, fetcher.READ_UNCOMMITTED)
    return [(record.offset, record.headers[0][0]) for record in found], found.next_fetch_offset


@pytest.mark.parametrize("codec", [PLAIN, ZIPPED])
@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize("bad", [(), (0,), (3,), (5,), (4, 7), (2, 6, 10)])
def test_each_record_is_read_once_and_in_order_whatever_its_headers_are_called(codec, first, bad):
    read_any_names()
    found, following = read(b"".join(batch(begin, bad, codec) for begin in (0, 4, 8)), first)
    assert found == [(offset, r"f\xfcr" if offset in bad else "for") for offset in range(first, 12)]
    assert following == 12


def test_what_is_corrupt_is_refused_as_before():
    read_any_names()
    data = bytearray(batch(0) + batch(4, bad=(5,)))
    data[-1] ^= 1
    with pytest.raises(CorruptRecordException):
        read(bytes(data))
