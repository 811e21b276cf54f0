"""A worker's spans at a collector that speaks OTLP over HTTP."""

import gzip
import itertools
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from servers import HOST
from workers import Worker, produce, until_caught_up

from pipeline.cli.simulated.simulation import simulate


class Collector(BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.requests.append((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def collector():
    with ThreadingHTTPServer((HOST, 0), Collector) as server:
        server.requests = []
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


async def test_a_collector_is_sent_a_span_for_each_unit_and_checkpoint(settings, collector, monkeypatch):
    ticks = list(itertools.islice(simulate(20, seed=6), 1_000))
    await produce(settings, ticks)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{HOST}:{collector.server_port}")
    with Worker(settings) as worker:
        await until_caught_up(settings, workers=[worker])
        assert worker.stop() == 0
    resources = [found for path, request in collector.requests for found in request.resource_spans]
    assert {path for path, _ in collector.requests} == {"/v1/traces"}
    names = {each.key: each.value.string_value for each in resources[0].resource.attributes}
    assert names["service.name"] == settings.app_id
    spans = [span for found in resources for scope in found.scope_spans for span in scope.spans]
    records = [
        each.value.int_value
        for span in spans
        if span.name == "unit"
        for each in span.attributes
        if each.key == "records"
    ]
    assert sum(records) >= len(ticks)
    assert "checkpoint" in {span.name for span in spans}
