"""What a worker says of itself: whether it lives, and whether it is ready."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pipeline.runtime.lease import LeaseLostError

if TYPE_CHECKING:
    from pipeline.runtime.application import Application


class Health:
    """Judges a worker by the progress that it made.

    A worker lives as long as a restart of it would not help: that HTTP answers says little. It is ready when
    it does its share of the work, or has none because there are more workers than partitions.

    Parameters
    ----------
    app
        The worker's application.
    stuck_after
        Seconds without progress after which it does not live.

    """

    def __init__(self, app: Application, stuck_after: float) -> None:
        self._app = app
        self._stuck_after = stuck_after
        self._read, self._read_since = 0, time.monotonic()

    def stuck(self) -> list[str]:
        """Return why the worker does not live; nothing when it does."""
        app, now = self._app, time.monotonic()
        found: list[str] = []
        if app.crash_reason is not None:
            found.append(f"it failed: {app.crash_reason}")
        for what, since in self._waits(now):
            if now - since > self._stuck_after:
                found.append(f"{what} for {now - since:.0f} s")
        return found

    def _waits(self, now: float) -> list[tuple[str, float]]:
        """Return what the worker may be stuck in, and since when it has made no progress there."""
        app = self._app
        if app.phase == "ready":
            waits = [("it has asked Kafka for nothing", app.consumer.polled)] if app.input_partitions else []
            if app.checkpoint.waiting_since is not None:
                waits.append(("no checkpoint was completed", app.checkpoint.waiting_since))
            return waits
        if app.phase == "recovering" and app.snapshots_read != self._read:
            self._read, self._read_since = app.snapshots_read, now
        return [(f"it has been {app.phase}", max(app.phase_since, self._read_since))]

    def unready(self) -> list[str]:
        """Return why the worker is not ready; nothing when it is."""
        app = self._app
        found = self.stuck()
        if app.phase != "ready":
            found.append(self._doing())
        try:
            app.lease.check()
        except LeaseLostError as lost:
            found.append(str(lost))
        return found

    def _doing(self) -> str:
        app = self._app
        if app.phase == "recovering":
            return f"recovering: {self.recovery_remaining:,} snapshots are still to be read"
        return app.phase

    @property
    def recovery_remaining(self) -> int:
        """How many records of changelogs are still to be read."""
        tables: Any = self._app.tables
        remaining: int = tables.recovery.active_remaining_total()
        return remaining
