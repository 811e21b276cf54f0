"""The `cascade` command."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from pipeline.cli.config import config
from pipeline.cli.output import Commands, on_terminal
from pipeline.cli.topics import topics
from pipeline.cli.worker import worker

app = typer.Typer(
    cls=Commands,
    name="cascade",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if on_terminal() else None,
)
app.add_typer(topics, name="topics")
app.add_typer(config, name="config")
app.command()(worker)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("cascade-pipeline"))
        raise typer.Exit


@app.callback()
def cascade(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Liquidations and prices on Kafka in, liquidation-cascade signals on Kafka and Redis out."""


def main() -> None:
    """Run the `cascade` command."""
    app()
