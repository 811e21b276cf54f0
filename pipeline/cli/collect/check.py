"""`cascade collect --check`: what of the venues can be reached, and what they bring."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import aiohttp
import typer

from pipeline import contract
from pipeline.cli.collect.show import ahead
from pipeline.cli.output import PROBLEM, show_table
from pipeline.collect.reading import VenueError

if TYPE_CHECKING:
    from pipeline.cli.collect.live import Wish
    from pipeline.collect.collector import Collector
    from pipeline.collect.ranking import Wanted
    from pipeline.collect.venue import Feed
    from pipeline.messages import FeedStatus

_USUAL: Final = 20.0
"""Seconds that a venue gets to show what it brings."""


class _Nowhere:
    """Takes messages, and keeps none."""

    def put(self, topic: str, message: Feed) -> None:
        """Take a message."""

    def tell(self, status: FeedStatus) -> None:
        """Take what is told of a feed."""


async def try_out(wish: Wish, seconds: float | None) -> None:
    """Show what of some venues can be reached, and what comes of it within some seconds."""
    async with aiohttp.ClientSession() as session:
        collectors = wish.collectors(session, _Nowhere(), {})
        wanted, patience = wish.wanted(collectors), _USUAL if seconds is None else seconds
        found = await asyncio.gather(*(_collect_for(each, wanted, patience) for each in collectors))
    show_table(
        ["venue", "instruments", *contract.FEEDS, "liquidations are", "clock", "trouble"],
        [
            [
                each.venue.NAME,
                listed,
                *(_came(each, topic) for topic in contract.FEEDS),
                each.venue.COVERAGE,
                ahead(each.account),
                _trouble(each, error),
            ]
            for each, (listed, error) in zip(collectors, found, strict=True)
        ],
    )
    if any(error for _, error in found):
        raise typer.Exit(PROBLEM)


async def _collect_for(collector: Collector, wanted: Wanted, seconds: float) -> tuple[str, str]:
    """Collect for a while; return how many instruments there are, and what went wrong."""
    try:
        listing = await collector.list_instruments(await wanted())
    except VenueError as error:
        return "", str(error)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await collector.run()
    asked_for = contract.PRICES in collector.reading.topics
    missing = asked_for and not collector.account.messages[contract.PRICES]
    return f"{len(listing.known):,}", "connected, but no prices came" if missing else ""


def _came(collector: Collector, topic: str) -> str:
    return f"{collector.account.messages[topic]:,}"


def _trouble(collector: Collector, error: str) -> str:
    account = collector.account
    rejected = [f"{account.rejected:,} frames are not as documented"] if account.rejected else []
    return "; ".join([*filter(None, [error]), *rejected, *account.refused])
