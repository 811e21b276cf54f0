"""`cascade optimise`: weights fitted to a feed, recommended only where they are surely better."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads annotations
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from msgspec import structs

from pipeline.backtest.pooling import at_minutes, pooled
from pipeline.backtest.report import gained
from pipeline.cli import options  # noqa: TC001 - Typer reads annotations
from pipeline.cli.fit.calibrate import (
    FALSE_ALARMS,
    BaseProfile,
    FalseAlarms,
    Until,
    base_profile,
    budgets,
    feed_of,
    require_means,
    write,
)
from pipeline.cli.fit.observing import observe, with_provenance, without_map
from pipeline.cli.output import PROBLEM, fail
from pipeline.messages import COMPONENTS
from pipeline.signals.weights import name_weights, read_weights

if TYPE_CHECKING:
    from pipeline.backtest.labels import Floats
    from pipeline.cli.fit.observing import Observed
    from pipeline.signals.profile import Profile


def optimise(  # noqa: PLR0913, PLR0917
    out: Annotated[Path, typer.Option(help="Write the profile here: .toml.", dir_okay=False)],
    liquidations: options.LiquidationFiles = None,
    prices: options.PriceFiles = None,
    open_interest: options.OpenInterestFiles = None,
    funding: options.FundingFiles = None,
    name: Annotated[str, typer.Option(help="The profile's name.")] = "optimised",
    profile: BaseProfile = "adaptive",
    folds: Annotated[int, typer.Option(min=2, max=60, help="Blocks of days that are foretold.")] = 6,
    false_alarms: FalseAlarms = FALSE_ALARMS,
    symbol: options.SymbolOfFiles = None,
    until: Until = None,
) -> None:
    """Fit the weights to a feed; a profile is written only if they are surely better on later days."""
    require_means(out)
    from pipeline.backtest.levels import with_levels  # noqa: PLC0415 - scipy is an extra
    from pipeline.backtest.walk_forward import gain_of, walk_forward  # noqa: PLC0415

    base, most = without_map(base_profile(profile, name)), budgets(false_alarms)
    feed = feed_of((liquidations, prices, open_interest, funding), symbol, until)
    given = np.array(read_weights(base.score.weights))
    parts = [each.moments(factored(each, base, given)) for each in observe(feed, base)]
    try:
        forward = walk_forward(at_minutes(parts), given, *pooled(feed.labels), folds)
    except ValueError as error:
        fail(f"nothing to judge weights by: {error}")
    found = gain_of(forward)
    typer.echo(f"on days not learnt from: {gained(found)}")
    typer.echo(
        "weights: " + ", ".join(f"{c} {w:.3f}" for c, w in zip(COMPONENTS, forward.weights, strict=True))
    )
    if found.pr_auc is None or not found.is_certain:
        fail("not recommended: the gain's interval does not lie above zero; nothing is written", PROBLEM)
    weights = read_weights(dict(zip(COMPONENTS, forward.weights.tolist(), strict=True)))
    better = structs.replace(base, score=structs.replace(base.score, weights=name_weights(weights)))
    raw = [each._replace(values=each.values @ np.array(weights)) for each in parts]
    better = with_levels(better, raw, most)
    gains = {"gain_pr_auc": found.pr_auc, "gain_brier": found.brier}
    write(with_provenance(feed, better, "cascade optimise", gains), out)


def factored(seen: Observed, profile: Profile, weights: Floats) -> Floats:
    """Return scores that, weighted and summed up, are raw scores: boosts and the market are in them."""
    if profile.score.habits is not None:
        return seen.scores
    whole = seen.scores @ weights
    factor = np.where(whole > 0, seen.raw / np.where(whole > 0, whole, 1.0), 1.0)
    found: Floats = seen.scores * factor[:, None]
    return found
