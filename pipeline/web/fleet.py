"""The fleet, whichever worker is asked: who has which partition, and what the others say.

Faust's assignor tells every member of the group the web address of each. A worker answers for its own
partitions with `scope=worker`; without it, it asks the others and puts the answers together.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec
import structlog
from aiohttp import ClientError, ClientTimeout

from pipeline import contract
from pipeline.web.answers import Missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.runtime.application import Application

log = structlog.get_logger(__name__)

T = TypeVar("T")
PATIENCE: Final = 3.0
"""Seconds that another worker has to answer."""
OWN: Final = {"scope": "worker"}
"""The query that asks a worker about its own partitions alone."""


class Peer(NamedTuple):
    """Another worker: its address, and the partitions that it has."""

    url: str
    partitions: tuple[int, ...]


class Fleet:
    """The other workers of an application's group."""

    def __init__(self, app: Application) -> None:
        self._app = app

    @property
    def own_partitions(self) -> set[int]:
        """The partitions that this worker has."""
        return {tp.partition for tp in self._app.input_partitions}

    @property
    def peers(self) -> list[Peer]:
        """The other workers that have partitions."""
        spread: Mapping[str, Mapping[str, Sequence[int]]] = self._app.router.external_topics_metadata()
        own = str(self._app.conf.canonical_url)
        found = [Peer(url, tuple(topics.get(contract.LIQUIDATIONS, ()))) for url, topics in spread.items()]
        return [peer for peer in found if peer.url != own and peer.partitions]

    def missing(self, silent: Sequence[tuple[Peer, str]]) -> list[Missing]:
        """Return which partitions nothing is known of: those of silent workers, and those nobody has."""
        app, own = self._app, self.own_partitions
        found = [Missing(list(peer.partitions), f"{peer.url}: {reason}") for peer, reason in silent]
        if app.phase != "ready" and own:
            found.append(Missing(sorted(own), f"{app.conf.canonical_url}: {app.phase}"))
        owned = own.union(*(peer.partitions for peer in self.peers))
        if orphaned := sorted(set(range(app.settings.partitions)) - owned):
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
                body = await response.read()
                if response.status != 200:  # noqa: PLR2004
                    return f"answered {response.status}"
                return msgspec.json.decode(body, type=kind)
        except TimeoutError:
            return f"no answer within {PATIENCE:.0f} s"
        except (ClientError, OSError, msgspec.MsgspecError) as error:
            return f"no answer: {error}"
