"""Profiles on disk: those that come with the pipeline, by name, and those of users, by path."""

from __future__ import annotations

from codecs import BOM_UTF8
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from msgspec import to_builtins

from pipeline import signals
from pipeline.signals.profile import SEED, Profile, ProfileError, read_profile

SHIPPED: Final = ("adaptive",)
"""Profiles in `pipeline/signals/profiles/`."""


def load_profile(name: str) -> Profile:
    """Return the profile of a name (`seed`, `adaptive`), or the one in a file (TOML or JSON).

    Raises
    ------
    ProfileError
        The file cannot be read, or its contents cannot be used; the text names the field.

    """
    if name == SEED.name:
        return SEED
    if name in SHIPPED:
        return read_profile(files(signals).joinpath("profiles", f"{name}.toml").read_bytes(), "toml")
    path = Path(name)
    try:
        data = path.read_bytes().removeprefix(BOM_UTF8)
    except (FileNotFoundError, IsADirectoryError):
        names = ", ".join((SEED.name, *SHIPPED))
        raise ProfileError(f"{name!r}: neither a profile's name ({names}) nor a file") from None
    except OSError as error:
        raise ProfileError(f"{name}: {error.strerror}") from error
    return read_profile(data, "json" if path.suffix == ".json" else "toml")


def save_profile(profile: Profile, path: Path) -> None:
    """Write what a profile has other than `seed` to a TOML file, for `load_profile`."""
    from tomli_w import dumps  # noqa: PLC0415 - only with the extra `calibrate`

    changed = {"name": profile.name} | _differences(to_builtins(profile), to_builtins(SEED))
    path.write_text(dumps(changed), encoding="utf-8")


def _differences(found: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for name, value in found.items():
        known = usual.get(name)
        if isinstance(value, dict) and isinstance(known, dict) and name != "weights":
            if inner := _differences(value, known):
                changed[name] = inner
        elif value is not None and value != known:
            changed[name] = value
    return changed
