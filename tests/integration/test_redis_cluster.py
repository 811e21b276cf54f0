"""The sink and the subscriber on a cluster of two Valkey nodes."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack

import pytest
from output_records import T0, positioning, record, regime, signal, velocity, volatility
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from servers import HOST, ValkeyServer, free_port, running

from pipeline.sinks.connection import TROUBLE, advise, connect
from pipeline.sinks.redis import RedisSink

SYMBOLS = [f"COIN{number}USDT" for number in range(20)]


class ClusterNode(ValkeyServer):
    """A node of a Valkey cluster, which remembers its slots when it is started again."""

    def __init__(self):
        super().__init__()
        self.bus = free_port()

    @property
    def url(self):
        return f"redis://{HOST}:{self.port}/1"

    def command(self):
        cluster = ("--cluster-enabled", "yes", "--cluster-port", str(self.bus))
        return [*super().command(), *cluster, "--cluster-node-timeout", "2000"]


async def ready(node):
    async with Redis(host=HOST, port=node.port) as client:
        info = await client.execute_command("CLUSTER INFO")
        slots = await client.execute_command("CLUSTER SLOTS")
    return info["cluster_state"] == "ok" and len(slots) == 2


async def until_ready(nodes):
    for node in nodes:
        while not await ready(node):  # noqa: ASYNC110 - the nodes agree among themselves
            await asyncio.sleep(0.05)


async def introduce(nodes):
    for node, slots in zip(nodes, ((0, 8_191), (8_192, 16_383)), strict=True):
        async with Redis(host=HOST, port=node.port) as client:
            await client.execute_command("CLUSTER ADDSLOTSRANGE", *slots)
            await client.execute_command("CLUSTER MEET", HOST, nodes[0].port, nodes[0].bus)
    await until_ready(nodes)


@pytest.fixture
async def nodes():
    with ExitStack() as stack:
        nodes = [stack.enter_context(running(ClusterNode())) for _ in range(2)]
        await introduce(nodes)
        yield nodes


@pytest.fixture
async def client(nodes):
    client = connect(nodes[0].url, cluster=True, socket_timeout=0.5)
    yield client
    await client.aclose()


@pytest.fixture
def sink(client):
    return RedisSink(client, now=lambda: T0)


def batch(sequence):
    signals = [record(signal(sequence, symbol=symbol)) for symbol in SYMBOLS]
    return [*signals, *(record(make(sequence)) for make in (velocity, positioning, volatility, regime))]


async def test_every_key_is_written_wherever_it_lies(client, sink):
    await sink.write(batch(1))
    await sink.write(batch(1))
    for symbol in SYMBOLS:
        assert json.loads(await client.get(f"cascade:probability:{symbol}"))["sequence"] == 1
        assert await client.zcard(f"cascade:signals:history:{symbol}") == 1
    assert await client.hget("velocity:BTCUSDT:current", "sequence") == b"1"
    assert (sink.published, sink.written, sink.superseded) == (20, 26, 26)


async def test_a_channel_can_be_heard_on_any_node(nodes, sink):
    async with Redis(host=HOST, port=nodes[1].port) as listening, listening.pubsub() as pubsub:
        await pubsub.subscribe("cascade:critical")
        await sink.write(batch(1))
        heard = {
            json.loads(message["data"])["symbol"] for message in [await published(pubsub) for _ in SYMBOLS]
        }
    assert heard == set(SYMBOLS)


async def published(pubsub):
    while (message := await pubsub.get_message(timeout=None))["type"] != "message":
        pass
    return message


async def test_a_node_that_was_killed_is_found_again(nodes, client, sink):
    await sink.write(batch(1))
    nodes[1].kill()
    with pytest.raises(TROUBLE):
        await sink.write(batch(2))
    nodes[1].start()
    await until_ready(nodes)
    await sink.write(batch(2))
    for symbol in SYMBOLS:
        assert json.loads(await client.get(f"cascade:probability:{symbol}"))["sequence"] == 2


async def test_a_cluster_that_is_taken_for_a_single_server_says_what_to_set(nodes):
    clients = [connect(node.url.removesuffix("/1")) for node in nodes]
    advice = []
    for client in clients:
        with pytest.raises(ResponseError) as trouble:
            await RedisSink(client, now=lambda: T0).write(batch(1))
        advice.append(advise(trouble.value))
        await client.aclose()
    assert advice == ["this is a Redis cluster: set PIPELINE_REDIS_CLUSTER=true"] * 2
