"""The funding rate of one symbol over its venues."""

from __future__ import annotations

from math import fsum
from typing import TYPE_CHECKING, Any

from pipeline.features.open_interest import LEAST_USD
from pipeline.messages import SECOND

if TYPE_CHECKING:
    from pipeline.features.open_interest import OpenInterests, VenueConstants


class FundingRates:
    """The funding rate of one symbol, averaged over venues.

    Attributes
    ----------
    time
        That of the newest rate of any venue, in microseconds.

    """

    __slots__ = ("_constants", "_rates", "time")

    def __init__(self, constants: VenueConstants) -> None:
        self._constants = constants
        self._rates: dict[str, tuple[int, float]] = {}
        self.time: int | None = None

    def add(self, exchange: str, time: int, rate: float) -> bool:
        """Take a rate; False when it is too old, or of a venue too many.

        Too old is what is older than the venue's newest, or than a venue may be silent.
        """
        now = max(time, self.time or 0)
        horizon = now - self._constants.funding_lifetime_s * SECOND
        self._rates = {venue: kept for venue, kept in self._rates.items() if kept[0] >= horizon}
        known = self._rates.get(exchange)
        if known is None:
            if time < horizon or len(self._rates) >= self._constants.most_venues:
                return False
        elif time < known[0]:
            return False
        self._rates[exchange] = (time, rate)
        self.time = now
        return True

    def mean(self, open_interests: OpenInterests) -> float | None:
        """Return the mean rate, weighted by open interest where known; None without rates.

        A venue whose open interest is not known weighs as much as the average of those where it is; when
        it is known of none, all weigh the same.
        """
        if not self._rates:
            return None
        known = {exchange: open_interests.newest(exchange) for exchange in self._rates}
        weights = [weight for weight in known.values() if weight is not None]
        usual = fsum(weights) / len(weights) if weights else 1.0
        if usual < LEAST_USD:
            known, usual = {}, 1.0
        total = weighted = 0.0
        for exchange, (_, rate) in self._rates.items():
            found = known.get(exchange)
            weight = usual if found is None else found
            total += weight
            weighted += weight * rate
        return weighted / total

    def freeze(self) -> list[Any]:
        """Return everything that `thaw` needs."""
        return [self.time, [[exchange, *kept] for exchange, kept in self._rates.items()]]

    def thaw(self, frozen: list[Any]) -> None:
        """Take over what `freeze` returned."""
        self.time, rates = frozen
        self._rates = {exchange: (time, rate) for exchange, time, rate in rates}
