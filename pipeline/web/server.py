"""Faust's web server without Faust's pages, with limits, and with answers that say what went wrong."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import structlog
from aiohttp import web
from faust.web.drivers import aiohttp as driver
from faust.web.views import View

from pipeline import codec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import faust

Handler: TypeAlias = "Callable[[web.Request], Awaitable[web.StreamResponse]]"
log = structlog.get_logger(__name__)

LARGEST_BODY: Final = 64 << 10
"""Bytes of a request's body, at most."""
ANSWER_WITHIN: Final = 10.0
"""Seconds in which a request is read and answered; a stream goes on for longer."""
TAKEN_WITHIN: Final = 60.0
"""Seconds in which an answer is taken: it is kept until then, for each who asks."""
LIMIT: Final = web.RequestKey("limit", asyncio.Timeout)
"""Of a request: when it has to be answered."""
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class WebPortError(Exception):
    """The web views cannot be served where they are to be."""

    def __init__(self, bind: str, port: int, error: OSError) -> None:
        super().__init__(
            f"the web views cannot be served on {bind}:{port} ({error.strerror}): set another "
            "PIPELINE_WEB_PORT or PIPELINE_WEB_BIND, or PIPELINE_WEB_ENABLED=false"
        )


class WebServer(driver.Web):
    """The web server of a worker: its pages are those that the worker registers, and no others."""

    default_blueprints = production_blueprints = debug_blueprints = optional_blueprints = ()

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self._runner = web.AppRunner(
            self.web_app,
            access_log=None,
            keepalive_timeout=30.0,
            handler_cancellation=True,
            shutdown_timeout=1.0,
        )

    async def start_server(self) -> None:
        """Listen.

        Raises
        ------
        WebPortError
            The port is taken, or the address is none of this machine.
        """
        try:
            await super().start_server()
        except OSError as error:
            raise WebPortError(self.app.conf.web_bind, self.app.conf.web_port, error) from error


def check_port(bind: str, port: int) -> None:
    """Listen for a moment, before anything else is begun.

    Raises
    ------
    WebPortError
        The port is taken, or the address is none of this machine.
    """
    try:
        socket.create_server((bind, port), family=socket.AF_INET6 if ":" in bind else socket.AF_INET).close()
    except OSError as error:
        raise WebPortError(bind, port, error) from error


def serve(app: faust.App, path: str, **handlers: Handler) -> None:
    """Serve a path, with a handler for each method that it knows: `get`, `put`, `delete`."""
    methods = {name: _as_method(handler) for name, handler in handlers.items()}
    app.page(path, name=path)(type("View", (View,), methods))


def _as_method(handler: Handler) -> Callable[..., Awaitable[web.StreamResponse]]:
    async def method(_view: View, request: web.Request, **_in_path: str) -> web.StreamResponse:
        return await handler(request)

    return method


def application_options() -> dict[str, Any]:
    """Return how aiohttp's application is made."""
    return {"client_max_size": LARGEST_BODY, "middlewares": [_protect, _answer]}


@web.middleware
async def _protect(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    if not response.prepared:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        await _send(request, response)
    return response


async def _send(request: web.Request, response: web.StreamResponse) -> None:
    """Send an answer; who takes it too slowly is cut off."""
    try:
        with suppress(ConnectionResetError):
            async with asyncio.timeout(TAKEN_WITHIN):
                await response.prepare(request)
                await response.write_eof()
    except TimeoutError:
        cut_off(request)


def cut_off(request: web.Request) -> None:
    """Leave whoever asks, and what he was still to be sent."""
    if request.transport is not None:
        request.transport.abort()


@web.middleware
async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer in time, and also what fails as JSON."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN) as limit:
            request[LIMIT] = limit
            return await handler(request)
    except TimeoutError:
        return problem(503, f"not answered within {ANSWER_WITHIN:.0f} s: try again")
    except web.HTTPException as refused:
        return problem(refused.status, refused.reason, refused.headers)
    except Exception:
        log.exception("a request failed", method=request.method, path=request.path)
        return problem(500, "the worker failed to answer: its log says why")


def answer(body: Any) -> web.Response:
    """Return a message as JSON."""
    return web.Response(body=codec.encode(body), content_type="application/json")


def problem(status: int, reason: str, headers: Any = None) -> web.Response:
    """Return an answer that says what is wrong."""
    kept = {name: value for name, value in (headers or {}).items() if name in ("Allow", "WWW-Authenticate")}
    return web.json_response({"error": reason}, status=status, headers=kept)
