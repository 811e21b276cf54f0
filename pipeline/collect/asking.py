"""What a venue is asked for by HTTP."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec

from pipeline.collect.conversation import left_alone
from pipeline.collect.reading import VenueError
from pipeline.collect.venue import LARGEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.collect.reading import Reading
    from pipeline.collect.venue import Request

_ANSWER: Final = aiohttp.ClientTimeout(total=10.0)
_JSON: Final = {"Content-Type": "application/json"}
LISTED: Final = 60.0
"""Seconds for which a list of instruments is not asked for again: Deribit allows one such question in ten."""


class Asking:
    """Asks one venue; all of it raises `VenueError` where the venue does not answer, or not as documented.

    Parameters
    ----------
    reading, session
        Who understands the venue, and with what it is asked.
    endpoints
        Beginnings of the venue's addresses, and what stands in their place.
    listed
        Seconds for which a list of instruments is good.

    """

    def __init__(
        self, reading: Reading, session: aiohttp.ClientSession, endpoints: Mapping[str, str], listed: float
    ) -> None:
        self._reading = reading
        self._session = session
        self._endpoints = endpoints
        self._listed = listed
        self._answers: list[Any] = []
        self._listed_at = -listed

    def at(self, url: str) -> str:
        """Return where an address of the venue's is to be found."""
        for beginning, other in self._endpoints.items():
            if url.startswith(beginning):
                return other + url.removeprefix(beginning)
        return url

    async def ask(self, request: Request) -> Any:
        """Return the answer to a request."""
        url = self.at(request.url)
        method, headers = ("GET", {}) if request.body is None else ("POST", _JSON)
        try:
            async with self._session.request(
                method, url, data=request.body, headers=headers, timeout=_ANSWER
            ) as answer:
                if wait := left_alone(answer.status, answer.headers):
                    raise VenueError(f"{url}: too many requests, HTTP {answer.status}", wait)
                if not answer.ok:
                    raise VenueError(f"{url}: HTTP {answer.status}")
                return msgspec.json.decode(await _read(answer))
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
            raise VenueError(f"{url}: {str(error) or type(error).__name__}") from error

    async def instruments(self) -> list[Any]:
        """Return the answers with the venue's instruments, all pages of them."""
        if time.monotonic() - self._listed_at > self._listed:
            self._answers, self._listed_at = await self._pages(), time.monotonic()
        return self._answers

    async def _pages(self) -> list[Any]:
        answers = list[Any]()
        for request in self._reading.venue.LISTING:
            page: Request | None = request
            while page is not None:
                answers.append(await self.ask(page))
                page = self._reading.next_page(page, answers[-1])
        return answers

    async def traded(self) -> dict[str, float]:
        """Return what was traded within 24 hours, in US dollars by symbol."""
        answers = await self.instruments()
        return self._reading.traded(answers, await self.ask(self._reading.venue.VOLUMES))

    async def time(self) -> None:
        """Look at the venue's clock; a first answer may have waited for a connection, so twice."""
        for _ in range(2):
            asked = time.time()
            answer = await self.ask(self._reading.venue.CLOCK)
            self._reading.clock(asked, answer, time.time())


async def _read(answer: aiohttp.ClientResponse) -> bytearray:
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > LARGEST:
            raise ValueError(f"more than {LARGEST} bytes")
    return body
