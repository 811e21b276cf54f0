"""`cascade topics`: what the broker's topics should be, making them so, and checking them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.output import PROBLEM, Commands, run, show_table
from pipeline.runtime.logs import visible
from pipeline.runtime.misplaced import find_misplaced_keys
from pipeline.runtime.topic_plan import Problem, Topic, find_problems, wanted_topics
from pipeline.runtime.topics import apply_topics, check_topics, read_topics
from pipeline.settings import load_settings

if TYPE_CHECKING:
    from pipeline.settings import Settings

topics = typer.Typer(
    cls=Commands, no_args_is_help=True, help="Plan, create and check the topics on the broker."
)


@topics.command()
def plan() -> None:
    """Show what `apply` would create or change; it changes nothing."""
    settings = load_settings()
    wanted = wanted_topics(settings)
    problems = find_problems(wanted, run(read_topics(settings)))
    show_table(("topic", "partitions", "settings", "now"), [_row(topic, problems) for topic in wanted])


def _row(topic: Topic, problems: list[Problem]) -> tuple[str, str, str, str]:
    settings = " ".join(f"{key}={value}" for key, value in topic.config.items())
    differs = "; ".join(problem.text for problem in problems if problem.topic == topic.name)
    return topic.name, str(topic.partitions), settings, differs or "as wanted"


@topics.command()
def apply() -> None:
    """Create what is missing and set what differs; never delete or repartition a topic."""
    for line in run(apply_topics(load_settings())) or ["nothing to do"]:
        typer.echo(line)


@topics.command()
def check(
    keys: Annotated[
        bool,
        typer.Option("--keys/--no-keys", help="Look for keys on another partition than murmur2 says."),
    ] = True,
) -> None:
    """Exit with 1, saying what is wrong and what to do, unless all topics and keys are as they should be."""
    problems = run(_check(load_settings(), keys=keys))
    for problem in problems:
        typer.echo(visible(problem))
    if problems:
        raise typer.Exit(PROBLEM)
    typer.echo("all topics are as they should be")


async def _check(settings: Settings, *, keys: bool) -> list[str]:
    problems = await check_topics(settings)
    found = [str(problem) for problem in problems]
    # Where a key belongs is known once there are topics with the right number of partitions.
    if keys and not any(problem.blocking for problem in problems):
        found += [str(key) for key in await find_misplaced_keys(settings)]
    return found
