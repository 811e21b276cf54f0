"""`cascade backtest`: what signals would have been worth on recorded data."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from importlib.metadata import version
from itertools import pairwise
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple
from urllib.parse import quote

import typer
from msgspec import ValidationError, convert
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pipeline import codec
from pipeline.backtest.baselines import calibrated_norms, last_closed_move, usd_of_a_minute
from pipeline.backtest.evaluation import Evaluation, Gain, Series, evaluate, gain
from pipeline.backtest.labels import DAY, EventRule, Labels, Recorded, UnlabelledError, label
from pipeline.backtest.page import write_page
from pipeline.backtest.report import (
    NOTHING,
    Report,
    SymbolReport,
    alert_cells,
    describe,
    in_words,
    outcome,
    spread,
)
from pipeline.cli.backtest_run import Ran, Run, Sources, carry_out, collect, joined
from pipeline.cli.options import (
    Files,
    From,
    FundingFiles,
    OpenInterestFiles,
    SymbolOfFiles,
    To,
    named_files,
    normal,
    period,
)
from pipeline.cli.output import USAGE, fail, on_terminal, show_table
from pipeline.cli.rows import UnusableFileError
from pipeline.runtime.profiles import load_profile
from pipeline.signals.profile import SEED, Profile, ProfileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NORMS: Final = "seed, norms of the feed"
USD: Final = "USD in 60 s"
MOVE: Final = "last closed move"
_THRESHOLDS: Final = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)


class Wish(NamedTuple):
    """What is to be run and how it is judged: as the options say."""

    sources: Sources
    profiles: list[Profile]
    rule: EventRule
    hold_s: float
    split: int | None
    out: Path

    @property
    def names(self) -> list[str]:
        """The names of the profiles."""
        return [each.name for each in self.profiles]


class Task(NamedTuple):
    """A symbol, the name of what is run over it, and the run."""

    symbol: str
    name: str
    run: Run


def backtest(  # noqa: PLR0913, PLR0917
    liquidations: Annotated[Files, typer.Option(metavar="FILE...", help="Liquidations.")] = None,
    prices: Annotated[
        Files, typer.Option(metavar="FILE...", help="Bars of 1, 3 or 5 minutes, or ticks.")
    ] = None,
    open_interest: OpenInterestFiles = None,
    funding: FundingFiles = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(help="`adaptive` (the default), `seed`, or a profile file; may be given several times."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory for report.json, report.html and the signals.")] = Path(
        "backtest"
    ),
    symbol: SymbolOfFiles = None,
    begin: From = None,
    end: To = None,
    tick: Annotated[
        float,
        typer.Option(
            min=0, max=900, help="Repeat the last price so often, in seconds, where none comes; 0: never."
        ),
    ] = 60.0,
    hold: Annotated[
        float, typer.Option(min=1, help="Seconds after which a signal tells nothing any more.")
    ] = 60.0,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; by default one a core. Results are the same.")
    ] = None,
    split: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="DAYS",
            help="Run parts of so many days side by side, each after 8 days of warm-up.",
        ),
    ] = None,
    sigmas: Annotated[float, typer.Option(help="An event's move: at least so many deviations,")] = 3.5,
    floor: Annotated[float, typer.Option(help="and at least this fraction;")] = 0.008,
    quantile: Annotated[float, typer.Option(help="its liquidations: above this quantile of 7 days,")] = 0.975,
    lag: Annotated[int, typer.Option(help="at most so many minutes later.")] = 10,
    side: Annotated[str, typer.Option(help="`both` directions, or `down`.")] = "both",
    warm: Annotated[float, typer.Option(help="Hours at the beginning that are not judged.")] = 24.0,
    gap: Annotated[float, typer.Option(help="Hours of silence from which on minutes are not judged.")] = 6.0,
    price_only: Annotated[bool, typer.Option("--price-only", help="Events by prices alone.")] = False,
) -> None:
    """Run profiles over recorded data, and judge their signals by events that no signal had a say in."""
    rule = _rule(
        sigmas=sigmas,
        floor=floor,
        quantile=None if price_only else quantile,
        lag_min=lag,
        side=side,
        warm_h=warm,
        gap_h=gap,
    )
    files = tuple(named_files((liquidations, prices, open_interest, funding)))
    sources = Sources(files, normal(symbol), period(begin, end), round(tick * 1_000))
    profiles = _profiles(profile or ["adaptive"])
    try:
        out.mkdir(parents=True, exist_ok=True)
        markets = collect(sources.open())
    except (UnusableFileError, ValueError, OSError) as error:
        fail(str(error), USAGE)
    wish = Wish(sources, profiles, rule, hold, split, out)
    labels, unlabelled = _labelled(markets, rule)
    tasks = [task for name, known in labels.items() for task in _tasks(name, markets[name], known, wish)]
    ran = _carry_out(tasks, jobs or cpu_count() or 1)
    report = Report(
        version=version("cascade-pipeline"),
        rule=rule,
        hold_s=hold,
        tick_s=tick,
        split_days=split,
        files=[path.name for _, path in files],
        profiles=wish.names,
        symbols={name: _judged(name, markets[name], known, ran, wish) for name, known in labels.items()},
        unlabelled=unlabelled,
    )
    (out / "report.json").write_bytes(codec.encode(report))
    told = {key: (each.series, each.scores) for key, each in ran.items()}
    write_page(out / "report.html", report, markets, told)
    _show(report, ran, out)


def _rule(**fields: Any) -> EventRule:
    try:
        return convert(fields, EventRule)
    except ValidationError as error:
        fail(f"the rule of events: {error}", USAGE)


def _profiles(names: list[str]) -> list[Profile]:
    try:
        found = [load_profile(name) for name in names]
    except ProfileError as error:
        fail(f"--profile: {error}", USAGE)
    if len({each.name for each in found}) < len(found):
        fail("--profile: two profiles of the same name", USAGE)
    return found


def _labelled(markets: dict[str, Recorded], rule: EventRule) -> tuple[dict[str, Labels], dict[str, str]]:
    labels, unlabelled = {}, {}
    for symbol, market in markets.items():
        try:
            labels[symbol] = label(market, rule)
        except UnlabelledError as error:
            unlabelled[symbol] = str(error)
    if not labels:
        reasons = (
            "; ".join(f"{symbol}: {why}" for symbol, why in unlabelled.items()) or "no prices: give --prices"
        )
        fail(f"nothing to judge by: {reasons}", USAGE)
    return labels, unlabelled


def _tasks(symbol: str, market: Recorded, labels: Labels, wish: Wish) -> Iterator[Task]:
    """Yield the runs of one symbol: each profile, and the baselines that are profiles, part by part."""
    wanted = {each.name: each for each in wish.profiles}
    wanted.setdefault(SEED.name, SEED)
    if len(market.liquidated_ms):
        wanted[NORMS] = calibrated_norms([market])
    begins = _begins(labels, wish.split)
    for name, profile in wanted.items():
        for number, (begin, end) in enumerate(pairwise([*begins, float("inf")])):
            part = "" if wish.split is None else f"-{number}"
            path = wish.out / f"signals-{quote(symbol, safe='')}-{profile.name}{part}.parquet"
            yield Task(symbol, name, Run(wish.sources, profile, symbol, begin, end, path))


def _begins(labels: Labels, split: int | None) -> list[float]:
    """Return where the parts of a run begin."""
    if split is None:
        return [float("-inf")]
    first, last = int(labels.minutes[0]), int(labels.minutes[-1])
    return [float("-inf"), *range(first + split * DAY, last, split * DAY)]


def _carry_out(tasks: list[Task], jobs: int) -> dict[tuple[str, str], Ran]:
    """Run everything, and return what each profile gave of each symbol."""
    parts: dict[int, Ran] = {}
    with _progress(len(tasks)) as progress, ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        waiting = {pool.submit(carry_out, task.run): number for number, task in enumerate(tasks)}
        for future in as_completed(waiting):
            parts[waiting[future]] = future.result()
            progress()
    grouped: dict[tuple[str, str], list[Ran]] = {}
    for number, task in enumerate(tasks):
        grouped.setdefault((task.symbol, task.name), []).append(parts[number])
    return {key: joined(found) for key, found in grouped.items()}


def _judged(
    symbol: str, market: Recorded, labels: Labels, ran: dict[tuple[str, str], Ran], wish: Wish
) -> SymbolReport:
    series: dict[str, Series] = {name: each.series for (of, name), each in ran.items() if of == symbol}
    if len(market.liquidated_ms):
        series[USD] = usd_of_a_minute(market, labels.minutes)
    series[MOVE] = last_closed_move(market, wish.rule)
    return SymbolReport(
        days=labels.days,
        minutes=len(labels.minutes),
        base_rate=float(labels.positive.mean()),
        episodes=describe(labels),
        runs={name: evaluate(each, labels, _THRESHOLDS, wish.hold_s) for name, each in series.items()},
        gains={name: _gains(name, series, labels, wish.hold_s) for name in wish.names},
    )


def _gains(name: str, series: dict[str, Series], labels: Labels, hold_s: float) -> dict[str, Gain]:
    others = {other: each for other, each in series.items() if other != name}
    return {other: gain(series[name], each, labels, hold_s) for other, each in others.items()}


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not on_terminal(), transient=True) as shown:
        task = shown.add_task("", total=total)
        yield lambda: shown.advance(task)


def _show(report: Report, ran: dict[tuple[str, str], Ran], out: Path) -> None:
    for symbol, found in report.symbols.items():
        typer.echo(in_words(symbol, found))
        columns = (
            "signal",
            "PR-AUC",
            "Brier skill",
            "ECE",
            "recall",
            "early",
            "lead, min",
            "false alarms a day",
        )
        show_table(columns, [_row(name, run) for name, run in found.runs.items()])
        for name in report.profiles:
            levels = found.runs[name].levels
            show_table(
                (f"{name}: level", "recall", "early", "precision", "lead, min", "false alarms a day"),
                [(level, *alert_cells(each)) for level, each in levels.items()],
            )
            typer.echo(f"{name}, ALERT: {outcome(levels['ALERT'])}")
            for other, each in found.gains[name].items():
                if not each.is_certain:
                    typer.echo(f"{name} is not surely better than {other}: the gain's interval includes zero")
    for symbol, why in report.unlabelled.items():
        typer.echo(f"{symbol}: not judged: {why}")
    events, seconds = (sum(getattr(each, field) for each in ran.values()) for field in ("events", "seconds"))
    typer.echo(
        f"{events:,} events, {events / max(seconds, 1e-9):,.0f} a second and core; see {out / 'report.html'}"
    )


def _row(name: str, run: Evaluation) -> tuple[str, ...]:
    best = run.budgets.get("1")
    told = (NOTHING,) * 4 if best is None else (
        spread(best.recall, best.recall_interval), spread(best.early_recall, None),
        spread(best.lead_min, None, 1), spread(best.false_alarms_day, None),
    )  # fmt: skip
    skill = spread(run.brier_skill, run.brier_skill_interval)
    return (name, spread(run.pr_auc, run.pr_auc_interval), skill, f"{run.calibration_error:.3f}", *told)
