"""What a collector shows by HTTP: whether it lives, whether all feeds bring data, and its figures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeAlias

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from pipeline.collect.quiet import LONGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from prometheus_client import Metric

    from pipeline.collect.collector import Collector
    from pipeline.collect.outbox import Outbox


_Family: TypeAlias = type[CounterMetricFamily | GaugeMetricFamily]
_OfVenue: TypeAlias = "tuple[tuple[str, str, Callable[[Collector], float | None]], ...]"
"""Names, what they are, and the figure of a venue; None where it is not known yet."""
_By: TypeAlias = "tuple[_Family, str, str, str, Callable[[Collector], Mapping[str, int]]]"
"""The kind of a metric, its name, what it is, a label, and a venue's figures by it."""
_GAUGES: Final[_OfVenue] = (
    ("connections", "Connections that there should be.", lambda each: each.account.connections),
    ("connected", "Whether all connections of a venue bring data.", lambda each: each.connected),
    (
        "refused",
        "Subscriptions that a venue refuses: nothing comes of them.",
        lambda each: each.refused,
    ),
    (
        "sides_inverted",
        "Whether strong moves liquidate those whom they favour: a mistake of sides.",
        lambda each: each.reading.sides.inverted,
    ),
    ("last_event_timestamp_seconds", "When its newest record happened.", lambda each: each.account.last),
    (
        "behind_seconds",
        "From the newest record to its receipt: the way, and what the clocks differ.",
        lambda each: each.account.behind,
    ),
    (
        "clock_offset_seconds",
        "By how much a venue's clock is ahead of this one.",
        lambda each: each.account.clock.ahead,
    ),
    (
        "clock_uncertainty_seconds",
        "By how much that may be wrong: half of the way there and back.",
        lambda each: each.account.clock.uncertainty,
    ),
)
_COUNTERS: Final[_OfVenue] = (
    ("frames", "Frames that came.", lambda each: each.account.frames),
    ("rejected", "Frames that are not as documented.", lambda each: each.account.rejected),
    ("gaps", "Times without data.", lambda each: each.account.gaps),
    ("reconnects", "Connections made again.", lambda each: each.account.reconnects),
)
_BY: Final[tuple[_By, ...]] = (
    (
        GaugeMetricFamily,
        "quiet",
        f"Symbols of which nothing has come for {LONGEST / 60:.0f} minutes, on topics that tell of each.",
        "topic",
        lambda each: each.reading.quiet.count(time.monotonic()),
    ),
    (CounterMetricFamily, "messages", "Messages for Kafka.", "topic", lambda each: each.account.messages),
    (
        CounterMetricFamily,
        "dropped",
        "Records that were left out.",
        "reason",
        lambda each: each.account.dropped,
    ),
)


class Figures:
    """The accounts of some collectors as Prometheus metrics, read when they are asked for."""

    def __init__(self, collectors: Sequence[Collector], outbox: Outbox) -> None:
        self._collectors = collectors
        self._outbox = outbox

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield from self._of_venues(GaugeMetricFamily, _GAUGES)
        yield from self._of_venues(CounterMetricFamily, _COUNTERS)
        yield from map(self._by, _BY)
        outbox = self._outbox
        yield GaugeMetricFamily("collect_waiting", "Messages that wait for Kafka.", outbox.waiting)
        yield CounterMetricFamily(
            "collect_overflow", "Messages dropped while Kafka was slow.", outbox.dropped
        )
        yield CounterMetricFamily("collect_sent", "Messages that Kafka confirmed.", outbox.sent)

    def _of_venues(self, kind: _Family, figures: _OfVenue) -> Iterator[Metric]:
        for name, text, of in figures:
            family = kind(f"collect_{name}", text, labels=["venue"])
            for each in self._collectors:
                if (figure := of(each)) is not None:
                    family.add_metric([each.venue.NAME], figure)
            yield family

    def _by(self, figures: _By) -> Metric:
        kind, name, text, label, of = figures
        family = kind(f"collect_{name}", text, labels=["venue", label])
        for each in self._collectors:
            for value, figure in of(each).items():
                family.add_metric([each.venue.NAME, value], figure)
        return family


def create_web(
    collectors: Sequence[Collector], outbox: Outbox, longest_silence: float = 120.0
) -> web.Application:
    """Return the web application of a collector: `/livez`, `/readyz`, `/metrics`."""
    registry = CollectorRegistry()
    registry.register(Figures(collectors, outbox))
    began = time.time()

    async def livez(_: web.Request) -> web.Response:
        newest = max([began, *(each.account.received for each in collectors)])
        silent = time.time() - newest
        alive = silent < longest_silence
        text = "ok\n" if alive else f"no venue told of anything for {silent:.0f} s\n"
        return web.Response(text=text, status=200 if alive else 503)

    async def readyz(_: web.Request) -> web.Response:
        missing = [each.venue.NAME for each in collectors if not each.connected]
        text = f"no data yet from {', '.join(missing)}\n" if missing else "ok\n"
        return web.Response(text=text, status=503 if missing else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), content_type="text/plain", charset="utf-8")

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app
