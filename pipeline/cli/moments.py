"""Moments as they are given to options."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.cli.output import USAGE, fail


def moment_ms(option: str, text: str | None, default: float) -> float:
    """Return the milliseconds since the epoch that an option's text means: a number of them, or ISO 8601.

    A time without an offset is UTC.
    """
    if text is None:
        return default
    if text.isdecimal() and len(text) > 8:  # noqa: PLR2004 - 20240305 is a date
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option}: expected ISO 8601 or milliseconds since 1970, found {text!r}", USAGE)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000
