"""Which moments were cascades: a rule over prices and liquidations that never looks at a signal.

A bar qualifies when the move of the 15 minutes up to its close is large (3.5 deviations of such moves, and
0.8%), and the liquidations of some 15 minutes that end within the next 10 are among the most of the 7 days
before: feeds are throttled and late. The deviation is the smaller of those of 24 hours and of 7 days, both
before the move, for the last burst inflates the former. Qualifying bars within 2 hours are one episode; its
onset is the first one's close.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, NamedTuple

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from pipeline.backtest.rolling import (
    delayed,
    filled,
    highest_ahead,
    rolling_deviation,
    rolling_quantile,
    rolling_sum,
)

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
"""Milliseconds since the epoch, ascending."""

MINUTE: Final = 60_000
DAY: Final = 86_400_000
HORIZON: Final = 15 * MINUTE
"""How long a move lasts, and how long before its end a minute counts as one before a cascade."""
_APART: Final = 120 * MINUTE
NO_LIQUIDATIONS: Final = "no liquidations"
"""Why there is nothing to judge by where prices alone do not decide."""


class EventRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What counts as a cascade, and which minutes are judged.

    Attributes
    ----------
    sigmas, floor
        A move is large from so many deviations on, and from this fraction on.
    quantile
        Of the liquidations of 15 minutes in the 7 days before; None: prices alone decide.
    lag_min
        Minutes that liquidations may come after the move.
    side
        Moves of both directions, or downwards only.
    warm_h, gap_h
        Hours at the beginning, and silences of the liquidations in hours, that are left out.

    """

    sigmas: Annotated[float, Meta(gt=0, le=100)] = 3.5
    floor: Annotated[float, Meta(ge=0, le=1)] = 0.008
    quantile: Annotated[float, Meta(ge=0, le=1)] | None = 0.975
    lag_min: Annotated[int, Meta(ge=0, le=60)] = 10
    side: Literal["both", "down"] = "both"
    warm_h: Annotated[float, Meta(ge=0, le=720)] = 24.0
    gap_h: Annotated[float, Meta(gt=0)] = 6.0


class Recorded(NamedTuple):
    """What happened to one symbol.

    Attributes
    ----------
    liquidated_ms, usd
        When liquidations happened, ascending, and their US dollars.
    opens_ms, closes
        When bars open, ascending and each once, and their closing prices.

    """

    liquidated_ms: Times
    usd: Floats
    opens_ms: Times
    closes: Floats

    def feed_ms(self, rule: EventRule) -> Times:
        """Return what tells that the feed was alive: liquidations, and prices where they alone decide."""
        return self.liquidated_ms if rule.quantile is not None else self.opens_ms


class Labels(NamedTuple):
    """What there was to foretell.

    Attributes
    ----------
    qualifying
        The closes of qualifying bars (ms).
    onsets, ends
        The first and the last qualifying close of each episode (ms).
    minutes
        The minutes that are judged (ms): both feeds were alive.
    positive, early
        Of each minute: whether a qualifying close is within 15 minutes; the same without the episodes
        themselves, of which `early_known` is False.

    """

    qualifying: Times
    onsets: Times
    ends: Times
    minutes: Times
    positive: NDArray[np.bool_]
    early: NDArray[np.bool_]
    early_known: NDArray[np.bool_]

    @property
    def days(self) -> float:
        """How many days the judged minutes are."""
        return len(self.minutes) * MINUTE / DAY


class UnlabelledError(ValueError):
    """Recorded data in which no event can be looked for; the text says why."""


def label(recorded: Recorded, rule: EventRule) -> Labels:
    """Return what there was to foretell.

    Raises
    ------
    UnlabelledError
        There is too little, or the feeds do not overlap.

    """
    _check(recorded, rule)
    qualifying = qualifying_closes(recorded, rule)
    minutes = covered_minutes(recorded, rule)
    if not len(minutes):
        raise UnlabelledError(
            f"no minute in which both feeds were alive after the first {rule.warm_h:g} h: do they overlap?"
        )
    onsets, ends = _episodes(qualifying)
    judged = np.array([_is_judged(onset, minutes) for onset in onsets], bool)
    onsets, ends = onsets[judged], ends[judged]
    following = np.searchsorted(qualifying, minutes)
    positive = np.zeros(len(minutes), bool)
    some = following < len(qualifying)
    positive[some] = qualifying[following[some]] - minutes[some] <= HORIZON
    inside = np.zeros(len(minutes), bool)
    for onset, end in zip(onsets, ends, strict=True):
        inside |= (minutes >= onset) & (minutes <= end)
    return Labels(qualifying, onsets, ends, minutes, positive, positive & ~inside, ~inside)


