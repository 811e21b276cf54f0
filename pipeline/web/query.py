"""What a request may ask for in its query, and what it asks for.

Each function raises `web.HTTPBadRequest` with the reason when the query says something else than is expected.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from aiohttp import web

from pipeline.messages import LEVELS, Level, normal_symbol


class Parameter(NamedTuple):
    """A parameter of a request."""

    name: str
    text: str
    schema: dict[str, Any]
    place: str = "query"


def _whole(name: str, text: str, usual: int, most: int) -> Parameter:
    return Parameter(name, text, {"type": "integer", "minimum": 1, "maximum": most, "default": usual})


def _level(text: str, usual: Level) -> Parameter:
    return Parameter("min_level", text, {"type": "string", "enum": list(LEVELS), "default": usual})


MOST_ROWS: Final = _whole("limit", "Rows, at most.", 500, 10_000)
MOST_SIGNALS: Final = _whole("limit", "Signals, at most.", 100, 1_000)
PAST: Final = _whole("seconds", "How much of the past.", 3_600, 86_400)
LEVEL: Final = _level("From this level up.", "NONE")
LEVEL_OF_STREAM: Final = _level("Signals from this level up.", "ALERT")
SCOPE: Final = Parameter(
    "scope", "`worker`: of this worker's partitions alone.", {"type": "string", "enum": ["worker"]}
)
SYMBOL: Final = Parameter("symbol", "A symbol.", {"type": "string"}, "path")
OF_SYMBOL: Final = Parameter("symbol", "Only of this symbol.", {"type": "string"})
CHANGES: Final = Parameter(
    "changes", "Only those with which a level changed.", {"type": "boolean", "default": False}
)


def whole_number(request: web.Request, asked: Parameter) -> int:
    """Return a whole number from 1 to the parameter's most."""
    text, most = request.query.get(asked.name), asked.schema["maximum"]
    if text is None:
        return int(asked.schema["default"])
    if not (text.isdecimal() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise web.HTTPBadRequest(reason=f"{asked.name}: expected a whole number from 1 to {most}")
    return int(text)


def least_level(request: web.Request, asked: Parameter) -> int:
    """Return the level, 0 to 4, that `min_level` names."""
    level = request.query.get(asked.name, asked.schema["default"]).upper()
    if level not in LEVELS:
        raise web.HTTPBadRequest(reason=f"min_level: expected one of {', '.join(LEVELS)}")
    return LEVELS.index(level)


def only_symbol(request: web.Request) -> str | None:
    """Return the symbol that `symbol` names in its normal form, None without one."""
    return read_symbol(request.query["symbol"]) if "symbol" in request.query else None


def read_symbol(text: str) -> str:
    """Return a symbol in its normal form."""
    try:
        return normal_symbol(text.strip())  # which remembers what it was given
    except ValueError as error:
        raise web.HTTPBadRequest(reason=str(error)) from None


def only_changes(request: web.Request) -> bool:
    """Tell whether only those signals are asked for with which a level changed."""
    text = request.query.get("changes", "false").lower()
    if text not in ("true", "false"):
        raise web.HTTPBadRequest(reason="changes: expected one of true, false")
    return text == "true"


def of_worker(request: web.Request) -> bool:
    """Tell whether the worker is asked about its own partitions alone."""
    scope = request.query.get("scope")
    if scope not in (None, "worker"):
        raise web.HTTPBadRequest(reason="scope: expected worker, or none for the whole fleet")
    return scope is not None
