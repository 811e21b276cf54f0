"""The `cascade` command as tests run it: in this process, on a deployment of the test's own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
from typer.main import get_command
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.cli.recorded.signal_rows import COLUMNS, signal_row
from pipeline.messages import Signal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from click.testing import Result

    from pipeline.settings import Settings


def all_commands() -> list[tuple[str, ...]]:
    """Return every command as the words that are typed after `cascade`."""
    group: Any = get_command(app)
    found: list[tuple[str, ...]] = []
    for name in group.list_commands(None):
        inner = getattr(group.get_command(None, name), "commands", None)
        found += [(name,)] if inner is None else [(name, each) for each in inner]
    return found


def command_of(words: Sequence[str]) -> Any:
    """Return what runs a command."""
    command: Any = get_command(app)
    for word in words:
        command = command.get_command(None, word)
    return command


def invoke(*words: object, **environment: str) -> Result:
    """Run a command without an event loop, which it has of its own."""
    return CliRunner().invoke(app, [*map(str, words)], env=environment)


def run_apart(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a child process, as users do: traced for coverage, long work takes thrice as long."""
    command = [sys.executable, "-m", "pipeline", *map(str, words)]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | environment)


async def cascade(settings: Settings, *arguments: str, answer: str | None = None) -> Result:
    """Run a command in a thread, so that it has an event loop of its own."""
    return await asyncio.to_thread(
        CliRunner().invoke, app, arguments, input=answer, env=settings.child_environment()
    )


async def offline(
    settings: Settings, files: Sequence[str], out: Path, *options: str
) -> dict[str, dict[str, Any]]:
    """Return what `cascade replay --out` writes, by the signals' ids."""
    words = ("replay", *files, *options, "--out", out)
    done = await asyncio.to_thread(run_apart, *words, **settings.child_environment())
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (await asyncio.to_thread(out.read_text)).splitlines()]
    return {row["id"]: row for row in rows}


def as_rows(signals: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return signals as the rows that `cascade replay` writes."""
    rows = {
        name: dict(zip(COLUMNS, signal_row(msgspec.convert(signal, Signal)), strict=True))
        for name, signal in signals.items()
    }
    found: dict[str, dict[str, Any]] = json.loads(json.dumps(rows))
    return found


def start(settings: Settings, *words: object) -> subprocess.Popen[str]:
    """Start a command as a child process."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", *map(str, words)],
        env=settings.child_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
