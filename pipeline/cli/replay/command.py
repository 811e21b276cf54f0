"""`cascade replay`: recorded files through the pipeline, offline or into a running one."""

from __future__ import annotations

import time
from pathlib import Path  # noqa: TC003 - Typer reads annotations
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import contract
from pipeline.cli import options
from pipeline.cli.output import PROBLEM, USAGE, fail, run, show_table
from pipeline.cli.progress import watched
from pipeline.cli.recorded.recordings import Recorded, Recordings, open_files, reference_first
from pipeline.cli.recorded.signal_rows import SignalFile, create_signal_file, signal_row
from pipeline.cli.replay import kafka
from pipeline.cli.replay.report import SignalCounts, report
from pipeline.engine import Engine
from pipeline.messages import Signal
from pipeline.runtime.profiles import load_profile
from pipeline.settings import load_settings
from pipeline.signals.profile import SEED, Profile, ProfileError

if TYPE_CHECKING:
    from collections.abc import Iterable


def replay(  # noqa: PLR0913, PLR0917
    liquidations: options.LiquidationFiles = None,
    prices: Annotated[
        options.Files, typer.Option(metavar=options.FILES, help="Ticks, trades or bars (one price each).")
    ] = None,
    open_interest: options.OpenInterestFiles = None,
    funding: options.FundingFiles = None,
    out: Annotated[
        Path | None, typer.Option(help="Write signals here: .parquet, .csv or .jsonl.", dir_okay=False)
    ] = None,
    symbol: options.SymbolOfFiles = None,
    begin: options.From = None,
    end: options.To = None,
    profile: Annotated[
        str | None,
        typer.Option(help="With --out: `seed` (the default), `adaptive`, or the path of a profile file."),
    ] = None,
    to_kafka: Annotated[
        bool, typer.Option("--to-kafka", help="Feed the running pipeline instead of writing signals.")
    ] = False,
    speed: Annotated[
        str | None,
        typer.Option(metavar="X", help="With --to-kafka: so many times real time, or `max` (the default)."),
    ] = None,
) -> None:
    """Run recorded files (parquet, CSV, JSON Lines), merged by time, through the pipeline."""
    if (out is None) == (not to_kafka):
        fail("give one of --out FILE and --to-kafka", USAGE)
    if to_kafka and profile is not None:
        fail("--profile goes with --out: workers have the profile of PIPELINE_PROFILE", USAGE)
    if out is not None and speed is not None:
        fail("--speed goes with --to-kafka", USAGE)
    sources = options.sources((liquidations, prices, open_interest, funding), symbol)
    if not sources:
        fail(f"nothing to replay: give some of {', '.join(options.FILE_OPTIONS)}", USAGE)
    period = options.period(begin, end)
    recordings = Recordings(open_files(sources), period)
    if out is None:
        _replay_to_kafka(recordings, _speed(speed))
    else:
        _refuse_overwriting(recordings, out)
        _replay_offline(recordings, out, _profile(profile))
    if not recordings.used:
        fail("no row was usable")


def _speed(text: str | None) -> float:
    if text in {None, "max"}:
        return kafka.FASTEST
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < kafka.FASTEST:
        fail(f"--speed: expected a number > 0 or `max`, found {text!r}", USAGE)
    return speed


def _profile(name: str | None) -> Profile:
    try:
        return load_profile(SEED.name if name is None else name)
    except ProfileError as error:
        fail(f"--profile: {error}", USAGE)


def _refuse_overwriting(recordings: Recordings, out: Path) -> None:
    if out.exists() and any(out.samefile(file.path) for file in recordings.files):
        fail(f"--out: {out} is one of the files to replay", USAGE)


def _replay_offline(recordings: Recordings, out: Path, profile: Profile) -> None:
    counts = SignalCounts()
    started = time.perf_counter()
    try:
        with create_signal_file(out) as file:
            process(watched(recordings, "replaying"), Engine(profile), file, counts)
            file.wanted = bool(recordings.used)
    except OSError as error:
        fail(f"{error.filename or out}: {error.strerror}", PROBLEM)
    show_table(("what", "how many"), report(recordings, counts, time.perf_counter() - started))


def process(records: Iterable[Recorded], engine: Engine, file: SignalFile, counts: SignalCounts) -> None:
    """Feed recorded messages to an engine, write the signals and count what comes out."""
    for recorded in reference_first(records, engine.profile.reference):
        for output in engine.feed(recorded.topic, recorded.message):
            counts.add(output)
            if output.topic == contract.SIGNALS and isinstance(output.body, Signal):
                file.write(signal_row(output.body))
    counts.skipped = engine.skipped()


def _replay_to_kafka(recordings: Recordings, speed: float) -> None:
    settings = load_settings()
    started = time.perf_counter()
    run(kafka.feed(recordings, settings, speed))
    show_table(("what", "how many"), report(recordings, None, time.perf_counter() - started))
