"""Exchanges on this machine: WebSockets and HTTP that speak as venues do, with faults on demand."""

from __future__ import annotations

import gzip
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web
from venue_frames import clock_of, listing_of

from pipeline.collect.venues import VENUES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

HOST = "127.0.0.1"


class Exchange:
    """A venue: answers what is asked for, and sends what a test wants to whoever is connected.

    Attributes
    ----------
    heard
        Texts that came from the collector, in order.
    paths, headers
        What connections asked for, and the headers of the last one.
    sockets
        Those that are connected now.
    silent
        Whether new connections are acknowledged and then told nothing.
    full
        Whether new connections are refused, with `status`.
    wait
        Headers of answers that refuse.
    refused
        When that was, by the machine's own clock.
    unlisted
        A name: whatever has it is answered with `refusal`.
    pings
        Pings of the protocol that came.
    listing
        Instruments that it tells, where they are others than usual.
    ahead
        Seconds by which its clock is.
    volumes
        What it tells that was traded within 24 hours.
    status
        What requests are answered with.

    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: list[str] = []
        self.paths: list[str] = []
        self.headers: dict[str, str] = {}
        self.sockets: list[web.WebSocketResponse] = []
        self.connections = 0
        self.silent = self.full = False
        self.refused: list[float] = []
        self.unlisted, self.refusal = "", None
        self.pings = 0
        self.status = 200
        self.wait = {"Retry-After": "0.1"}
        self.requests = 0
        self.listing: list[Any] = []
        self.volumes: Any = None
        self.ahead = 0.0
        self.greeting: Callable[[], list[Any]] = list
        self._port = 0

    @property
    def endpoints(self) -> dict[str, str]:
        """The addresses that stand in for the venue's own."""
        ws, rest = f"ws://{HOST}:{self._port}", f"http://{HOST}:{self._port}"
        found = {"WS": ws, "REST": rest, "NOTIFICATIONS": f"{ws}/notify", "MARKET": f"{ws}/market"}
        venue = VENUES[self.name]
        return {getattr(venue, name): url for name, url in found.items() if hasattr(venue, name)}

    @property
    def options(self) -> list[str]:
        """The addresses as options of `cascade collect`."""
        return [part for old, new in self.endpoints.items() for part in ("--endpoint", f"{old}={new}")]

    async def send(self, *frames: Any, asked: str = "") -> None:
        """Send frames, as the venue writes them, to all connections whose address has a text in it."""
        for frame in frames:
            for socket in list(self.sockets):
                assert socket._req is not None
                if asked in socket._req.path_qs:
                    await self._write(socket, frame)

    async def cut(self) -> None:
        """Cut all connections without a word."""
        for socket in list(self.sockets):
            assert socket._req is not None
            socket._req.transport.abort()

    async def _write(self, socket: web.WebSocketResponse, frame: Any) -> None:
        text = frame if isinstance(frame, str) else json.dumps(frame)
        if self.name == "htx":
            await socket.send_bytes(gzip.compress(text.encode()))
        else:
            await socket.send_str(text)

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        self.connections += 1
        self.paths.append(request.path_qs)
        self.headers = dict(request.headers)
        if not self.silent:
            self.sockets.append(socket)
            for frame in self.greeting():
                await self._write(socket, frame)
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    await self._hear(message.data, socket)
                elif message.type == WSMsgType.PING:
                    self.pings += 1
                    await socket.pong(message.data)
        finally:
            if socket in self.sockets:
                self.sockets.remove(socket)
        return socket

    async def _hear(self, text: str, socket: web.WebSocketResponse) -> None:
        self.heard.append(text)
        if text == "ping":
            await socket.send_str("pong")
        elif self.unlisted and self.unlisted in text:
            await self._write(socket, self.refusal)

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        if self.status != 200:
            return web.Response(status=self.status, headers=self.wait)
        venue, body = VENUES[self.name], await request.text()
        if (venue.REST + request.path_qs.rstrip("/"), body) == (venue.CLOCK.url, venue.CLOCK.body or ""):
            return web.json_response(clock_of(self.name, round((time.time() + self.ahead) * 1_000)))
        return web.json_response(self._content(request.path_qs))

    def _content(self, path: str) -> Any:
        venue = VENUES[self.name]
        if self.volumes is not None and venue.VOLUMES.url == venue.REST + path:
            return self.volumes
        if path.startswith("/openInterest"):
            return {"symbol": "BTCUSDT", "openInterest": "10", "time": round(time.time() * 1_000)}
        if path.startswith("/premiumIndex"):
            return [{"symbol": "BTCUSDT", "markPrice": "60000"}]
        if path.startswith("/swap_open_interest"):
            rows = [{"contract_code": "BTC-USDT", "value": 1_200_000}]
            return {"ts": round(time.time() * 1_000), "data": rows}
        number = 1 if path.startswith("/fundingInfo") or "cursor=2" in path else 0
        return (self.listing or listing_of(self.name))[number]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Exchange]:
        """Serve on a free port."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._route)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        self._port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _route(self, request: web.Request) -> web.StreamResponse:
        wants_socket = request.headers.get("Upgrade", "").lower() == "websocket"
        if wants_socket and self.full:
            self.refused.append(time.monotonic())
            return web.Response(status=self.status, headers=self.wait)
        return await (self._talk(request) if wants_socket else self._answer(request))
