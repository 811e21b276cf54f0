"""Moments as they are given to options, and told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from pipeline.cli.output import USAGE, fail
from pipeline.messages import micros

_DIGITS: Final = 13
"""Milliseconds have as many from 2001 to 2286; seconds have fewer, and a date without signs has not."""


def moment_ms(option: str, text: str | None, default: float) -> float:
    """Return the milliseconds since the epoch that an option's text means: a number of them, or ISO 8601.

    A time without an offset is UTC.
    """
    if text is None:
        return default
    if text.isdecimal() and len(text) == _DIGITS:
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option}: expected ISO 8601 or milliseconds since 1970, found {text!r}", USAGE)
    return micros((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) / 1_000


def iso(moment_ms: int) -> str:
    """Return milliseconds since the epoch as ISO 8601, which `moment_ms` reads exactly."""
    return datetime.fromtimestamp(moment_ms / 1_000, UTC).isoformat().replace("+00:00", "Z")
