"""The runbook's commands, run on a real broker beside a live worker that has refused a record."""

import asyncio
import itertools
import os
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml
from aiokafka import AIOKafkaProducer
from commands import cascade
from runbook import commands_of
from secured import PASSWORD, USER, SecuredKafkaServer, authority
from servers import kafka_classpath, running
from workers import Worker, produce, read_all, until_caught_up

from pipeline import contract
from pipeline.cli.simulated.simulation import simulate

TOOLS = Path(__file__).parents[2] / "deploy" / "kubernetes" / "tools.yml"
FOR_EVER = {"watch", "worker", "simulate"}


def fetch(port, path):
    """Return what a worker answers; anything but 200 is an error."""
    with urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.read()


@pytest.fixture
async def worker(settings):
    """Let a worker read a market in which one price is none."""
    await produce(settings, itertools.islice(simulate(20, seed=4), 1_000))
    async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
        await producer.send_and_wait(contract.PRICES, b"no price", key=b"BTCUSDT")
    with Worker(settings) as running:
        await until_caught_up(settings, workers=[running])
        yield running


async def test_every_command_that_ends_does_what_it_should(settings, worker):
    ran = [words for words in commands_of("cascade") if words[0] not in FOR_EVER]
    assert len(ran) > 10
    for words in ran:
        result = await cascade(settings, *words)
        assert result.exit_code == 0, (words, result.output, result.exception)
    # What was replayed without being mended is refused again.
    await until_caught_up(settings, workers=[worker])
    assert len(await read_all(settings, contract.DEAD_LETTERS)) == 2
    for words in commands_of("curl"):
        path = words[-1].removeprefix("localhost:6066")
        assert await asyncio.to_thread(fetch, worker.settings.web_port, path), path


@pytest.mark.java
@pytest.mark.parametrize(("password", "code"), [(PASSWORD, 0), ("not-the-right-one", 1)])
def test_kafkas_commands_are_let_in_by_the_properties_of_the_tools(secured, password, code):
    """Of Kafka's commands the jars of the tests hold one; all take their properties in the same way."""
    bootstrap, properties = secured
    asked = ("--describe", "--entity-type", "topics", "--entity-name", contract.PRICES)
    done = subprocess.run(
        [
            *("java", "-cp", kafka_classpath(), "kafka.admin.ConfigCommand"),
            *("--bootstrap-server", bootstrap, "--command-config", str(properties), *asked),
        ],
        env=os.environ | {"PIPELINE_SASL_USERNAME": USER, "PIPELINE_SASL_PASSWORD": password},
        check=False,
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert ("SaslAuthenticationException" in said) == bool(code), said
    assert ("The topic 'prices' doesn't exist" in said) == (not code), said


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """Return where a broker asks for a password, and the tools' properties with who vouches for it."""
    ca, vouching = authority(tmp_path_factory.mktemp("trusted"))
    (text,) = [
        found["data"]["client.properties"]
        for found in yaml.safe_load_all(TOOLS.read_text())
        if found["kind"] == "ConfigMap"
    ]
    properties = vouching.parent / "client.properties"
    properties.write_text(f"{text}ssl.truststore.type=PEM\nssl.truststore.location={vouching}\n")
    with running(SecuredKafkaServer(ca)) as server:
        yield server.bootstrap, properties
