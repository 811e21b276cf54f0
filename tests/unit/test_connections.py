"""aiokafka's own client and sender, with a broker that is away, and a connection that was just closed."""

import asyncio
import socket
import struct
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest
import uvloop
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.protocol.metadata import MetadataResponse_v1
from servers import HOST, free_port
from waiting import until
from worker_parts import create_sender

from pipeline.runtime.connections import keep_steady

BROKER = 1
PLACE = TopicPartition("signals", 0)
PAUSE = 0.1


def create_client(port):
    """Return a client that knows of a broker, and of a partition without a leader."""
    client = AIOKafkaClient(retry_backoff_ms=round(PAUSE * 1_000))
    broker, partition = (BROKER, HOST, port, None), (5, PLACE.partition, -1, [BROKER], [])
    topic = (0, PLACE.topic, False, [partition])
    client.cluster.update_metadata(MetadataResponse_v1([broker], BROKER, [topic]))
    return client


@pytest.fixture
async def client():
    client = create_client(free_port())
    client._sync_task = asyncio.create_task(client._md_synchronizer())
    yield client
    await client.close()


@pytest.fixture
async def sender(client):
    """A sender with a record for that partition."""
    accumulator = MessageAccumulator(client.cluster, 16_384, 0, 30)
    await accumulator.add_message(PLACE, b"K", b"V", 30)
    sender = create_sender(client, accumulator)
    yield sender
    await sender.close()


async def test_while_a_partition_has_no_leader_there_is_a_pause_from_look_to_look(client, sender):
    looks, update = [], client._metadata_update

    async def note(*args):
        looks.append(time.monotonic())
        return await update(*args)

    client._metadata_update = note
    keep_steady(sender)
    await sender.start()
    await until(lambda: len(looks) >= 4)
    pauses = [after - before for before, after in pairwise(looks)]
    assert min(pauses) > PAUSE * 0.99, pauses


async def test_after_a_look_that_fails_as_nobody_foresaw_there_is_another(client, sender):
    answers = iter([RuntimeError("the handler is closed"), True])

    async def answer(*_):
        if isinstance(found := next(answers), Exception):
            raise found
        return found

    client._metadata_update = answer
    keep_steady(sender)
    async with asyncio.timeout(30):
        assert not await client.force_metadata_update()
        assert await client.force_metadata_update()


async def write_while_the_broker_resets_the_connection():
    with socket.create_server((HOST, 0)) as server:
        client = create_client(server.getsockname()[1])
        keep_steady(SimpleNamespace(client=client))
        connection = AIOKafkaConnection(*server.getsockname())
        connection._do_version_lookup = lambda: asyncio.sleep(0)
        await connection.connect()
        client._conns[BROKER, ConnectionGroup.DEFAULT] = connection
        accepted, _ = server.accept()
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    accepted.close()  # with a reset, as by a broker that was killed
    async with asyncio.timeout(30):
        while (found := await client._get_conn(BROKER)) is not None:
            found._writer.write(b"x")
            await asyncio.sleep(0)


def test_nothing_is_written_to_a_connection_that_is_closed():
    uvloop.run(write_while_the_broker_resets_the_connection())
