"""`cascade backtest`: what signals would have been worth on recorded data."""

from __future__ import annotations

from importlib.metadata import version
from os import cpu_count
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec import ValidationError, convert

from pipeline import codec
from pipeline.backtest.labels import NO_LIQUIDATIONS, EventRule, Labels, Recorded, UnlabelledError, label
from pipeline.backtest.page import write_page
from pipeline.backtest.report import Report, without_any
from pipeline.cli import options
from pipeline.cli.backtest.judge import Wish, carry_out_all, judged, tasks_of
from pipeline.cli.backtest.run import Sources, collect
from pipeline.cli.backtest.show import show
from pipeline.cli.output import USAGE, fail
from pipeline.cli.progress import watched
from pipeline.cli.replacing import replacing
from pipeline.runtime.profiles import load_profile
from pipeline.signals.profile import Profile, ProfileError


def backtest(  # noqa: PLR0913, PLR0917
    liquidations: options.LiquidationFiles = None,
    prices: options.PriceFiles = None,
    open_interest: options.OpenInterestFiles = None,
    funding: options.FundingFiles = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PROFILE",
            help="`adaptive` (the default), `seed`, or a profile file; may be given several times.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory for report.json, report.html and the signals.")] = Path(
        "backtest"
    ),
    symbol: options.SymbolOfFiles = None,
    begin: options.From = None,
    end: options.To = None,
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
    files = tuple(options.sources((liquidations, prices, open_interest, funding), symbol))
    sources = Sources(files, options.period(begin, end), round(tick * 1_000))
    profiles = _profiles(profile or ["adaptive"])
    _make(out)
    try:
        recordings = sources.open()
        markets = collect(watched(recordings, "reading"))
    except OSError as error:
        fail(str(error), USAGE)
    labels, unlabelled = _labelled(markets, rule, recordings.complaints)
    wish = Wish(sources, profiles, rule, hold, split, out)
    tasks = [task for name, known in labels.items() for task in tasks_of(name, markets[name], known, wish)]
    ran = carry_out_all(tasks, jobs or cpu_count() or 1)
    report = Report(
        version=version("cascade-pipeline"),
        rule=rule,
        hold_s=hold,
        tick_s=tick,
        split_days=split,
        files=[file.path.name for file in files],
        profiles=wish.names,
        symbols={name: judged(name, markets[name], known, ran, wish) for name, known in labels.items()},
        unlabelled=unlabelled,
        refused=recordings.complaints,
    )
    told = {key: (each.series, each.scores) for key, each in ran.items()}
    with replacing(out / "report.json") as place:
        place.write_bytes(codec.encode(report))
    with replacing(out / "report.html") as place:
        write_page(place, report, markets, told)
    show(report, ran, out)


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"--out: {out}: {error.strerror}", USAGE)
    options.require_writable(out)


def _rule(**fields: Any) -> EventRule:
    try:
        return convert(fields, EventRule)
    except ValidationError as error:
        text, _, field = str(error).partition(" - at `$.")
        fail(f"--{field.partition('_')[0].rstrip('`')}: {text}", USAGE)


def _profiles(names: list[str]) -> list[Profile]:
    try:
        found = [load_profile(name) for name in names]
    except ProfileError as error:
        fail(f"--profile: {error}", USAGE)
    if len({each.name for each in found}) < len(found):
        fail("--profile: two profiles of the same name", USAGE)
    return found


def _labelled(
    markets: dict[str, Recorded], rule: EventRule, complaints: list[str]
) -> tuple[dict[str, Labels], dict[str, str]]:
    labels, unlabelled = {}, {}
    for symbol, market in markets.items():
        try:
            labels[symbol] = label(market, rule)
        except UnlabelledError as error:
            unlabelled[symbol] = str(error)
    if not labels:
        text = without_any(unlabelled, "--prices")
        if NO_LIQUIDATIONS in unlabelled.values():
            text += " (--price-only lets prices alone decide)"
        fail("\n".join((f"nothing to judge by: {text}", *complaints)), USAGE)
    return labels, unlabelled
