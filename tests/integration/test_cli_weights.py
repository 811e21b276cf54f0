import time

from aiokafka import AIOKafkaProducer
from commands import cascade

from pipeline import Engine, codec, contract
from pipeline.features.reading import read
from pipeline.messages import Control
from pipeline.runtime.control import WEIGHTS, read_weights, send_weights
from pipeline.runtime.reading import read_topic
from pipeline.signals.weights import name_weights
from pipeline.signals.weights import read_weights as read_weights_of

NEW = {"velocity": 3, "acceleration": 1, "volume": 1, "oi_change": 1, "funding": 1, "volatility": 1}
ARGUMENTS = [f"{name}={weight}" for name, weight in NEW.items()]


async def test_without_any_set_the_profiles_weights_are_in_force(settings):
    result = await cascade(settings, "weights", "get")
    assert result.exit_code == 0
    assert result.stdout.startswith("version 0: weights of the profile seed\ncomponent\tweight\n")
    assert "velocity\t0.25\n" in result.stdout


async def test_weights_that_were_set_are_in_force_renormalised(settings):
    assert (await cascade(settings, "weights", "set", *ARGUMENTS)).stdout == "version 1 is in force\n"
    result = await cascade(settings, "weights", "get")
    assert result.stdout.startswith("version 1: weights of this version\n")
    assert "velocity\t0.375\n" in result.stdout
    assert "funding\t0.125\n" in result.stdout


async def test_every_partition_gets_a_copy_from_now_on(settings):
    before = time.time()
    await send_weights(settings, NEW)
    records = [record async for record in read_topic(settings, contract.CONTROL)]
    assert [record.partition for record in records] == list(range(settings.partitions))
    assert {record.key for record in records} == {WEIGHTS}
    assert len({record.value for record in records}) == 1
    (message,) = codec.decode(contract.CONTROL, records[0].value).messages
    assert (message.version, message.weights) == (1, NEW)
    assert before <= message.timestamp <= time.time()


async def test_a_reset_goes_back_to_the_profile_with_a_version_of_its_own(settings):
    await send_weights(settings, NEW)
    assert (await cascade(settings, "weights", "reset")).stdout == "version 2 is in force: the profile's\n"
    result = await cascade(settings, "weights", "get")
    assert result.stdout.startswith("version 2: weights of the profile seed\n")


async def test_copies_that_differ_are_found_and_mended_by_setting_again(settings):
    control = await send_weights(settings, NEW)
    control.version = 2
    async with AIOKafkaProducer(**settings.kafka_client_options()) as producer:
        await producer.send_and_wait(contract.CONTROL, codec.encode(control), key=WEIGHTS, partition=1)
    result = await cascade(settings, "weights", "get")
    assert result.exit_code == 1
    assert "partitions [0, 2, 3] have another version" in result.stderr
    assert (await cascade(settings, "weights", "set", *ARGUMENTS)).stdout == "version 3 is in force\n"
    assert {copy.version for copy in await read_weights(settings) if copy} == {3}


async def test_weights_set_by_a_slower_clock_than_the_last_ones_are_in_force_too(settings):
    """Workers ignore what is older than what they have, and `get` would tell of weights that nobody uses."""
    fast = Control("weights", 1, time.time() + 60, dict.fromkeys(NEW, 1.0))
    time_ms = round(fast.timestamp * 1_000)
    async with AIOKafkaProducer(**settings.kafka_client_options()) as producer:
        for partition in range(settings.partitions):
            await producer.send_and_wait(contract.CONTROL, codec.encode(fast), WEIGHTS, partition, time_ms)
    result = await cascade(settings, "weights", "set", *ARGUMENTS)
    assert result.stdout.startswith("version 2 is in force from 20")
    engine = Engine()
    async for record in read_topic(settings, contract.CONTROL, only=0):
        assert read(record)[1] == []
        engine.process(contract.CONTROL, record.value)
    assert engine.statistics.current_weights == name_weights(read_weights_of(NEW))


async def test_of_weights_that_two_set_at_once_the_later_ones_are_shown_as_workers_take_them(settings):
    now = time.time()
    early, late = (Control("weights", 1, now + after, NEW | {"volume": after}) for after in (1, 2))
    async with AIOKafkaProducer(**settings.kafka_client_options()) as producer:
        for partition in range(settings.partitions):
            for control in (late, early) if partition % 2 else (early, late):
                await producer.send_and_wait(contract.CONTROL, codec.encode(control), WEIGHTS, partition)
    for partition in range(settings.partitions):
        engine = Engine()
        async for record in read_topic(settings, contract.CONTROL, only=partition):
            engine.process(contract.CONTROL, record.value)
        assert engine.statistics.current_weights == name_weights(read_weights_of(late.weights))
    assert await read_weights(settings) == [late] * settings.partitions


async def test_what_is_no_control_record_is_passed_over(settings):
    async with AIOKafkaProducer(**settings.kafka_client_options()) as producer:
        await producer.send_and_wait(contract.CONTROL, b"nonsense", key=WEIGHTS, partition=0)
        await producer.send_and_wait(contract.CONTROL, None, key=WEIGHTS, partition=1)
    assert await read_weights(settings) == [None] * settings.partitions
