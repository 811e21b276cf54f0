"""Which servers the tests run on, and what every test may ask for.

Environment
-----------
PIPELINE_TEST_BROKER
    Bootstrap address of a broker to test on; its topics of the pipeline's names are deleted.
PIPELINE_TEST_REQUIRE_KAFKA
    1: anything but an Apache Kafka of the tests' own is an error (CI).
PIPELINE_TEST_REQUIRE_PROMETHEUS
    1: missing `prometheus` or `promtool` is an error (CI).
PIPELINE_RECORDED_DATA
    Directory of recorded market data; by default `../shared/data` beside the repository.
PIPELINE_TEST_REQUIRE_RECORDED
    1: missing recorded data are an error (CI).
PIPELINE_TEST_REQUIRE_CHROMIUM
    1: a missing Chromium is an error (CI).
PIPELINE_TEST_REQUIRE_COMPILER
    1: a missing C compiler, or missing headers of Python, are an error (CI).
"""

from __future__ import annotations

import logging
import os
import signal
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import structlog
from compiled import has_compiler
from redis.asyncio import Redis
from servers import (
    TansuServer,
    ValkeyServer,
    broker_type,
    chromium,
    has_java,
    has_prometheus,
    running,
)
from workers import TEST_APP, delete_topics

from pipeline.runtime.topics import apply_topics
from pipeline.settings import Settings, given
from pipeline.sinks.connection import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from servers import DockerKafkaServer, KafkaServer

    from pipeline.sinks.connection import Client

    Broker = DockerKafkaServer | KafkaServer | TansuServer

RECORDED = Path(
    os.environ.get("PIPELINE_RECORDED_DATA") or Path(__file__).parents[2] / "shared" / "data"
).resolve()
NAMED_BROKER = os.environ.get("PIPELINE_TEST_BROKER")
REQUIRE_KAFKA = os.environ.get("PIPELINE_TEST_REQUIRE_KAFKA") == "1"
REQUIRE_PROMETHEUS = os.environ.get("PIPELINE_TEST_REQUIRE_PROMETHEUS") == "1"
REQUIRE_RECORDED = os.environ.get("PIPELINE_TEST_REQUIRE_RECORDED") == "1"
REQUIRE_CHROMIUM = os.environ.get("PIPELINE_TEST_REQUIRE_CHROMIUM") == "1"
REQUIRE_COMPILER = os.environ.get("PIPELINE_TEST_REQUIRE_COMPILER") == "1"

for _name in given():  # by whoever runs the tests: none is to find another cluster
    del os.environ[_name]

hypothesis.settings.register_profile("without time limits", deadline=None)
hypothesis.settings.load_profile("without time limits")

_left_out = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_left_out] = []
    # Ended by `timeout` or a CI system, the tests still end their servers, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if REQUIRE_KAFKA and NAMED_BROKER:
        raise pytest.UsageError(
            "PIPELINE_TEST_REQUIRE_KAFKA=1: unset PIPELINE_TEST_BROKER, what it names may be anything"
        )
    if REQUIRE_KAFKA and broker_type() is TansuServer:
        raise pytest.UsageError(
            "PIPELINE_TEST_REQUIRE_KAFKA=1: Apache Kafka cannot be started here: no Docker engine answers,"
            " and `mvn` or `java` is missing"
        )
    if REQUIRE_PROMETHEUS and not has_prometheus():
        raise pytest.UsageError(
            "PIPELINE_TEST_REQUIRE_PROMETHEUS=1: `prometheus` or `promtool` is missing (Debian: prometheus)"
        )
    if REQUIRE_RECORDED and not RECORDED.is_dir():
        raise pytest.UsageError(f"PIPELINE_TEST_REQUIRE_RECORDED=1: there is no directory {RECORDED}")
    if REQUIRE_CHROMIUM and chromium() is None:
        raise pytest.UsageError("PIPELINE_TEST_REQUIRE_CHROMIUM=1: there is no `chromium`")
    if REQUIRE_COMPILER and not has_compiler():
        raise pytest.UsageError(
            "PIPELINE_TEST_REQUIRE_COMPILER=1: `uv`, `cc` or Python.h is missing (Debian: gcc, python3-dev)"
        )


