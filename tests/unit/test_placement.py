from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.placement import partition_of


@given(st.binary(min_size=1, max_size=64), st.integers(1, 100))
def test_keys_are_placed_as_kafka_clients_place_them(key, partitions):
    numbers = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, numbers, numbers)
