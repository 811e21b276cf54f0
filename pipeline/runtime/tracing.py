"""Spans for OpenTelemetry: one for each unit and one for each checkpoint.

Where no collector is named nothing of OpenTelemetry is loaded, and a unit costs one look at None.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

import structlog

from pipeline import contract

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from pipeline.runtime.application import Application
    from pipeline.runtime.units import Sent, Unit

log = structlog.get_logger(__name__)
EXPORT_WITHIN: Final = 2.0
"""Seconds in which a collector has to take spans, or loses them: a stop waits for so long."""


def export_spans(app: Application) -> None:
    """Send an application's spans where OpenTelemetry's own variables (`OTEL_...`) say."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        log.warning("no spans are sent: pip install 'cascade-pipeline[otel]', or name no collector")
        return
    worker = {"service.name": app.settings.app_id, "service.instance.id": str(app.conf.canonical_url)}
    provider = TracerProvider(resource=Resource.create(worker))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=EXPORT_WITHIN)))
    logging.getLogger("opentelemetry").setLevel("ERROR")  # it warns of each attempt to reach a collector
    spans = Spans(provider.get_tracer("pipeline"))
    app.delivery.trace, app.checkpoint.trace = spans.unit, spans.checkpoint


class Spans:
    """Makes spans of what is done: nothing runs within them, and so none is ever left open."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def unit(self, unit: Unit) -> None:
        """Tell of a unit, from its poll until all that it led to was handed to the producer."""
        self._make(
            "unit",
            time.perf_counter() - unit.polled,
            topic=sorted(unit.offsets),
            partition=unit.partition,
            records=unit.records,
            signals=sum(output.topic == contract.SIGNALS for output in unit.outputs()),
        )

    def checkpoint(self, seconds: float, sent: Sent) -> None:
        """Tell of a checkpoint that covers what was sent."""
        self._make(
            "checkpoint",
            seconds,
            records=sent.records,
            partitions=sorted({tp.partition for tp in sent.offsets}),
        )

    def _make(self, name: str, seconds: float, **attributes: Any) -> None:
        end = time.time_ns()
        span = self._tracer.start_span(name, start_time=end - int(seconds * 1e9), attributes=attributes)
        span.end(end)
