"""How long an event takes to become a signal on Kafka, at a steady rate of single liquidations.

Two kinds of run in turns; told are the medians over the runs of their percentiles:

- `producer to consumer`: without a pipeline, from before the sending of a liquidation until a consumer has
  it: what broker and clients take.
- `event to signal`: one worker between (Redis off), from before the sending of a liquidation until a consumer
  has its signal. The worker's profile sends a signal for every record (no least interval between them).
- `processing time`: what the worker tells in those signals (`meta.processing_time_ms`), from poll to
  hand-over to its producer.

Start-up and three seconds more do not count. Producer, broker, worker and consumer share the machine.

    uv run python tests/benchmarks/latency.py [--rate 200] [--seconds 20] [--repeat 3] [--json FILE]
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from report import Latency, latency, latency_summary, machine, show
from servers import broker_type, running
from stopwatch import key_of_event, key_of_signal, measure
from throughput import create_settings
from workers import Worker

from pipeline import contract
from pipeline.runtime.topics import apply_topics

if TYPE_CHECKING:
    from stopwatch import Key

    from pipeline.settings import Settings

PROFILE = 'name = "every-record"\n[score]\nemit_interval_s = 0\nnone_interval_s = 0\n'


def main(
    rate: Annotated[int, typer.Option(min=1, help="Messages a second.")] = 200,
    seconds: Annotated[int, typer.Option(min=5, help="Length of each run.")] = 20,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each kind.")] = 3,
    output: Annotated[Path | None, typer.Option("--json", help="File for the figures.")] = None,
) -> None:
    """Measure, print a table, and write the figures."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new topic has no leader for a moment
    with running(broker_type()()) as broker, tempfile.TemporaryDirectory() as directory:
        profile = Path(directory) / "profile.toml"
        profile.write_text(PROFILE)
        runs = [uvloop.run(run(broker.bootstrap, str(profile), rate, rate * seconds)) for _ in range(repeat)]
    by_kind = {kind: [found[kind] for found in runs] for kind in runs[0]}
    summary = latency_summary(by_kind)
    show(f"{rate} messages a second on {broker.name}", summary)
    if output is not None:
        figures = {"broker": broker.name, "machine": machine(), "median": summary, "runs": by_kind}
        output.write_text(json.dumps(figures, indent=2) + "\n")


async def run(broker: str, profile: str, rate: int, messages: int) -> dict[str, Latency]:
    """Measure each kind once."""
    settings = create_settings(broker).model_copy(update={"profile": profile})
    await apply_topics(settings)
    direct = await measure(settings, contract.LIQUIDATIONS, key_of_event, rate, messages)
    through, inside = await _through_a_worker(settings, rate, messages)
    return {
        "producer to consumer": latency(direct),
        "event to signal": latency(through),
        "processing time": latency(inside),
    }


async def _through_a_worker(settings: Settings, rate: int, messages: int) -> tuple[list[float], list[float]]:
    told: list[float] = []

    def key(message: dict[str, Any]) -> Key:
        told.append(message["meta"]["processing_time_ms"])
        return key_of_signal(message)

    with Worker(settings) as worker:
        through = await measure(settings, contract.SIGNALS, key, rate, messages)
        worker.stop()
    return through, told[-messages:]


if __name__ == "__main__":
    typer.run(main)
