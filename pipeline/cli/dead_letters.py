"""`cascade dead-letters`: what could not be used, why, and trying it again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import codec, contract
from pipeline.cli.moments import moment_ms
from pipeline.cli.output import USAGE, Commands, counted, fail, run, show_table
from pipeline.runtime.dead_letters import Letter, can_be_sent, read_letters, replay_letters
from pipeline.settings import load_settings

if TYPE_CHECKING:
    from pipeline.settings import Settings

dead_letters = typer.Typer(cls=Commands, no_args_is_help=True, help="List and replay what could not be used.")

TopicOption = Annotated[
    str | None, typer.Option("--topic", help="Only letters whose records came from this topic.")
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only letters since then: ISO 8601 (UTC) or milliseconds."),
]


@dead_letters.command("list")
def list_(
    topic: TopicOption = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many, the newest.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="Print each letter as a line of JSON.")] = False,
) -> None:
    """List dead letters, oldest first, with the reason of each."""
    letters = _find(load_settings(), topic, since)
    newest = letters[-limit:]
    if json:
        for found in newest:
            typer.echo(codec.encode(found.letter).decode())
        return
    show_table(("written", "source", "key", "reason"), map(_row, newest))
    if len(letters) > limit:
        typer.echo(f"not shown: {counted(len(letters) - limit, 'older letter')} (--limit)", err=True)


def _row(found: Letter) -> tuple[str, str, str, str]:
    letter = found.letter
    written = datetime.fromtimestamp(found.timestamp, UTC).isoformat(sep=" ", timespec="seconds")
    source = f"{letter.topic}/{letter.partition}/{letter.offset}"
    return written, source, letter.key or "", letter.reason


@dead_letters.command()
def replay(
    topic: TopicOption = None,
    since: SinceOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Send what dead letters hold to their topics again; letters stay, so name what is new by --since."""
    settings = load_settings()
    letters = [found.letter for found in _find(settings, topic, since)]
    whole = sum(map(can_be_sent, letters))
    lost = f"{len(letters) - whole} of them truncated or empty, which cannot be sent"
    typer.echo(f"{counted(len(letters), 'dead letter')}, {lost}")
    if whole:
        yes or typer.confirm(f"Send {counted(whole, 'record')}?", abort=True)
        typer.echo(f"{counted(run(replay_letters(settings, letters)), 'record')} sent")


def _find(settings: Settings, topic: str | None, since: str | None) -> list[Letter]:
    if topic not in {None, *contract.INPUTS}:
        fail(f"--topic {topic}: expected one of {', '.join(contract.INPUTS)}", USAGE)
    return run(_read(settings, topic, moment_ms("--since", since, default=0.0)))


async def _read(settings: Settings, topic: str | None, since_ms: float) -> list[Letter]:
    found = [letter async for letter in read_letters(settings, topic, since_ms / 1000)]
    return sorted(found, key=lambda letter: letter.timestamp)
