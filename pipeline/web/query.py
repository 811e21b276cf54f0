"""What a request asks for, read from its query.

Each raises `web.HTTPBadRequest` with the reason when the query says something else than is expected.
"""

from __future__ import annotations

from aiohttp import web

from pipeline.messages import LEVELS, normal_symbol


def whole_number(request: web.Request, name: str, usual: int, most: int) -> int:
    """Return a whole number from 1 to the most."""
    text = request.query.get(name)
    if text is None:
        return usual
    if not (text.isdecimal() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise web.HTTPBadRequest(reason=f"{name}: expected a whole number from 1 to {most}")
    return int(text)


def least_level(request: web.Request, usual: str) -> int:
    """Return the level, 0 to 4, that `min_level` names."""
    level = request.query.get("min_level", usual).upper()
    if level not in LEVELS:
        raise web.HTTPBadRequest(reason=f"min_level: expected one of {', '.join(LEVELS)}")
    return LEVELS.index(level)


def only_symbol(request: web.Request) -> str | None:
    """Return the symbol that `symbol` names in its normal form, None without one."""
    return read_symbol(request.query["symbol"]) if "symbol" in request.query else None


def read_symbol(text: str) -> str:
    """Return a symbol in its normal form."""
    try:
        return normal_symbol(text)
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
