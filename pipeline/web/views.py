"""The views of a worker's health: `/livez`, `/readyz`, `/status`, `/metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from pipeline import codec
from pipeline.runtime.health import Health
from pipeline.web import status
from pipeline.web.metrics import CONTENT_TYPE, exposition
from pipeline.web.server import serve

if TYPE_CHECKING:
    from pipeline.runtime.application import Application
    from pipeline.sinks.projection import Projection


def create_health_views(app: Application, projection: Projection | None) -> None:
    """Serve what those ask who keep a worker running."""
    health = Health(app, app.settings.stuck_after)

    async def livez(_request: web.Request) -> web.Response:
        return _verdict(health.stuck())

    async def readyz(_request: web.Request) -> web.Response:
        return _verdict(health.unready())

    async def whole_status(_request: web.Request) -> web.Response:
        return answer(status.report(app, health, projection))

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=exposition(app, health, projection), headers={"Content-Type": CONTENT_TYPE})

    serve(app, "/livez", get=livez)
    serve(app, "/readyz", get=readyz)
    serve(app, "/status", get=whole_status)
    serve(app, "/metrics", get=metrics)


def answer(body: Any, code: int = 200) -> web.Response:
    """Return a message as JSON."""
    return web.Response(body=codec.encode(body), status=code, content_type="application/json")


def _verdict(problems: list[str]) -> web.Response:
    return web.Response(text="\n".join(problems or ["ok"]) + "\n", status=503 if problems else 200)
