"""The terminal view of a running market: regime, symbols by heat, level changes, what comes next.

Plain data in, renderables out; nothing here knows a server or a clock.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipeline.cli.demo.board import SPARK_SECONDS
from pipeline.cli.marks import MARKS, marked, short_usd, spark_line, split_bar
from pipeline.messages import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from pipeline.cli.demo.board import Board, Change, SymbolView
    from pipeline.cli.simulated.scenario import Phase

EXPECT: Final = {
    "calm": "a calm market: expect NONE everywhere; liquidations build up in {left:.0f} s",
    "build-up": "liquidations build up: expect WATCH here and there; the cascade begins in {left:.0f} s",
    "cascade": (
        "the cascade: expect ALERT, then CRITICAL or EXTREME, from BTCUSDT to the others;"
        " it ends in {left:.0f} s"
    ),
    "recovery": (
        "recovery: liquidations fade; expect levels to follow once the wildest minute is past;"
        " the end is in {left:.0f} s"
    ),
}
COLUMNS: Final[dict[str, Literal["left", "right"]]] = {
    "level": "left",
    "symbol": "left",
    "probability": "right",
    "last seconds": "left",
    "events/s": "right",
    "USD/s": "right",
    "long / short": "left",
    "venue": "left",
    "age s": "right",
}
LEFT_OUT: Final = ("long / short", "venue")
"""Columns that a narrow terminal does without."""
WIDE: Final = 105
"""Columns of a terminal that has room for all."""
WIDE_REST: Final = 87
NARROW_REST: Final = 65
"""Columns of a terminal that everything but the spark line takes."""
STARTING: Final = "starting: the broker, Valkey and a worker; the market opens in a moment"


def outlook(phases: Sequence[Phase], second: float | None) -> str:
    """Say in one sentence what the market does and what to expect next.

    Parameters
    ----------
    phases
        The schedule of the market.
    second
        Seconds since it opened, None before that.

    """
    if second is None:
        return STARTING
    phase = next((phase for phase in phases if second < phase.end), phases[-1])
    return EXPECT[phase.name].format(left=max(phase.end - second, 0.0))


def render(
    board: Board, phases: Sequence[Phase], second: float | None, now: float, width: int
) -> RenderableType:
    """Return the whole view.

    Parameters
    ----------
    board
        What was heard.
    phases, second
        Where the simulated market stands, see `outlook`.
    now
        Unix seconds, for the age of the last event.
    width
        Columns of the terminal.

    """
    return Group(
        regime_line(board, width),
        Text(),
        symbol_table(board, now, width),
        Text(),
        *(change_text(change) for change in reversed(board.changes)),
        Text(),
        Text(outlook(phases, second), "italic"),
    )


def regime_line(board: Board, width: int) -> Text:
    """Return the market's state and how many symbols are at each level, in two lines if one is too short."""
    regime = board.regime
    if regime is None:
        return Text("market: waiting for prices")
    words = [
        f"market {regime['market_regime']} for {regime['time_in_regime']:.0f} s",
        f"BTC {regime['context']['btc_price']:,.0f}",
        f"risk x{board.risk_multiplier:.2f}" + (" (warming)" if board.warming else ""),
        f"liquidity {regime['liquidity_regime']}",
        f"trend {regime['trend_regime']}",
        *([f"silent: {', '.join(board.silent)}"] if board.silent else []),
    ]
    levels = [view.level for view in board.symbols.values()]
    counts = [marked(level, f"{levels.count(level)} {level}") for level in LEVELS[:0:-1] if level in levels]
    parts = [Text("  ".join(words), "bold"), *([Text("  ").join(counts)] if counts else [])]
    line = Text("  ").join(parts)
    return line if line.cell_len <= width else Text("\n").join(parts)


def symbol_table(board: Board, now: float, width: int) -> Table:
    """Return the symbols, hottest first, in the columns that the terminal has room for.

    The spark line makes room first; on a narrow terminal the columns of `LEFT_OUT` are missing.
    """
    narrow = width < WIDE
    left_out = LEFT_OUT if narrow else ()
    sparks = max(0, min(SPARK_SECONDS, width - (NARROW_REST if narrow else WIDE_REST)))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title, justify in COLUMNS.items():
        if title not in left_out:
            table.add_column(title, justify=justify, no_wrap=True)
    for view in board.by_heat():
        cells = zip(COLUMNS, _cells(view, now, sparks), strict=True)
        table.add_row(*[cell for title, cell in cells if title not in left_out])
    return table


def _cells(view: SymbolView, now: float, sparks: int) -> tuple[RenderableType, ...]:
    newest = list(view.sparks)[-sparks:] if sparks else []
    return (
        marked(view.level),
        view.symbol,
        f"{view.probability:.2f}",
        Text(spark_line(newest), MARKS[view.level].colour),
        f"{view.velocity:.1f}",
        short_usd(view.volume_usd),
        split_bar(view.long_usd, view.short_usd),
        view.leading_exchange or "",
        f"{max(now - view.event_timestamp, 0.0):.1f}" if view.event_timestamp else "",
    )


def change_text(change: Change) -> Text:
    """Return a change of level as a line for a terminal."""
    return Text.assemble(
        (f"{_time(change.heard)}  {change.symbol:<9} {change.before} → ", "dim"),
        marked(change.after),
        f"  {change.probability:.2f} by {change.reason}",
    )


def change_line(change: Change) -> str:
    """Return a change of level as a line for a pipe."""
    return (
        f"{_time(change.heard)} {change.symbol} {change.before} -> {change.after}"
        f" {change.probability:.2f} by {change.reason}"
    )


def _time(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds")[11:23]
