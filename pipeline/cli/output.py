"""How commands speak: rich on a terminal, plain text in a pipe, problems on stderr."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import ssl
import sys
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, TypeVar, cast

import typer
from aiokafka.errors import KafkaError
from redis.exceptions import RedisClusterException, RedisError
from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from pipeline.cli.recorded.rows import UnusableFileError
from pipeline.runtime.logs import visible
from pipeline.runtime.topics import TopicsError
from pipeline.runtime.upstream import UnknownVersionError
from pipeline.settings import InvalidSettingsError
from pipeline.signals.profile import ProfileError
from pipeline.sinks.connection import advise

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence

PROBLEM: Final = 1
"""Exit code: it ran, and found or met a problem."""
USAGE: Final = 2
"""Exit code: it could not run with these arguments or settings."""

_CUT: Final = (" closed", '": ', "Connection reset by peer", "Connection lost")
"""How an error of Kafka's client ends when a connection was made and then broke off; one has no reason."""
_ADVICE: Final = {
    "CERTIFICATE_VERIFY_FAILED": "nobody vouches for the broker's certificate: set PIPELINE_SSL_CA_FILE",
    "SaslAuthenticationFailed": "set PIPELINE_SASL_USERNAME and PIPELINE_SASL_PASSWORD",
    "AuthorizationFailed": "let the Kafka user read and write the pipeline's topics, describe their configs, "
    "and read the group; for `cascade topics apply` also create topics and alter their configs",
    "InvalidTimestamp": "set this machine's clock, or the broker's",
}
"""What to do about trouble with Kafka, by a word of its text."""
_BY_THE_BROKER: Final = "[Error "
"""How an error of Kafka's client begins that the broker has told."""

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)

T = TypeVar("T")


class Commands(TyperGroup):
    """Commands whose foreseeable errors end in one line and an exit code, not in a traceback."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands, each with the first paragraph of its help, which would be cut off."""
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            command.short_help = command.help.partition("\n\n")[0]
        super().format_commands(ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (InvalidSettingsError, UnknownVersionError, UnusableFileError) as error:
            fail(str(error), USAGE)
        except ProfileError as error:
            fail(f"PIPELINE_PROFILE: {error}", USAGE)
        except TopicsError as error:
            fail(str(error))
        except (KafkaError, ssl.SSLError, ConnectionResetError) as error:  # aiokafka (0.14) raises all
            text = ": ".join([str(error), *getattr(error, "__notes__", ())])
            fail(f"Kafka: {text} ({advise_of_kafka(text)})")
        except (RedisError, RedisClusterException) as error:
            fail(f"Redis: {error} ({advise(error)})")
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            fail(f"{error.filename or 'output'}: {error.strerror}")


def advise_of_kafka(text: str) -> str:
    """Say what to do about trouble with Kafka."""
    for trouble, advice in _ADVICE.items():
        if trouble in text:
            return advice
    if text.endswith(_CUT) or "ALERT" in text or "IllegalSaslState" in text:
        return (
            "what listens there does not answer as Kafka does: look at PIPELINE_SECURITY_PROTOCOL, "
            "at PIPELINE_SSL_CERT_FILE if it asks for a certificate, and whether the broker is stopped"
        )
    by_the_broker = text.startswith(_BY_THE_BROKER)
    return "look at the broker's log" if by_the_broker else "PIPELINE_BROKER says where it is"


def fail(text: str, code: int = PROBLEM) -> NoReturn:
    """Say what is wrong, on stderr, and end with an exit code."""
    _voice.say(text)
    raise typer.Exit(code)


class _Voice:
    """Says why a command ends."""

    @staticmethod
    def say(text: str) -> None:
        typer.echo(text, err=True)


_voice = _Voice()


def fail_in_the_log(log: Any) -> None:
    """From now on say in the log why this process ends, and nothing beside it: machines read it."""
    _voice.say = log.critical  # type: ignore[method-assign]
    sys.excepthook = lambda *error: log.critical("failed", exc_info=error)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's asynchronous part; what Kafka's client would log is said once, by `Commands`.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C or SIGTERM has cancelled it.
    """
    with _Complaint() as complaint:
        try:
            in_main = threading.current_thread() is threading.main_thread()
            return asyncio.run(_end_in_order(work) if in_main else work)
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        except KafkaError as error:
            if complaint.text:
                error.add_note(complaint.text)
            raise


async def _end_in_order(work: Coroutine[Any, Any, T]) -> T:
    """Let Ctrl-C and SIGTERM cancel the work, each time that they come: what it has open is then closed."""
    loop, task = asyncio.get_running_loop(), cast("asyncio.Task[T]", asyncio.current_task())
    before = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(task.cancel)) for number in _ENDING
    }
    try:
        return await work
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Complaint(logging.Handler):
    """Keeps what Kafka's client logs last, and from the log: its errors alone do not say why."""

    text: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()

    def __enter__(self) -> Self:
        self._logger = logging.getLogger("aiokafka")
        self._logger.addHandler(self)
        self._logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.propagate = True
        self._logger.removeHandler(self)


def counted(number: int, noun: str) -> str:
    """Return a number of things in words: `1 record`, `2 records`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def on_terminal() -> bool:
    """Tell whether a person reads stdout, on a terminal that can be drawn on (TERM=dumb cannot)."""
    return sys.stdout.isatty() and not Console().is_dumb_terminal


@contextmanager
def progress_bar(*columns: ProgressColumn, total: int) -> Iterator[Callable[..., None]]:
    """Yield a function that moves a bar on, as `Progress.update` does; in a pipe it does nothing."""
    with Progress(*columns, console=Console(stderr=True), disable=not on_terminal(), transient=True) as shown:
        yield partial(shown.update, shown.add_task("", total=total))


def show_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: drawn on a terminal, tab-separated lines with a heading in a pipe.

    What a cell holds may come from anybody: it is shown as it is, and no control character gets through.
    """
    if not on_terminal():
        for row in [titles, *rows]:
            typer.echo("\t".join(map(visible, row)))
        return
    table = Table(box=None, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    Console().print(table)
