"""A worker's spans, made by the runtime's own parts."""

import asyncio
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from worker_parts import HOME, Worker, idle, liquidation, price

from pipeline import contract
from pipeline.app import create_app
from pipeline.runtime.tracing import Spans
from pipeline.settings import Settings


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Spans(provider.get_tracer("test"))


async def test_each_unit_and_each_checkpoint_has_a_span(exporter, spans):
    async with Worker() as worker:
        worker.delivery.trace, worker.checkpoint.trace = spans.unit, spans.checkpoint
        worker.put(price(0), liquidation(0), liquidation(1))
        await idle()
        worker.put(liquidation(2, symbol="BTCUSDT"))
        await idle()
        await worker.checkpoint.take()
    first, second, checkpoint = exporter.get_finished_spans()
    sent = len(worker.producer.of(contract.SIGNALS))
    assert sent > 0
    assert [first.name, second.name, checkpoint.name] == ["unit", "unit", "checkpoint"]
    assert dict(first.attributes) == {
        "topic": (contract.LIQUIDATIONS, contract.PRICES),
        "partition": HOME,
        "records": 3,
        "signals": sent - second.attributes["signals"],
    }
    assert second.attributes["records"] == 1
    assert dict(checkpoint.attributes) == {"records": 4, "partitions": (HOME,)}
    assert all(span.start_time < span.end_time for span in (first, second, checkpoint))


async def test_a_checkpoint_that_is_given_up_has_none(exporter, spans):
    async with Worker() as worker:
        worker.checkpoint.trace = spans.checkpoint
        worker.put(liquidation(0))
        await idle()
        taking = asyncio.create_task(worker.checkpoint.take())
        await asyncio.sleep(0)
        worker.flow.end()
        await taking
    assert exporter.get_finished_spans() == ()


@pytest.fixture
def no_web():
    return Settings(web_enabled=False, redis_enabled=False)


def test_without_a_collector_nothing_is_traced_and_nothing_of_it_loaded(monkeypatch, no_web):
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    app = create_app(no_web)
    assert (app.delivery.trace, app.checkpoint.trace) == (None, None)
    assert [name for name in sys.modules if name.startswith("opentelemetry")] == []


@pytest.mark.usefixtures("log_as_it_was")
def test_with_a_collector_but_without_the_extra_a_worker_works_and_says_so(monkeypatch, no_web, capsys):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:1")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    app = create_app(no_web)
    assert app.delivery.trace is None
    assert "cascade-pipeline[otel]" in capsys.readouterr().out
