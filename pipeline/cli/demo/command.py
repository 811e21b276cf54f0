"""`cascade demo`: everything on this machine, with a simulated market, and what it comes to."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel

from pipeline import codec
from pipeline.cli.demo import embedded
from pipeline.cli.demo.run import Show, View
from pipeline.cli.demo.screen import change_line, render
from pipeline.cli.demo.summary import summary_lines
from pipeline.cli.output import USAGE, fail, on_terminal, run
from pipeline.cli.simulated.scenario import USUAL_S
from pipeline.cli.simulated.simulation import Market
from pipeline.runtime.topics import apply_topics
from pipeline.settings import GivenSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.cli.demo.board import Board, Change
    from pipeline.cli.demo.summary import Summary
    from pipeline.cli.simulated.scenario import Phase


def demo(
    seconds: Annotated[float, typer.Option(help="How long the market is played, at least 20.")] = USUAL_S,
    seed: Annotated[int, typer.Option(help="Which market; the same seed gives the same.", min=0)] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one line of JSON, and nothing else.")
    ] = False,
) -> None:
    """Play a simulated market through a broker, a worker and Valkey of its own, and show what it says."""
    try:
        market = Market(seconds, seed)
    except ValueError as error:
        fail(f"--{error}", USAGE)
    try:
        with _view(market, silent=as_json) as view:
            summary = play(market, view)
    except embedded.EmbeddedError as error:
        fail(str(error))
    _print(summary, as_json=as_json)


def play(market: Market, view: View) -> Summary:
    """Start everything, play the market, stop everything; return what came of it."""
    with (
        embedded.Folder() as folder,
        embedded.broker(folder) as broker,
        embedded.valkey(folder) as valkey,
    ):
        settings = GivenSettings(  # whatever cluster the environment names
            app_id="cascade-demo",
            broker=broker,
            redis_url=valkey,
            # This broker holds a group's first join back for half the session timeout.
            session_timeout=6.0,
            heartbeat_interval=2.0,
            producer_idempotence=False,
            web_port=embedded.free_port(),
        )
        return run(_run(market, settings, folder, view))


async def _run(market: Market, settings: Settings, folder: Path, view: View) -> Summary:
    await apply_topics(settings)
    with embedded.worker(settings, folder) as worker:
        return await Show(market, settings, worker, view).run()


class Lines(View):
    """Prints one line a change of level."""

    def dashboard(self, url: str) -> None:
        """Print it."""
        typer.echo(f"dashboard {url}")

    def change(self, change: Change) -> None:
        """Print it."""
        typer.echo(change_line(change))


class Screen(View):
    """Shows a live view in a terminal."""

    def __init__(self, live: Live, phases: tuple[Phase, ...]) -> None:
        self._live = live
        self._phases = phases
        self._url = ""

    def dashboard(self, url: str) -> None:
        """Show it above all else."""
        self._url = url

    def refresh(self, board: Board, second: float | None) -> None:
        """Draw it anew."""
        view = render(board, self._phases, second, time.time(), self._live.console.width)
        self._live.update(Group(f"dashboard {self._url or 'in a moment'}", view), refresh=True)


@contextmanager
def _view(market: Market, *, silent: bool) -> Iterator[View]:
    if silent or not on_terminal():
        yield View() if silent else Lines()
        return
    with Live(auto_refresh=False, transient=True) as live:
        yield Screen(live, market.phases)


def _print(summary: Summary, *, as_json: bool) -> None:
    if as_json:
        typer.echo(codec.encode(summary))
    elif on_terminal():
        Console().print(Panel("\n".join(summary_lines(summary)), title="summary", expand=False))
    else:
        for line in summary_lines(summary):
            typer.echo(line)
