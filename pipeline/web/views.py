"""What a worker serves, put together."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, cast

import structlog
from aiohttp import web

from pipeline.runtime.health import Health
from pipeline.web import status
from pipeline.web.api import Api
from pipeline.web.backfill import read_past
from pipeline.web.dashboard import create_dashboard
from pipeline.web.documents import asyncapi, openapi
from pipeline.web.metrics import CONTENT_TYPE, exposition
from pipeline.web.picture import Picture
from pipeline.web.routes import ROUTES, STREAM
from pipeline.web.server import Handler, answer, serve
from pipeline.web.stream import Stream

if TYPE_CHECKING:
    import asyncio

    from pipeline.runtime.application import Application
    from pipeline.signals.profile import Profile
    from pipeline.sinks.projection import Projection

log = structlog.get_logger(__name__)


def create_views(app: Application, profile: Profile, projection: Projection | None) -> None:
    """Serve health, metrics, the JSON API, the stream and the dashboard."""
    health = Health(app, app.settings.stuck_after)
    picture = Picture()
    api = Api(app, profile, picture, lambda: status.report(app, health, projection))
    picture.weights = api.weights_on
    _create_health_views(app, health, projection)
    by_path: dict[str, dict[str, Handler]] = defaultdict(dict)
    for route in ROUTES:
        by_path[route.path][route.method] = getattr(api, route.handler)
    for path, handlers in by_path.items():
        serve(app, path, **handlers)
    stream = Stream(app.settings)
    serve(app, STREAM.path, get=stream.serve)
    _create_documents(app)
    create_dashboard(app)
    app.delivery.observe = picture.take
    app.flow.tell_forgotten = picture.forget

    looking: list[asyncio.Future[Any]] = []

    async def ready(*_: Any, **__: Any) -> None:
        while looking:
            looking.pop().cancel()  # the new one reads what this has not
        if unread := picture.keep(app.partitions):
            looking.append(app.add_future(_look_back(app, picture, unread)))

    async def leaving(*_: Any, **__: Any) -> None:
        stream.close()

    app.on_rebalance_complete.connect(cast("Any", ready))
    app.on_before_shutdown.connect(cast("Any", leaving))


async def _look_back(app: Application, picture: Picture, partitions: set[int]) -> None:
    """Read what was sent for partitions before the worker had them; a failure harms nothing else."""
    epoch = app.flow.epoch
    try:
        past = await read_past(app.settings, partitions, picture.weights)
        if epoch == app.flow.epoch:  # else the next epoch looks back for itself
            await picture.put_before(past)
    except Exception as error:
        log.exception("charts begin now: what was sent before cannot be read", error=str(error))
        picture.unread -= partitions


def _create_documents(app: Application) -> None:
    for path, document in (("/openapi.json", openapi()), ("/asyncapi.json", asyncapi())):
        serve(app, path, get=_constant(document))


def _constant(document: dict[str, Any]) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        return answer(document)

    return handler


def _create_health_views(app: Application, health: Health, projection: Projection | None) -> None:
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


def _verdict(problems: list[str]) -> web.Response:
    return web.Response(text="\n".join(problems or ["ok"]) + "\n", status=503 if problems else 200)
