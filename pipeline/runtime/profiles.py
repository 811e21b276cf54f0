"""Profiles on disk."""

from __future__ import annotations

from pathlib import Path

from pipeline.signals.profile import SEED, Profile, ProfileError, read_profile


def load_profile(name: str) -> Profile:
    """Return the profile `seed`, or the one in a file (TOML or JSON).

    Raises
    ------
    ProfileError
        The file cannot be read, or its contents cannot be used; the text names the field.

    """
    if name == SEED.name:
        return SEED
    path = Path(name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ProfileError(str(error)) from error
    return read_profile(data, "json" if path.suffix == ".json" else "toml")
