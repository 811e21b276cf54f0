"""`/metrics`: Prometheus text, collected when it is asked for.

Nothing is looked up or labelled for each event: the parts of a worker count for themselves, and what they
counted is read here. No label is a symbol.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from faust.types import TP
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from pipeline import codec, contract
from pipeline.messages import LEVELS
from pipeline.web import status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client import Metric

    from pipeline.runtime.application import Application
    from pipeline.runtime.distribution import Distribution
    from pipeline.runtime.health import Health
    from pipeline.sinks.projection import Projection

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def exposition(app: Application, health: Health, projection: Projection | None) -> bytes:
    """Return a worker's metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WorkerCollector(app, health, projection))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return generate_latest(registry)


class WorkerCollector(Collector):
    """The metrics of one worker."""

    def __init__(self, app: Application, health: Health, projection: Projection | None) -> None:
        self._app, self._health, self._projection = app, health, projection

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now."""
        yield from self._work()
        yield from self._left_out()
        yield _gauge("cascade_symbols", "Symbols that there is state of.", self._app.flow.symbols)
        yield from self._lag()
        yield from self._checkpoints()
        yield from self._worker()
        if self._projection is not None:
            yield from _redis(self._projection)

    def _work(self) -> Iterator[Metric]:
        flow, delivery = self._app.flow, self._app.delivery
        records = {topic: flow.records[topic] for topic in contract.INPUTS}
        yield _labelled("cascade_records", "Records taken from Kafka.", "topic", records)
        yield _histogram("cascade_batch_records", "Records of a batch.", flow.batches)
        yield _histogram(
            "cascade_batch_processing_seconds", "Poll of a batch to its hand-over.", delivery.seconds
        )
        yield _labelled(
            "cascade_signals",
            "Signals sent.",
            "level",
            dict(zip(LEVELS, delivery.statistics.levels, strict=True)),
        )
        yield _histogram(
            "cascade_event_to_signal_seconds",
            "An event's own time to the hand-over of its signal.",
            delivery.latency,
        )

    def _left_out(self) -> Iterator[Metric]:
        flow, delivery = self._app.flow, self._app.delivery
        letters = CounterMetricFamily(
            "cascade_dead_letters",
            "Records or objects refused, by what was wrong.",
            labels=("topic", "fault"),
        )
        # Prometheus sees no increase in a series that begins with it, so all begin with 0.
        none = {(topic, fault): 0 for topic in contract.FEEDS for fault in codec.faults(topic)}
        for labels, count in sorted((none | flow.dead_letters).items()):
            letters.add_metric(labels, count)
        yield letters
        yield _counter(
            "cascade_late_events", "Liquidations older than the longest window.", delivery.late_events
        )
        yield _counter("cascade_duplicates", "Liquidations that had come before.", delivery.duplicates)
        yield _counter(
            "cascade_misplaced_records",
            "Records on another partition than their key's.",
            flow.counts["misplaced"],
        )
        yield _counter("cascade_recreated_topics", "Topics found to be made anew.", flow.counts["recreated"])

    def _lag(self) -> Iterator[Metric]:
        consumer = self._app.consumer
        lag = GaugeMetricFamily(
            "cascade_lag_records", "Records that no checkpoint covers yet.", labels=("topic", "partition")
        )
        age = GaugeMetricFamily(
            "cascade_lag_seconds",
            "Age of the newest record taken while records wait, else 0.",
            labels=("partition",),
        )
        for each in status.of_partitions(self._app):
            projected = {topic: consumer.lag(TP(topic, each.partition)) for topic in contract.PROJECTED}
            for topic, records in (each.topics | projected).items():
                if records is not None:
                    lag.add_metric((topic, str(each.partition)), records)
            age.add_metric((str(each.partition),), each.lag_seconds)
        yield lag
        yield age

    def _checkpoints(self) -> Iterator[Metric]:
        app, since = self._app, self._app.checkpoint.waiting_since
        yield _histogram("cascade_checkpoint_seconds", "Duration of a checkpoint.", app.checkpoint.seconds)
        yield _gauge(
            "cascade_checkpoint_age_seconds",
            "How long something has waited to be covered.",
            0 if since is None else time.monotonic() - since,
        )
        yield _counter(
            "cascade_changelog_written_bytes",
            "Snapshots written to changelogs.",
            app.checkpoint.snapshot_bytes,
        )
        stored = {name: table.data.size for name, table in app.state_tables.items()}
        yield _labelled(
            "cascade_stored_bytes", "Snapshots kept, by table.", "table", stored, GaugeMetricFamily
        )
        yield _gauge(
            "cascade_in_flight_records", "Records taken that no checkpoint covers yet.", app.intake.records
        )
        yield _gauge("cascade_in_flight_bytes", "Their bytes.", app.intake.size)

    def _worker(self) -> Iterator[Metric]:
        app = self._app
        yield _histogram("cascade_rebalance_seconds", "A rebalance, recovery included.", app.rebalances)
        yield _gauge(
            "cascade_recovery_remaining_records",
            "Changelog records still to be read.",
            self._health.recovery_remaining,
        )
        yield _gauge("cascade_partitions", "Partitions assigned.", len(app.partitions))
        yield _gauge(
            "cascade_topic_partitions", "Partitions that all workers share.", app.settings.partitions
        )
        yield _gauge(
            "cascade_poll_age_seconds",
            "Since when Kafka has been asked for nothing; 0 without partitions.",
            time.monotonic() - app.consumer.polled if app.input_partitions else 0,
        )
        yield _gauge("cascade_ready", "1 when the worker does its work.", not self._health.unready())
        yield _gauge("cascade_alive", "1 while a restart would not help.", not self._health.stuck())
        age = status.context_age(app)
        if age is not None:
            yield _gauge("cascade_context_age_seconds", "Age of the newest market context.", age)
        yield InfoMetricFamily("cascade_build", "Versions.", value=_label_names(status.versions()))


def _redis(projection: Projection) -> Iterator[Metric]:
    sink = projection.sink
    yield _gauge("cascade_redis_up", "1 while Redis takes updates.", projection.state == "up")
    yield _counter("cascade_redis_errors", "Batches that Redis did not take.", projection.failures)
    yield _counter("cascade_redis_published", "Signals published on channels.", sink.published)
    yield _counter("cascade_redis_updates", "Updates of keys that took effect.", sink.written)
    dropped = {
        "late": sink.late,
        "expired": sink.expired,
        "superseded": sink.superseded,
        "unreadable": sink.errors,
    }
    yield _labelled(
        "cascade_redis_dropped", "Signals not published and updates not made, by why.", "reason", dropped
    )


def _label_names(values: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in values.items()}


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _labelled(
    name: str,
    text: str,
    label: str,
    values: Mapping[str, float],
    kind: type[CounterMetricFamily | GaugeMetricFamily] = CounterMetricFamily,
) -> Metric:
    family = kind(name, text, labels=(label,))
    for value_of, value in values.items():
        family.add_metric((value_of,), value)
    return family


def _histogram(name: str, text: str, distribution: Distribution) -> Metric:
    return HistogramMetricFamily(
        name, text, buckets=list(_cumulated(distribution)), sum_value=distribution.total
    )


def _cumulated(distribution: Distribution) -> Iterable[tuple[str, float]]:
    seen = 0
    bounds = [*map(str, distribution.bounds), "+Inf"]
    for bound, count in zip(bounds, distribution.counts, strict=True):
        seen += count
        yield bound, seen
