"""Profiles on disk."""

from __future__ import annotations

from pathlib import Path

from pipeline.signals.profile import SEED, Profile, read_profile


def load_profile(name: str) -> Profile:
    """Return the profile `seed`, or the one in a file (TOML or JSON).

    Raises
    ------
    ProfileError
        The file's contents cannot be used; the text names the field.
    OSError
        The file cannot be read.

    """
    if name == SEED.name:
        return SEED
    path = Path(name)
    return read_profile(path.read_bytes(), "json" if path.suffix == ".json" else "toml")
