"""`cascade config`: what is in force."""

from __future__ import annotations

import typer

from pipeline.cli.output import Commands, show_table
from pipeline.runtime.profiles import load_profile
from pipeline.settings import load_settings

config = typer.Typer(cls=Commands, no_args_is_help=True, help="Show and check the settings.")


@config.command()
def check() -> None:
    """Show every setting in force, secrets hidden; exit with 2 when one cannot be used."""
    settings = load_settings()
    show_table(("variable", "value"), settings.redacted().items())
    load_profile(settings.profile)
