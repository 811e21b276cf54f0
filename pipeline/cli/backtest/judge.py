"""What a backtest runs, in however many processes, and what that was worth."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from pipeline.backtest.baselines import calibrated_norms, last_closed_move, usd_of_a_minute
from pipeline.backtest.evaluation import Gain, Series, evaluate, gain
from pipeline.backtest.labels import DAY, MINUTE, EventRule, Labels, Recorded
from pipeline.backtest.report import SymbolReport, describe
from pipeline.cli.backtest.processes import results
from pipeline.cli.backtest.run import Ran, Run, Sources, carry_out, joined
from pipeline.cli.output import progress_bar
from pipeline.signals.profile import SEED, Profile

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from pathlib import Path

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
    """A symbol, the names of what is run over it, and the run."""

    symbol: str
    names: tuple[str, ...]
    run: Run


def tasks_of(symbol: str, market: Recorded, labels: Labels, wish: Wish) -> Iterator[Task]:
    """Yield the runs of one symbol: the profiles, and the baselines that are profiles, part by part.

    What several of them measure alike is measured once.
    """
    wanted = {each.name: each for each in wish.profiles}
    wanted.setdefault(SEED.name, SEED)
    if len(market.liquidated_ms):
        wanted[NORMS] = calibrated_norms([market])
    alike: dict[Hashable, dict[str, Profile]] = {}
    for name, profile in wanted.items():
        alike.setdefault(profile.measuring, {})[name] = profile
    begins = _begins(labels, wish.split)
    for each in alike.values():
        names, profiles = tuple(each), tuple(each.values())
        for number, (begin, end) in enumerate(pairwise([*begins, wish.sources.period.end_ms])):
            part = "" if wish.split is None else f"-{number}"
            stem = f"signals-{quote(symbol, safe='')}"
            outs = tuple(wish.out / f"{stem}-{profile.name}{part}.parquet" for profile in profiles)
            yield Task(symbol, names, Run(wish.sources, profiles, symbol, begin, end, outs))


def _begins(labels: Labels, split: int | None) -> list[float]:
    """Return where the parts of a run begin."""
    if split is None:
        return [float("-inf")]
    first, last = int(labels.minutes[0]), int(labels.minutes[-1])
    return [float("-inf"), *range(first + split * DAY, last, split * DAY)]


def carry_out_all(tasks: list[Task], jobs: int) -> dict[tuple[str, str], Ran]:
    """Run everything, and return what each profile gave of each symbol."""
    parts: dict[int, list[Ran]] = {}
    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with progress_bar(*columns, total=len(tasks)) as update:
        for number, done in results(carry_out, [task.run for task in tasks], jobs):
            parts[number] = done
            update(advance=1)
    grouped: dict[tuple[str, str], list[Ran]] = {}
    for number, task in enumerate(tasks):
        for name, ran in zip(task.names, parts[number], strict=True):
            grouped.setdefault((task.symbol, name), []).append(ran)
    return {key: joined(found) for key, found in grouped.items()}


def judged(
    symbol: str, market: Recorded, labels: Labels, ran: dict[tuple[str, str], Ran], wish: Wish
) -> SymbolReport:
    """Return what all runs and baselines of one symbol were worth."""
    names = dict.fromkeys([*wish.names, *(name for of, name in ran if of == symbol)])
    series: dict[str, Series] = {name: ran[symbol, name].series for name in names}
    if len(market.liquidated_ms):
        series[USD] = usd_of_a_minute(market, labels.minutes)
    series[MOVE] = last_closed_move(market, wish.rule)
    return SymbolReport(
        begin_ms=int(labels.minutes[0]),
        end_ms=int(labels.minutes[-1]) + MINUTE,
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
