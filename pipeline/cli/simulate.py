"""`cascade simulate`: a simulated market for a running pipeline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import contract
from pipeline.cli.feeding import send_when_due
from pipeline.cli.output import USAGE, fail, run
from pipeline.cli.simulated.simulation import ROUND_S, Market
from pipeline.runtime.sending import producer
from pipeline.runtime.topics import count_partitions
from pipeline.settings import load_settings

if TYPE_CHECKING:
    from pipeline.settings import Settings


def simulate(
    seconds: Annotated[
        float | None,
        typer.Option(
            help=f"One cascade within so long, at least 20; without it one every {ROUND_S:.0f} s, for ever."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which market; the same seed gives the same.", min=0)] = 1,
) -> None:
    """Send the demo's market to the topics of a pipeline: the day before first, then as it happens."""
    settings = load_settings()
    try:
        market = Market(ROUND_S if seconds is None else seconds, seed)
    except ValueError as error:
        fail(f"--{error}", USAGE)
    try:
        events = run(_feed(market, settings, for_ever=seconds is None))
    except KeyboardInterrupt:
        if seconds is not None:
            raise
    else:
        typer.echo(f"{events:,} events were sent")


async def _feed(market: Market, settings: Settings, *, for_ever: bool) -> int:
    await count_partitions(settings, contract.LIQUIDATIONS)  # a topic that is missing is told at once
    async with producer(settings, linger_ms=0) as sending:
        start = round(time.time(), 3)
        past = await send_when_due(sending, market.warm_up(start))
        opened = round(time.time(), 3)
        return past + await send_when_due(sending, market.repeat(opened) if for_ever else market.play(opened))
