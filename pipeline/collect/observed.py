"""What a collector shows by HTTP: whether it lives, whether all feeds bring data, and its figures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline.collect.collector import Collector
    from pipeline.collect.outbox import Outbox


class Figures:
    """The accounts of some collectors as Prometheus metrics, read when they are asked for."""

    def __init__(self, collectors: Sequence[Collector], outbox: Outbox) -> None:
        self._collectors = collectors
        self._outbox = outbox

    def collect(self) -> Iterator[Any]:
        """Yield the metrics."""
        accounts = [(each.venue.NAME, each.account) for each in self._collectors]
        yield _gauge(
            "connections", "Connections that there should be.", ((n, a.connections) for n, a in accounts)
        )
        yield _gauge(
            "connected",
            "Whether all connections of a venue bring data.",
            ((each.venue.NAME, each.connected) for each in self._collectors),
        )
        yield _gauge(
            "sides_inverted",
            "Whether strong moves liquidate those whom they favour: a mistake of sides.",
            ((each.venue.NAME, each.reading.sides.inverted) for each in self._collectors),
        )
        yield _gauge(
            "last_event_timestamp_seconds",
            "When its newest record happened.",
            ((n, a.last) for n, a in accounts),
        )
        yield _gauge(
            "behind_seconds",
            "From the newest record to its receipt: the way, and what the clocks differ.",
            ((n, a.behind) for n, a in accounts),
        )
        yield _counter("frames", "Frames that came.", ((n, a.frames) for n, a in accounts))
        yield _counter(
            "rejected", "Frames that are not as documented.", ((n, a.rejected) for n, a in accounts)
        )
        yield _counter("gaps", "Times without data.", ((n, a.gaps) for n, a in accounts))
        yield _counter("reconnects", "Connections made again.", ((n, a.reconnects) for n, a in accounts))
        messages = CounterMetricFamily("collect_messages", "Messages for Kafka.", labels=["venue", "topic"])
        left_out = CounterMetricFamily(
            "collect_dropped", "Records that were left out.", labels=["venue", "reason"]
        )
        for name, account in accounts:
            for topic, count in account.messages.items():
                messages.add_metric([name, topic], count)
            for reason, count in account.dropped.items():
                left_out.add_metric([name, reason], count)
        yield messages
        yield left_out
        yield GaugeMetricFamily("collect_waiting", "Messages that wait for Kafka.", self._outbox.waiting)
        yield CounterMetricFamily(
            "collect_overflow", "Messages dropped while Kafka was slow.", self._outbox.dropped
        )
        yield CounterMetricFamily("collect_sent", "Messages that Kafka confirmed.", self._outbox.sent)


def _gauge(name: str, text: str, values: Iterable[tuple[str, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"collect_{name}", text, labels=["venue"])
    for venue, value in values:
        family.add_metric([venue], value)
    return family


def _counter(name: str, text: str, values: Iterable[tuple[str, float]]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"collect_{name}", text, labels=["venue"])
    for venue, value in values:
        family.add_metric([venue], value)
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
