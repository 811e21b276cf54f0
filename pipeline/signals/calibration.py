"""From a score to a probability: a monotone map, found from data and kept in a profile."""

from bisect import bisect_right
from itertools import pairwise

from msgspec import Struct

from pipeline.signals.levels import Fraction


class CalibrationConstants(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A map from raw scores to probabilities: points, straight lines between them, and level beyond.

    Attributes
    ----------
    raw, probability
        The points' scores, each more than the one before, and their probabilities, none less than the one
        before. No points: a score is its own probability.

    """

    raw: tuple[float, ...] = ()
    probability: tuple[Fraction, ...] = ()

    def __post_init__(self) -> None:
        if len(self.raw) != len(self.probability) or len(self.raw) == 1:
            raise ValueError("calibration: expected as many probabilities as raw scores, and two or none")
        if any(not before < later for before, later in pairwise(self.raw)):
            raise ValueError("raw: expected ascending scores")
        if any(before > later for before, later in pairwise(self.probability)):
            raise ValueError("probability: expected probabilities that do not fall")


def calibrated(raw: float, constants: CalibrationConstants) -> float:
    """Return the probability of a raw score.

    Examples
    --------
    >>> calibrated(0.25, CalibrationConstants(raw=(0.0, 0.5), probability=(0.1, 0.2)))
    0.15000000000000002

    """
    scores, probabilities = constants.raw, constants.probability
    above = bisect_right(scores, raw)
    if above == 0:
        return probabilities[0]
    if above == len(scores):
        return probabilities[-1]
    low, high = scores[above - 1], scores[above]
    base = probabilities[above - 1]
    return base + (raw - low) / (high - low) * (probabilities[above] - base)
