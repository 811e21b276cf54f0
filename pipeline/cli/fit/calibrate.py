"""`cascade calibrate`: a profile whose probabilities are frequencies, fitted to a feed."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path  # noqa: TC003 - Typer reads annotations
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer
from msgspec import structs

from pipeline import codec
from pipeline.backtest.baselines import calibrated_norms
from pipeline.cli import options
from pipeline.cli.fit.observing import (
    Feed,
    observe,
    open_feed,
    volatilities,
    with_provenance,
    without_map,
)
from pipeline.cli.moments import moment_ms
from pipeline.cli.output import USAGE, fail, show_table
from pipeline.cli.recorded.recordings import Period
from pipeline.cli.replacing import replacing
from pipeline.messages import LEVELS
from pipeline.runtime.profiles import SHIPPED, load_profile, save_profile
from pipeline.signals.profile import SEED, Profile, ProfileError, read_profile

if TYPE_CHECKING:
    from collections.abc import Sequence

BaseProfile: TypeAlias = Annotated[
    str, typer.Option(help="What to begin with: `adaptive`, `seed`, or a file.")
]
FalseAlarms: TypeAlias = Annotated[
    str, typer.Option(help="False alarms a day and symbol that WATCH, ALERT, CRITICAL and EXTREME may cost.")
]
Until: TypeAlias = Annotated[
    str | None, typer.Option(metavar="TIME", help="Learn only from what was before.")
]
FALSE_ALARMS: Final = "3,1,0.5,0.1"


def calibrate(  # noqa: PLR0913, PLR0917
    out: Annotated[Path, typer.Option(help="Write the profile here: .toml.", dir_okay=False)],
    liquidations: options.LiquidationFiles = None,
    prices: options.PriceFiles = None,
    open_interest: options.OpenInterestFiles = None,
    funding: options.FundingFiles = None,
    name: Annotated[str, typer.Option(help="The profile's name.")] = "calibrated",
    profile: BaseProfile = "adaptive",
    false_alarms: FalseAlarms = FALSE_ALARMS,
    symbol: options.SymbolOfFiles = None,
    until: Until = None,
) -> None:
    """Fit volatility bands, norms, probabilities and levels of a profile to a feed."""
    require_means(out)
    base, most = base_profile(profile, name), budgets(false_alarms)
    feed = feed_of((liquidations, prices, open_interest, funding), symbol, until)
    try:
        found = with_provenance(feed, fit(feed, base, most), "cascade calibrate", {})
    except ValueError as error:
        fail(f"these data give no profile: {error}")
    write(found, out)


def require_means(out: Path) -> None:
    """End the command unless profiles can be fitted and written, and this one where it is wanted."""
    if not all(map(find_spec, ("scipy", "tomli_w"))):
        fail("fitting a profile needs more: pip install 'cascade-pipeline[calibrate]'", USAGE)

    if out.suffix != ".toml":
        fail(f"--out: {out}: expected .toml", USAGE)
    options.require_writable(out.parent)


def base_profile(profile: str, name: str) -> Profile:
    """Return the profile to begin with, under its new name, or end the command."""
    try:
        found = structs.replace(load_profile(profile), name=name, provenance=None)
        read_profile(codec.encode({"name": name}), "json")
    except (ProfileError, ValueError) as error:
        fail(f"--profile, --name: {error}", USAGE)
    if name in {SEED.name, *SHIPPED}:
        fail(f"--name: `{name}` is the name of a profile that comes with the pipeline", USAGE)
    return found


def budgets(text: str) -> tuple[float, ...]:
    """Return false alarms a day by level, or end the command."""
    try:
        found = tuple(float(each) for each in text.split(","))
    except ValueError:
        found = ()
    falling = all(more >= fewer for more, fewer in pairwise((*found, 0.0)))
    if len(found) != len(LEVELS) - 1 or not falling or not found[-1]:
        fail(f"--false-alarms: expected four falling numbers > 0, found {text!r}", USAGE)
    return found


def feed_of(named: Sequence[options.Files], symbol: str | None, until: str | None) -> Feed:
    """Return what the files hold of all their symbols."""
    period = Period(end_ms=moment_ms("--until", until, float("inf")))
    return open_feed(options.sources(named, symbol), period)


def fit(feed: Feed, base: Profile, most: tuple[float, ...]) -> Profile:
    """Return a profile fitted to a feed; what has habits needs no norms nor floors.

    Bands come first: by them the market's regime multiplies the raw scores of a profile without habits.
    """
    from pipeline.backtest.bands import with_bands  # noqa: PLC0415 - scipy is an extra
    from pipeline.backtest.levels import with_floors, with_levels  # noqa: PLC0415

    plain = with_bands(without_map(base), volatilities(feed, base))
    if plain.score.habits is None:
        recorded = [each.recorded for each in feed.markets.values()]
        plain = structs.replace(calibrated_norms(recorded, plain, share=1.0), name=base.name)
    seen = observe(feed, plain)
    if plain.score.habits is None:
        velocities = [each.moments(each.floors) for each in seen]
        accelerations = [each.moments(each.acceleration) for each in seen]
        plain = with_floors(plain, velocities, accelerations, most)
    return with_levels(plain, [each.moments(each.raw) for each in seen], most)


def write(profile: Profile, out: Path) -> None:
    """Write a profile, and say what it is worth."""
    found = profile.provenance
    try:
        with replacing(out) as place:
            save_profile(profile, place)
    except OSError as error:
        fail(f"--out: {out}: {error.strerror}")
    if found is None:
        return
    levels, figures = profile.score.levels, found.figures
    typer.echo(f"{profile.name}: {found.episodes} cascades from {found.begin} to {found.end} in {found.feed}")
    show_table(
        ("level", "probability above", "false alarms a day and symbol", "recall"),
        [
            (
                each,
                f"{getattr(levels, each.lower()):.4f}",
                f"{figures[f'{each.lower()}_false_alarms_day']:.2f}",
                f"{figures[f'{each.lower()}_recall']:.2f}",
            )
            for each in LEVELS[1:]
        ],
    )
    typer.echo(
        f"ECE {figures['ece']:.4f}, Brier skill {figures['brier_skill']:.3f}, "
        f"PR-AUC {figures['pr_auc']:.3f}: on the data it was fitted to, so rather too good"
    )
    if found.note:
        typer.echo(found.note)
