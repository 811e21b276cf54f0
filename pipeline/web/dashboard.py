"""The dashboard: the page's files, and the chart library from the installed Python package."""

from __future__ import annotations

import asyncio
import gzip
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import web

from pipeline.web.server import problem, serve

if TYPE_CHECKING:
    import faust

PAGE: Final = Path(__file__).parent / "page"
TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
PLOTLY_STYLES: Final = (
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"  # pragma: allowlist secret
    " 'sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o='"  # pragma: allowlist secret
)
"""What plotly puts in: a style sheet without text, that it fills rule by rule, and that of its maps."""
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        f"style-src 'self' {PLOTLY_STYLES}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def create_dashboard(app: faust.App) -> None:
    """Serve the page at `/`, and what it is made of below `/assets/`."""
    index = (PAGE / "index.html").read_text().replace("{plotly}", version("plotly"))
    files = {path.name: path.read_bytes() for path in PAGE.iterdir() if path.name != "index.html"}

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=index, content_type="text/html", headers={"Content-Security-Policy": POLICY})

    async def asset(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        body = files.get(name)
        if body is None:
            return problem(404, f"{name}: there is no such file")
        return web.Response(body=body, content_type=TYPES[Path(name).suffix], charset="utf-8")

    serve(app, "/", get=page)
    serve(app, "/assets/plotly.min.js", get=_plotly)
    serve(app, "/assets/{name}", get=asset)


async def _plotly(_request: web.Request) -> web.Response:
    """Answer with the chart library; its address changes with its version, so it can be kept.

    It is packed whatever is accepted: every browser unpacks it, and all who ask share the same bytes.
    """
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Content-Encoding": "gzip"}
    body = await asyncio.to_thread(_packed_plotly)
    return web.Response(body=body, content_type="text/javascript", charset="utf-8", headers=headers)


@cache
def _packed_plotly() -> bytes:
    """Return the chart library, packed when it is first asked for: most workers are never looked at."""
    found = find_spec("plotly")
    if found is None or found.origin is None:
        raise FileNotFoundError("plotly is not installed")
    return gzip.compress((Path(found.origin).parent / "package_data" / "plotly.min.js").read_bytes(), 6)
