"""A port that passes connections on to a server: slowly, to another one from now on, or out of TLS."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from servers import HOST

if TYPE_CHECKING:
    import ssl

_COMMAND = re.compile(rb"(?=\*\d+\r\n\$\d+\r\n[A-Z]+\r\n)")
"""The place before a command of Redis's protocol."""


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

    """

    def __init__(self, target: int, context: ssl.SSLContext | None = None) -> None:
        self.target = target
        self.delay_s = 0.0
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._meet, HOST, 0, ssl=self._context)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Cut all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self.target)
        except OSError:
            writer.close()
            return
        self._tasks.add(asyncio.create_task(self._forward(reader, far_writer)))
        self._tasks.add(asyncio.create_task(self._back(far_reader, writer)))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await reader.read(1 << 16):
                    for part in _COMMAND.split(data) if self.delay_s else [data]:
                        await asyncio.sleep(self.delay_s if part else 0)
                        writer.write(part)
                        await writer.drain()
        finally:
            writer.close()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await reader.read(1 << 16):
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()
