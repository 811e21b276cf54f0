"""The `cascade` command."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer
from typer.main import get_group

from pipeline.cli.options import ManyFiles
from pipeline.cli.output import Commands, on_terminal
from pipeline.runtime.logs import log_to_stderr

COMMANDS: Final = {
    "demo": "demo.command",
    "worker": "worker",
    "watch": "watch",
    "simulate": "simulate",
    "collect": "collect.command",
    "replay": "replay.command",
    "backtest": "backtest.command",
    "calibrate": "fit.calibrate",
    "optimise": "fit.optimise",
    "topics": "topics",
    "weights": "weights",
    "dead-letters": "dead_letters",
    "config": "config",
}
"""The modules of this package that have the commands, each under its own name."""


class ImportedCommands(Commands):
    """Commands that are imported when they are asked for: none waits for what only others need."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        names: Any = dict.fromkeys(COMMANDS)
        self.commands = names  # for Typer to list and to suggest

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or a group of them; None where there is none of that name."""
        if cmd_name in COMMANDS and self.commands[cmd_name] is None:
            self.commands[cmd_name] = _imported(cmd_name)
        return super().get_command(ctx, cmd_name)


def _imported(name: str) -> Any:
    found = getattr(import_module(f"{__name__}.{COMMANDS[name]}"), name.replace("-", "_"))
    alone = typer.Typer(rich_markup_mode=app.rich_markup_mode)
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name)
    else:
        alone.command(name, cls=ManyFiles)(found)
    return get_group(alone).commands[name]


app = typer.Typer(
    cls=ImportedCommands,
    name="cascade",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if on_terminal() else None,
)


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
    log_to_stderr()
