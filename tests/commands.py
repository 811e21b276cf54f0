"""The `cascade` command as tests run it: in this process, on a deployment of the test's own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from typer.main import get_command
from typer.testing import CliRunner

from pipeline.cli import app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.testing import Result
    from typer import Typer

    from pipeline.settings import Settings


def all_commands(group: Typer = app, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return every command as the words that are typed after `cascade`."""
    found = [(*prefix, command.name or command.callback.__name__) for command in group.registered_commands]
    for inner in group.registered_groups:
        found += all_commands(inner.typer_instance, (*prefix, inner.name))
    return found


def command_of(words: Sequence[str]) -> Any:
    """Return what runs a command."""
    command: Any = get_command(app)
    for word in words:
        command = command.commands[word]
    return command


async def cascade(settings: Settings, *arguments: str, answer: str | None = None) -> Result:
    """Run a command in a thread, so that it has an event loop of its own."""
    return await asyncio.to_thread(
        CliRunner().invoke, app, arguments, input=answer, env=settings.child_environment()
    )


def simulating(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    """Start `cascade simulate` as a child process."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "simulate", *arguments],
        env=settings.child_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
