"""A port that passes connections on to a server: slowly, to another one from now on, or out of TLS."""

from __future__ import annotations

import asyncio
import math
import re
import socket
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Self, cast

from servers import HOST

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Coroutine

_COMMAND = re.compile(rb"(?=\*\d+\r\n\$\d+\r\n[A-Z]+\r\n)")
"""The place before a command of Redis's protocol."""
_RESET = struct.pack("ii", 1, 0)
"""A socket lingers for no time: what is left is dropped, and the other side told so."""


class Passage:
    """Passes connections on.

    Attributes
    ----------
    port
        Where to connect to.
    target
        The port that new connections go on to.
    delay_s
        How long each command of Redis's protocol is held back, one after the other.
    rate
        How many bytes pass to the target in a second.
    resets
        Whether connections that are made from now on end with a reset.

    """

    def __init__(self, target: int, context: ssl.SSLContext | None = None) -> None:
        self.target = target
        self.delay_s = 0.0
        self.rate = math.inf
        self.resets = False
        self._context = context
        self._meetings: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._meet, HOST, 0, ssl=self._context)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Cut all connections."""
        for meeting in self._meetings:
            meeting.cancel()
        await asyncio.gather(*self._meetings, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.resets:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        async with _closing(writer), self._until_cut():
            if self._server.is_serving():
                far_reader, far_writer = await asyncio.open_connection(HOST, self.target)
                async with _closing(far_writer):
                    await _until_one_ends(self._forward(reader, far_writer), self._back(far_reader, writer))

    @asynccontextmanager
    async def _until_cut(self) -> AsyncIterator[None]:
        """Go on until the connection ends, or `cut` cancels what goes on here."""
        meeting = cast("asyncio.Task[None]", asyncio.current_task())
        self._meetings.add(meeting)
        try:
            with suppress(OSError, asyncio.CancelledError):
                yield
        finally:
            self._meetings.discard(meeting)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            for part in _COMMAND.split(data) if self.delay_s else [data]:
                await asyncio.sleep((self.delay_s if _COMMAND.match(part) else 0) + len(part) / self.rate)
                writer.write(part)
                await writer.drain()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Close a connection after a block, and wait until its socket is closed."""
    try:
        yield
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def _until_one_ends(*ways: Coroutine[Any, Any, None]) -> None:
    """Pass on both ways until one has ended, or fails."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
