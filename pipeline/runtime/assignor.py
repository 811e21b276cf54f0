"""Faust's assignor, for a named worker whose web address changed over a restart."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from faust.assignor.client_assignment import ClientMetadata
from faust.assignor.partition_assignor import PartitionAssignor
from yarl import URL

log = structlog.get_logger(__name__)

_SETTLED: Final = 1.0


class Assignor(PartitionAssignor):
    """Takes an assignment that was made for a member's earlier web address, and lets all hear of the new one.

    A named worker that comes back within the session timeout gets the assignment that it had, with the
    address that it had: Faust (0.15) takes another address for an error, and the worker would wait for ever.
    """

    app: Any
    _told: str | None = None

    @property
    def _url(self) -> URL:
        return self.app.conf.canonical_url if self._told is None else URL(self._told)

    def on_assignment(self, assignment: Any) -> None:
        """Take an assignment."""
        metadata: Any = ClientMetadata.loads(self._decompress(assignment.user_data))
        self._told = metadata.url
        try:
            super().on_assignment(assignment)
        finally:
            self._told = None
        if metadata.url != str(self._url):
            log.warning(
                "this worker's web address changed: partitions are shared out anew, so others learn of it",
                before=metadata.url,
                now=str(self._url),
            )
            asyncio.get_running_loop().call_later(_SETTLED, self.app.consumer.request_rejoin)
