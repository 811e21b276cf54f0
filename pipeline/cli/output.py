"""How commands speak: rich on a terminal, plain text in a pipe, problems on stderr."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from pipeline.runtime.topics import TopicsError
from pipeline.runtime.upstream import UnknownVersionError
from pipeline.settings import InvalidSettingsError
from pipeline.signals.profile import ProfileError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

PROBLEM: Final = 1
"""Exit code: it ran, and found or met a problem."""
USAGE: Final = 2
"""Exit code: it could not run with these arguments or settings."""

T = TypeVar("T")


class Commands(TyperGroup):
    """Commands whose foreseeable errors end in one line and an exit code, not in a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except InvalidSettingsError as error:
            fail(str(error), USAGE)
        except ProfileError as error:
            fail(f"PIPELINE_PROFILE: {error}", USAGE)
        except UnknownVersionError as error:
            fail(str(error), USAGE)
        except TopicsError as error:
            fail(str(error))
        except KafkaError as error:
            fail(f"Kafka: {error} (PIPELINE_BROKER says where it is)")


def fail(text: str, code: int = PROBLEM) -> NoReturn:
    """Say what is wrong, on stderr, and end with an exit code."""
    typer.echo(text, err=True)
    raise typer.Exit(code)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's asynchronous part; what Kafka's client would log is said once, by `Commands`."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return asyncio.run(work)


def counted(number: int, noun: str) -> str:
    """Return a number of things in words: `1 record`, `2 records`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def on_terminal() -> bool:
    """Tell whether a person reads stdout."""
    return sys.stdout.isatty()


def show_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: drawn on a terminal, tab-separated lines with a heading in a pipe."""
    if not on_terminal():
        for row in [titles, *rows]:
            typer.echo("\t".join(row))
        return
    table = Table(*titles, box=None, header_style="bold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
