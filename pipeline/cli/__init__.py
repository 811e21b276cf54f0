"""The `cascade` command."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from pipeline.cli.backtest.command import backtest
from pipeline.cli.collect.command import collect
from pipeline.cli.config import config
from pipeline.cli.dead_letters import dead_letters
from pipeline.cli.demo.command import demo
from pipeline.cli.fit.calibrate import calibrate
from pipeline.cli.fit.optimise import optimise
from pipeline.cli.options import ManyFiles
from pipeline.cli.output import Commands, on_terminal
from pipeline.cli.replay.command import replay
from pipeline.cli.simulate import simulate
from pipeline.cli.topics import topics
from pipeline.cli.watch import watch
from pipeline.cli.weights import weights
from pipeline.cli.worker import worker
from pipeline.runtime.logs import log_to_stderr

app = typer.Typer(
    cls=Commands,
    name="cascade",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if on_terminal() else None,
)
app.command()(demo)
app.command()(worker)
app.command()(watch)
app.command()(simulate)
app.command()(collect)
app.command(cls=ManyFiles)(replay)
app.command(cls=ManyFiles)(backtest)
app.command(cls=ManyFiles)(calibrate)
app.command(cls=ManyFiles)(optimise)
app.add_typer(topics, name="topics")
app.add_typer(weights, name="weights")
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(config, name="config")


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
