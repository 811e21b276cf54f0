"""What a backtest says on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

from pipeline.backtest.report import (
    NOTE,
    NOTHING,
    Report,
    SymbolReport,
    alert_cells,
    gained,
    in_words,
    outcome,
    reasons,
    spread,
)
from pipeline.cli.output import show_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.backtest.evaluation import Evaluation
    from pipeline.cli.backtest.run import Ran

_TITLES: Final = (
    "signal",
    "PR-AUC",
    "Brier skill",
    "ECE",
    "recall",
    "early",
    "lead, min",
    "false alarms a day",
)


def show(report: Report, ran: Mapping[tuple[str, str], Ran], out: Path) -> None:
    """Say what each symbol's signals were worth, and where more is told."""
    for symbol, found in report.symbols.items():
        typer.echo(in_words(symbol, found))
        show_table(_TITLES, [_row(name, run) for name, run in found.runs.items()])
        for name in report.profiles:
            _show_profile(name, found)
    typer.echo(NOTE)
    for why, symbols in reasons(report.unlabelled).items():
        typer.echo(f"{symbols}: not judged: {why}")
    for complaint in report.refused:
        typer.echo(complaint)
    events, seconds = sum(each.events for each in ran.values()), sum(each.seconds for each in ran.values())
    typer.echo(
        f"{events:,} events, {events / max(seconds, 1e-9):,.0f} a second and core; see {out / 'report.html'}"
    )


def _show_profile(name: str, found: SymbolReport) -> None:
    levels = found.runs[name].levels
    show_table(
        (f"{name}: level", "recall", "early", "precision", "lead, min", "false alarms a day"),
        [(level, *alert_cells(each)) for level, each in levels.items()],
    )
    typer.echo(f"{name}, ALERT: {outcome(levels['ALERT'])}")
    for other, each in found.gains[name].items():
        if not each.is_certain:
            typer.echo(f"{name} is not surely better than {other}: {gained(each)}")


def _row(name: str, run: Evaluation) -> tuple[str, ...]:
    best = run.budgets.get("1")
    told = (NOTHING,) * 4 if best is None else (
        spread(best.recall, best.recall_interval), spread(best.early_recall, None),
        spread(best.lead_min, None, 1), spread(best.false_alarms_day, None),
    )  # fmt: skip
    skill = spread(run.brier_skill, run.brier_skill_interval)
    return (name, spread(run.pr_auc, run.pr_auc_interval), skill, f"{run.calibration_error:.3f}", *told)