def pytest_report_header() -> str:
    return f"broker: {NAMED_BROKER or broker_type().name}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not RECORDED.is_dir():
        _leave_out(config, items, "recorded", f"there are no recorded data (no directory {RECORDED})")
    if broker_type() is TansuServer:
        _leave_out(config, items, "apache_kafka", "they need Apache Kafka: Docker, or Maven and Java")
    if not has_prometheus():
        _leave_out(config, items, "prometheus", "they need Prometheus and promtool (Debian: prometheus)")
    if not has_java():
        _leave_out(config, items, "java", "they set Apache Kafka up by themselves: Maven and Java")
    if chromium() is None:
        _leave_out(config, items, "chromium", "they look at the dashboard in Chromium")
    if not has_compiler():
        _leave_out(config, items, "compiler", "they compile: uv, a C compiler, Python's headers")


def _leave_out(config: pytest.Config, items: list[pytest.Item], marker: str, reason: str) -> None:
    left_out = [item for item in items if item.get_closest_marker(marker)]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
        config.stash[_left_out].append(f"{len(left_out)} tests were left out: {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where tests run in several processes (pytest-xdist, `-n`), tell the one that reports."""
    output: dict[str, list[str]] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = session.config.stash[_left_out]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what such a process tells: each leaves out the same."""
    node.config.stash[_left_out] = getattr(node, "workeroutput", {}).get("left_out", [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[_left_out]:
        terminalreporter.write_line(line)


@pytest.fixture
def log_as_it_was() -> Iterator[None]:
    """Let a test configure the log of this process, and undo it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    structlog.reset_defaults()
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """Directory of recorded market data; for tests marked `recorded`."""
    return RECORDED


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """Bootstrap address of the broker that the tests of this session share."""
    if NAMED_BROKER:
        yield NAMED_BROKER
        return
    with running(broker_type()()) as server:
        yield server.bootstrap


@pytest.fixture
def own_broker() -> Iterator[Broker]:
    """Return a fresh broker that the test may kill (mark it `apache_kafka` if data must survive)."""
    with running(broker_type()()) as server:
        yield server


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """URL of the Valkey that the tests of this session share (database 1)."""
    with running(ValkeyServer()) as server:
        yield server.url


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    """Return a fresh Valkey that the test may kill."""
    with running(ValkeyServer()) as server:
        yield server


@pytest.fixture
async def client(valkey: str) -> AsyncIterator[Client]:
    """Client of that Valkey, in which there is nothing."""
    client = connect(valkey)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
async def settings(broker: str, valkey: str) -> Settings:
    """Settings of a deployment of the test's own on the shared servers: topics are empty, Redis too."""
    return await deploy(broker, valkey)


@pytest.fixture
async def own_settings(own_broker: Broker, valkey: str) -> Settings:
    """Settings of a deployment on the broker that the test may kill."""
    return await deploy(own_broker.bootstrap, valkey)


async def deploy(broker: str, valkey: str) -> Settings:
    """Make the topics anew and Redis empty; return the settings of a deployment on them."""
    chosen = Settings(
        app_id=f"{TEST_APP}{uuid.uuid4().hex[:8]}",
        broker=broker,
        redis_url=valkey,
        input_retention_hours=-1,  # simulated and recorded markets lie in the past
        session_timeout=6.0,  # the in-memory broker holds a group's first join back for half of it
        producer_idempotence=bool(NAMED_BROKER) or broker_type() is not TansuServer,
    )
    await delete_topics(chosen)
    await apply_topics(chosen)
    async with Redis.from_url(valkey) as redis:
        await redis.flushdb()
    return chosen