def _check(recorded: Recorded, rule: EventRule) -> None:
    if len(recorded.opens_ms) < 2:  # noqa: PLR2004 - one bar has no length
        raise UnlabelledError("no events without prices: give bars of 1, 3 or 5 minutes")
    if (step := bar_length(recorded)) > HORIZON or HORIZON % step:
        raise UnlabelledError(f"prices every {step / MINUTE:g} minutes: give bars of 1, 3 or 5, or ticks")
    feed = recorded.feed_ms(rule)
    if not len(feed):
        raise UnlabelledError(NO_LIQUIDATIONS)
    hours = (feed[-1] - feed[0]) / 3_600_000
    if hours <= rule.warm_h:
        raise UnlabelledError(f"only {hours:.1f} h of data: the first {rule.warm_h:g} h are left out")


def bar_length(recorded: Recorded) -> int:
    """Return the length of the bars in milliseconds: the median step."""
    return int(np.median(np.diff(recorded.opens_ms)))


def qualifying_closes(recorded: Recorded, rule: EventRule) -> Times:
    """Return when bars close that qualify (ms)."""
    step = bar_length(recorded)
    grid, move, sigma = deviations(recorded, step)
    size = -move if rule.side == "down" else np.abs(move)
    with np.errstate(invalid="ignore"):
        found = (size >= rule.sigmas * sigma) & (size >= rule.floor)
        if rule.quantile is not None:
            found &= _bursts(recorded, rule, grid, step)
    closes = grid[found] + step
    feed = recorded.feed_ms(rule)
    inside: Times = closes[(closes >= feed[0] + rule.warm_h * 3_600_000) & (closes <= feed[-1])]
    return inside


def deviations(recorded: Recorded, step: int) -> tuple[Times, Floats, Floats]:
    """Return when bars open, their moves of 15 minutes (logarithms), and the deviation of those before."""
    steps, day = HORIZON // step, DAY // step
    grid = np.arange(recorded.opens_ms[0], recorded.opens_ms[-1] + 1, step)
    prices = np.full(len(grid), np.nan)
    places = np.searchsorted(grid, recorded.opens_ms)
    exact = grid[np.minimum(places, len(grid) - 1)] == recorded.opens_ms
    prices[places[exact]] = recorded.closes[exact]
    logs = np.log(filled(prices, steps))
    move = logs - delayed(logs, steps)
    spread = np.fmin(rolling_deviation(move, day, day // 2), rolling_deviation(move, 7 * day, day))
    return grid, move, delayed(spread, steps)


def _bursts(recorded: Recorded, rule: EventRule, grid: Times, step: int) -> NDArray[np.bool_]:
    """Tell of each bar whether liquidations around it are among the most of the 7 days before."""
    steps = HORIZON // step
    places = (recorded.liquidated_ms - grid[0]) // step
    inside = (places >= 0) & (places < len(grid))
    cents = np.rint(100 * recorded.usd[inside])  # sums of whole numbers are exact
    usd = np.bincount(places[inside], cents, len(grid)).astype(float)
    sums = rolling_sum(usd, steps)
    sums[: max(places[0], 0)] = np.nan
    day = DAY // step
    most = delayed(rolling_quantile(sums, 7 * day, day, rule.quantile or 0.0), steps)
    ahead = highest_ahead(sums, rule.lag_min * MINUTE // step)
    found: NDArray[np.bool_] = (ahead >= most) & (ahead > 0)
    return found


def covered_minutes(recorded: Recorded, rule: EventRule) -> Times:
    """Return the minutes in which both feeds were alive (prices: half of the last 24 h at least)."""
    times, opens, step = recorded.feed_ms(rule), recorded.opens_ms, bar_length(recorded)
    begin = int(times[0] + rule.warm_h * 3_600_000) // MINUTE * MINUTE
    minutes = np.arange(begin, times[-1], MINUTE)

    def bars(back: int) -> Times:
        return np.searchsorted(opens, minutes) - np.searchsorted(opens, minutes - back)

    minutes = minutes[(bars(DAY) >= DAY // step // 2) & (bars(20 * MINUTE) > 0)]
    after = np.clip(np.searchsorted(times, minutes, side="right"), 1, len(times) - 1)
    return minutes[times[after] - times[after - 1] <= rule.gap_h * 3_600_000]


def _episodes(qualifying: Times) -> tuple[Times, Times]:
    if not len(qualifying):
        return qualifying, qualifying
    begins = np.concatenate([[True], np.diff(qualifying) > _APART])
    ends = np.concatenate([begins[1:], [True]])
    return qualifying[begins], qualifying[ends]


def _is_judged(onset: int, minutes: Times) -> bool:
    """Tell whether most of the 15 minutes before an onset are judged."""
    before = np.arange(onset - HORIZON, onset + 1, MINUTE) // MINUTE * MINUTE
    return bool(among(before, minutes).mean() > 0.5)  # noqa: PLR2004 - most of them


def among(times: Times, ordered: Times) -> NDArray[np.bool_]:
    """Tell which of some times are among others, which ascend."""
    places = np.minimum(np.searchsorted(ordered, times), len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[places] == times
    return found
