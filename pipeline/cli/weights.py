"""`cascade weights`: the weights of the score's components, at run time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.moments import iso
from pipeline.cli.output import PROBLEM, USAGE, Commands, fail, run, show_table
from pipeline.messages import COMPONENTS, millis
from pipeline.runtime import control
from pipeline.runtime.profiles import load_profile
from pipeline.settings import load_settings
from pipeline.signals.profile import ProfileError
from pipeline.signals.weights import name_weights, read_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.messages import Control

weights = typer.Typer(cls=Commands, no_args_is_help=True, help="Show and change the score's weights.")


@weights.command()
def get() -> None:
    """Show the weights in force; exit with 1 when a partition has others than the rest."""
    settings = load_settings()
    profile = load_profile(settings.profile)
    found = control.in_force(run(control.read_weights(settings)))
    origin = f"the profile {settings.profile}" if found.weights is None else "this version"
    typer.echo(f"version {found.version}: weights of {origin}")
    used = name_weights(read_weights(found.weights or profile.score.weights))
    show_table(("component", "weight"), [(name, f"{weight:.4g}") for name, weight in used.items()])
    if found.behind:
        fail(f"partitions {found.behind} have another version: set the weights again", PROBLEM)


@weights.command("set")
def set_(
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMPONENT=WEIGHT...", help=f"A weight for each of {', '.join(COMPONENTS)}."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Take those of a profile instead: a file, `adaptive`, or `seed`.")
    ] = None,
) -> None:
    """Put weights in force; a set that does not sum to 1 is renormalised."""
    if bool(values) == (profile is not None):
        fail("give six COMPONENT=WEIGHT, or --profile", USAGE)
    settings = load_settings()
    try:
        given = _parse_all(values or ()) if profile is None else load_profile(profile).score.weights
        read_weights(given)
    except ProfileError as error:
        fail(f"--profile: {error}", USAGE)
    except ValueError as error:
        fail(str(error), USAGE)
    typer.echo(_in_words(run(control.send_weights(settings, given))))


@weights.command()
def reset() -> None:
    """Go back to the weights of the profile."""
    typer.echo(f"{_in_words(run(control.send_weights(load_settings(), None)))}: the profile's")


def _in_words(sent: Control) -> str:
    text = f"version {sent.version} is in force"
    if sent.timestamp <= time.time():
        return text
    return f"{text} from {iso(millis(sent.timestamp))} on, as those before were set by a clock that is ahead"


def _parse_all(texts: Sequence[str]) -> dict[str, float]:
    given: dict[str, float] = {}
    for name, weight in map(_parse, texts):
        if name in given:
            raise ValueError(f"weights.{name}: given more than once")
        given[name] = weight
    return given


def _parse(text: str) -> tuple[str, float]:
    name, equals, weight = text.partition("=")
    if not equals:
        raise ValueError(f"{text}: expected COMPONENT=WEIGHT")
    try:
        return name.strip(), float(weight)
    except ValueError:
        raise ValueError(f"{text}: expected a number after =") from None
