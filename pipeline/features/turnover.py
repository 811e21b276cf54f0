"""Traded volume of an hour against that of a day, and the spread of ten minutes."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from pipeline.features.ranking import Ranking
from pipeline.features.spans import Ring

_HOUR_S: Final = 3_600
_DAY_S: Final = 24 * _HOUR_S
_SPREAD_S: Final = 600
_LONGEST_S: Final = 900
"""A volume traded over more than 15 minutes says too little about when."""


class TurnoverReading(NamedTuple):
    """Volume and spread at a moment.

    Attributes
    ----------
    ratio
        Volume of the last hour / average hour of the last 24 (those that volumes cover); None when nothing
        was traded.
    spread_bps
        Mean spread of the last 10 minutes, in basis points; None without spreads.
    volumes
        How many prices carried a volume.
    percentile
        Of the last hour's volume among those at whole 5 minutes of 24 hours; None without history.

    """

    ratio: float | None
    spread_bps: float | None
    volumes: int
    percentile: float | None


class Turnover:
    """Volume and spread of one symbol over time.

    A price's volume was traded since the price before, so it is spread over the seconds in between: five
    minutes for a 5-minute bar, one second or so for a tick. The first one, and one after more than 15
    minutes, was traded over nobody knows how long: it is counted, not added.
    """

    __slots__ = (
        "_cover",
        "_day",
        "_hour",
        "_pending_spread",
        "_pending_spreads",
        "_pending_volume",
        "_ranking",
        "_since",
        "_spread",
        "_spreads",
        "_volumes",
    )

    def __init__(self, least_history: int) -> None:
        self._hour = Ring(_HOUR_S)
        self._day = Ring(_DAY_S)
        self._cover = Ring(_DAY_S)  # seconds that volumes cover
        self._spread = Ring(_SPREAD_S)  # sum of spreads
        self._spreads = Ring(_SPREAD_S)  # number of spreads
        self._ranking = Ranking(least_history)
        self._since = 0  # the second up to which volumes were added
        self._volumes = 0
        self._pending_volume: float | None = None
        self._pending_spread = 0.0
        self._pending_spreads = 0

    def add(self, volume_usd: float | None, spread_bps: float | None) -> None:
        """Take what a price carried."""
        if volume_usd is not None:
            self._pending_volume = volume_usd + (self._pending_volume or 0.0)
            self._volumes += 1
        if spread_bps is not None:
            self._pending_spread += spread_bps
            self._pending_spreads += 1

    def read(self, second: int) -> TurnoverReading:
        """Return volume and spread as of a second that has just begun."""
        self._settle_volume(second)
        self._settle_spread(second)
        hour, covered = self._hour.total(second), self._cover.total(second)
        average = self._day.total(second) * _HOUR_S / max(covered, _HOUR_S)
        percentile = self._ranking.percentile(hour)
        if self._ranking.due(second) and covered >= _HOUR_S:
            self._ranking.keep(hour)
        spreads = self._spreads.total(second)
        return TurnoverReading(
            ratio=hour / average if average > 0 else None,
            spread_bps=self._spread.total(second) / spreads if spreads > 0 else None,
            volumes=self._volumes,
            percentile=percentile,
        )

    def _settle_volume(self, second: int) -> None:
        if self._pending_volume is None:
            return
        interval = second - self._since
        if interval <= _LONGEST_S:
            self._hour.add(self._since, second, self._pending_volume)
            self._day.add(self._since, second, self._pending_volume)
            self._cover.add(self._since, second, interval)
        self._since = second
        self._pending_volume = None

    def _settle_spread(self, second: int) -> None:
        if self._pending_spreads:
            self._spread.add(second - 1, second, self._pending_spread)
            self._spreads.add(second - 1, second, self._pending_spreads)
            self._pending_spread = 0.0
            self._pending_spreads = 0

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return [
            [ring.freeze() for ring in self._rings()],
            self._ranking.freeze(),
            self._since,
            self._volumes,
            self._pending_volume,
            self._pending_spread,
            self._pending_spreads,
        ]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        rings, ranking, self._since, self._volumes, *pending = frozen
        self._pending_volume, self._pending_spread, self._pending_spreads = pending
        self._ranking.thaw(ranking)
        for ring, content in zip(self._rings(), rings, strict=True):
            ring.thaw(content)

    def _rings(self) -> tuple[Ring, ...]:
        return self._hour, self._day, self._cover, self._spread, self._spreads
