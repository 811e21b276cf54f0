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
_COLUMNS: Final = (
    *("venue", "data", "per s", "liq.", "last", "lag", "clock"),
    *("gaps", "reconn.", "dropped", "rejected"),
)
"""Of the table, which fits 80 characters: `last`, `lag` and `clock` are in seconds."""


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
            live.update(table_of(collectors, before))
            await asyncio.sleep(1)


def summary(collector: Collector) -> dict[str, Any]:
    """Return what a venue's line of the log tells."""
    account = collector.account
    return {
        "venue": collector.venue.NAME,
        **{topic.replace("-", "_"): account.messages[topic] for topic in contract.FEEDS},
        "gaps": account.gaps,
        "dropped": account.dropped.total(),
        "rejected": account.rejected,
    }


def table_of(collectors: Sequence[Collector], before: dict[str, int]) -> Table:
    """Return the table; `before` has the venues' messages of a second ago, and gets those of now."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for number, column in enumerate(_COLUMNS):
        table.add_column(column, justify="right" if number > 1 else "left", no_wrap=True)
    for each in collectors:
        account, name, total = each.account, each.venue.NAME, each.account.messages.total()
        seen = account.last > 0
        table.add_row(
            name,
            "yes" if each.connected else "[red]no",
            str(total - before[name]),
            str(account.messages[contract.LIQUIDATIONS]),
            f"{time.time() - account.last:.1f}" if seen else "",
            f"{account.behind:.2f}" if seen else "",
            ahead(account).removesuffix(" s"),
            *map(str, (account.gaps, account.reconnects, account.dropped.total(), account.rejected)),
        )
        before[name] = total
    return table
