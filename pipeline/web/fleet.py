"""The fleet, whichever worker is asked: who has which partition, and what the others say.

Faust's assignor tells every member of the group the web address of each. A worker answers for its own
partitions with `scope=worker`; without it, it asks the others and puts the answers together.
"""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

import msgspec
import structlog
from aiohttp import ClientError, ClientPayloadError, ClientTimeout

from pipeline import codec, contract
from pipeline.web.answers import Missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aiohttp import ClientResponse

    from pipeline.runtime.application import Application
    from pipeline.web.picture import Picture

log = structlog.get_logger(__name__)

T = TypeVar("T")
PATIENCE: Final = 3.0
"""Seconds that another worker has to answer."""
LARGEST: Final = 16 << 20
"""Bytes of its answer, at most: twice what the most rows have."""
OWN: Final = {"scope": "worker"}
"""The query that asks a worker about its own partitions alone."""


class Peer(NamedTuple):
    """Another worker: its address, and the partitions that it has."""

    url: str
    partitions: tuple[int, ...]


class Telling(Protocol):
    """An answer of another worker, that tells which of its partitions are not current."""

    missing: list[Missing]


class Fleet:
    """The other workers of an application's group."""

    def __init__(self, app: Application, picture: Picture) -> None:
        self._app = app
        self._picture = picture

    @property
    def peers(self) -> list[Peer]:
        """The other workers that have partitions."""
        spread: Mapping[str, Mapping[str, Sequence[int]]] = self._app.router.external_topics_metadata()
        own = str(self._app.conf.canonical_url)
        found = [Peer(url, tuple(topics.get(contract.LIQUIDATIONS, ()))) for url, topics in spread.items()]
        return [peer for peer in found if peer.url != own and peer.partitions]

    def own_missing(self) -> list[Missing]:
        """Return which of this worker's partitions are not current."""
        own, url, phase = self._app.partitions, self._app.conf.canonical_url, self._app.phase
        if own and phase != "ready":
            return [Missing(sorted(own), f"{url}: {phase}")]
        past = sorted(own & self._picture.unread)
        return [Missing(past, f"{url}: what was sent before it had them is being read")] if past else []

    def missing(self, silent: Sequence[tuple[Peer, str]], others: Iterable[Telling] = ()) -> list[Missing]:
        """Return which partitions are not current: own ones, what others tell, silent ones, and nobody's."""
        found = [*self.own_missing(), *chain.from_iterable(other.missing for other in others)]
        found += [Missing(list(peer.partitions), f"{peer.url}: {reason}") for peer, reason in silent]
        owned = self._app.partitions.union(*(peer.partitions for peer in self.peers))
        if orphaned := sorted(set(range(self._app.settings.partitions)) - owned):
            found.append(Missing(orphaned, "no worker has them: a rebalance is under way"))
        return found

    async def ask(
        self, path: str, kind: type[T], query: Mapping[str, str] | None = None
    ) -> tuple[list[T], list[tuple[Peer, str]]]:
        """Ask all others; return their answers, and those that did not answer with the reason."""
        peers = self.peers
        asked = (self._ask(peer, path, kind, query or {}) for peer in peers)
        answers = await asyncio.gather(*asked)
        silent = [(peer, found) for peer, found in zip(peers, answers, strict=True) if isinstance(found, str)]
        return [found for found in answers if not isinstance(found, str)], silent

    async def _ask(self, peer: Peer, path: str, kind: type[T], query: Mapping[str, str]) -> T | str:
        """Return a worker's answer, or why there is none."""
        try:
            async with self._app.http_client.get(
                peer.url + path,
                params={**query, **OWN},
                timeout=ClientTimeout(PATIENCE),
                allow_redirects=False,
            ) as response:
                if response.status != 200:  # noqa: PLR2004
                    return f"answered {response.status}"
                return msgspec.json.decode(await _read(response), type=kind)
        except TimeoutError:
            return f"no answer within {PATIENCE:.0f} s"
        except (ClientError, OSError, *codec.UNREADABLE) as error:
            return f"no answer: {error}"


async def _read(response: ClientResponse) -> bytearray:
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > LARGEST:
            raise ClientPayloadError(f"more than {LARGEST} bytes")
    return body
