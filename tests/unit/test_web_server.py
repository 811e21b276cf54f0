"""How the web server answers what cannot be answered."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs
from waiting import until

from pipeline.messages import normal_symbol
from pipeline.web import query, server
from pipeline.web.server import LARGEST_BODY, application_options


async def slow(_request):
    await asyncio.Event().wait()


async def broken(_request):
    raise RuntimeError("something inside")


async def echo(request):
    return web.Response(body=await request.read())


async def large(_request):
    return web.Response(body=bytes(LARGE))


LARGE = 64 << 20


@pytest.fixture
async def client():
    app = web.Application(**application_options())
    for path, handler in (("/slow", slow), ("/broken", broken), ("/echo", echo), ("/large", large)):
        app.router.add_route("*", path, handler)
    async with TestClient(TestServer(app)) as found:
        yield found


async def test_whoever_is_not_answered_in_time_is_told_so(client, monkeypatch):
    monkeypatch.setattr(server, "ANSWER_WITHIN", 0.05)
    async with client.get("/slow") as response:
        assert response.status == 503
        assert "not answered" in (await response.json())["error"]


async def test_a_failure_is_logged_and_not_shown(client):
    with capture_logs() as logs:
        async with client.get("/broken") as response:
            assert response.status == 500
            assert "something inside" not in await response.text()
    assert [(each["event"], each["path"]) for each in logs] == [("a request failed", "/broken")]


async def test_a_body_has_a_limit(client):
    async with client.post("/echo", data=b"x" * LARGEST_BODY) as response:
        assert response.status == 200
    async with client.post("/echo", data=b"x" * (LARGEST_BODY + 1)) as response:
        assert response.status == 413


async def test_every_answer_says_how_a_browser_may_use_it(client):
    for path in ("/echo", "/broken", "/nowhere"):
        async with client.get(path) as response:
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["X-Frame-Options"] == "DENY"
            assert response.headers["Cache-Control"] == "no-store"


async def test_who_does_not_take_his_answer_is_cut_off(client, monkeypatch):
    """Else a hundred who do not read would hold a gigabyte for as long as they like."""
    monkeypatch.setattr(server, "TAKEN_WITHIN", 0.2)
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    await until(lambda: not client.server.runner.server.connections, "not cut off")
    writer.close()


async def test_a_large_answer_comes_whole(client):
    async with client.get("/large") as response:
        assert await response.read() == bytes(LARGE)


def test_what_is_asked_for_takes_no_room_for_spaces_around_it():
    normal_symbol.cache_clear()
    for number in range(10):
        assert query.read_symbol(" " * 1_000 * number + "btcusdt") == "BTCUSDT"
    assert normal_symbol.cache_info().currsize == 1
