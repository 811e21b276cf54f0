"""What `cascade collect` shows of its venues while it runs."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import structlog
from rich.console import Console
from rich.live import Live
from rich.table import Table

from pipeline import contract

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.collect.account import Account
    from pipeline.collect.collector import Collector

log = structlog.get_logger(__name__)

_REPORT: Final = 60.0
"""Seconds from one line of the log to the next, where there is no terminal."""
_FIGURES: Final = (
    *("per s", "liq.", "prices", "OI", "funding"),
    *("last", "lag", "clock", "gaps", "reconnects", "dropped", "rejected"),
)
"""Of the table."""


def ahead(account: Account) -> str:
    """Return by how much a venue's clock is ahead."""
    return "" if account.clock.ahead is None else f"{account.clock.ahead:+.2f} s"


async def show(collectors: Sequence[Collector]) -> None:
    """Show what comes: a table on a terminal, else a line for each venue now and then."""
    if not sys.stdout.isatty():
        while True:
            await asyncio.sleep(_REPORT)
            for each in collectors:
                log.info("collecting", **summary(each))
    before = {each.venue.NAME: 0 for each in collectors}
    with Live(console=Console(), refresh_per_second=1) as live:
        while True:
            live.update(_table(collectors, before))
            await asyncio.sleep(1)


def summary(collector: Collector) -> dict[str, Any]:
    account = collector.account
    return {
        "venue": collector.venue.NAME,
        **{topic.replace("-", "_"): account.messages[topic] for topic in contract.FEEDS},
        "gaps": account.gaps,
        "dropped": account.dropped.total(),
        "rejected": account.rejected,
    }


def _table(collectors: Sequence[Collector], before: dict[str, int]) -> Table:
    table = Table(title="Live feeds", expand=True)
    for column in ("venue", "data"):
        table.add_column(column)
    for column in (
        "per s",
        "liq.",
        "prices",
        "OI",
        "funding",
        "last",
        "lag",
        "clock",
        "gaps",
        "dropped",
        "rejected",
    ):
        table.add_column(column, justify="right")
    for each in collectors:
        account, name, total = each.account, each.venue.NAME, each.account.messages.total()
        seen = account.last > 0
        table.add_row(
            name,
            "yes" if each.connected else "[red]no",
            str(total - before[name]),
            *(f"{account.messages[topic]:,}" for topic in contract.FEEDS),
            f"{time.time() - account.last:.1f} s" if seen else "",
            f"{account.behind:.2f} s" if seen else "",
            ahead(account),
            *(f"{count:,}" for count in (account.gaps, account.reconnects)),
            *(f"{count:,}" for count in (account.dropped.total(), account.rejected)),
        )
        before[name] = total
    return table
