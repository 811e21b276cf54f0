"""Profiles: named sets of every constant of the pipeline. `SEED`, the default, holds the contract's."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from pipeline import codec
from pipeline.features.positioning import PositioningConstants
from pipeline.features.velocity import VelocityConstants
from pipeline.features.volatility import VolatilityConstants
from pipeline.messages import normal_symbol
from pipeline.signals.provenance import Provenance
from pipeline.signals.regime import RegimeConstants
from pipeline.signals.score import ScoreConstants


class ProfileError(ValueError):
    """A profile that cannot be used; the text names the field."""


class Profile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every constant of the pipeline; `reference` is the symbol that the market-wide context is read from.

    `provenance` tells what the constants were fitted to; it changes nothing.
    """

    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]
    reference: str = "BTCUSDT"
    velocity: VelocityConstants = VelocityConstants()
    volatility: VolatilityConstants = VolatilityConstants()
    positioning: PositioningConstants = PositioningConstants()
    regime: RegimeConstants = RegimeConstants()
    score: ScoreConstants = ScoreConstants()
    provenance: Provenance | None = None

    @property
    def measuring(self) -> tuple[object, ...]:
        """All that decides what is measured, before anything is scored."""
        return self.reference, self.velocity, self.volatility, self.positioning, self.regime

    def __post_init__(self) -> None:
        try:
            normal = normal_symbol(self.reference)
        except ValueError as error:
            raise ValueError(f"reference: {str(error).removeprefix('symbol: ')}") from error
        if normal != self.reference:
            raise ValueError(f"reference: expected {normal}")


SEED: Final = Profile(name="seed")


def read_profile(data: bytes, syntax: Literal["toml", "json"]) -> Profile:
    r"""Return the profile that TOML or JSON describes; what it does not name is as in `SEED`.

    Raises
    ------
    ProfileError
        The text is no TOML or JSON, a field is unknown, a value is impossible or contradicts another, or
        the profile calls itself `seed` and is not.

    Examples
    --------
    >>> read_profile(b'name = "eager"\n[score]\nfull_velocity = 25', "toml").score.full_velocity
    25.0

    """
    decode = msgspec.toml.decode if syntax == "toml" else msgspec.json.decode
    try:
        profile = decode(data, type=Profile)
    except codec.UNREADABLE as error:
        raise ProfileError(_reason(error)) from error
    if profile.name == SEED.name and profile != SEED:
        raise ProfileError("name: `seed` is the name of the default profile, and this is another")
    return profile


def _reason(error: Exception) -> str:
    text, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    return f"{field}: {text}" if field else text
