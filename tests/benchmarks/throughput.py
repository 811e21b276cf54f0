"""How many messages a second: aiokafka alone, a stock Faust agent that does nothing, and a `cascade worker`.

All three read the same single liquidations (50 symbols, 3 venues, 4 partitions) from one broker, loaded
before any clock starts, one contender at a time, each in a process of its own, in turns; medians are told.

- `aiokafka alone`: one consumer with `getmany`, nothing decoded. From its first batch to its last.
- `stock Faust`: an agent whose body is empty, Faust's own transport. From its first message to its last.
- `this pipeline`: one worker with the default profile and settings, Redis off: decoding, folding, signals
  and snapshots. It is watched from outside every 100 ms: from the last moment without an output to the first
  one with all outputs; CPU time until all is committed (`observe.summarize`). An old backlog waits at first
  for the market's context: that wait is as short as for the other topics here.

CPU is user and system time of the whole process, all threads. The broker shares the machine.

    uv run python tests/benchmarks/throughput.py [--messages 500000] [--repeat 3] [--json FILE]
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).parents[1]))

from load import load
from observe import Run, observe, summarize
from report import machine, show, throughput_summary
from servers import broker_type, running
from workers import Worker

from pipeline import contract
from pipeline.runtime.topics import apply_topics
from pipeline.settings import Settings

SUBJECT = "this pipeline"


def main(
    messages: Annotated[int, typer.Option(min=10_000, help="Messages to process.")] = 500_000,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each contender.")] = 3,
    output: Annotated[Path | None, typer.Option("--json", help="File for the figures.")] = None,
) -> None:
    """Measure, print a table, and write the figures."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new topic has no leader for a moment
    with running(broker_type()()) as broker:
        settings = create_settings(broker.bootstrap)
        asyncio.run(load(settings, messages))
        runs = measure(settings, messages, repeat)
    summary = throughput_summary(runs, SUBJECT)
    show(f"{messages:,} messages on {broker.name}", summary)
    if output is not None:
        found = {name: [run._asdict() for run in found] for name, found in runs.items()}
        figures = {"broker": broker.name, "machine": machine(), "median": summary, "runs": found}
        output.write_text(json.dumps(figures, indent=2) + "\n")


def create_settings(broker: str) -> Settings:
    """Return the settings of a worker with a group of its own: the defaults, as far as they matter."""
    return Settings(
        app_id=f"cascade-benchmark-{uuid.uuid4().hex[:8]}",
        broker=broker,
        redis_enabled=False,
        input_retention_hours=-1,  # the messages lie in the past
        context_settle_ms=250,
    )


def measure(settings: Settings, messages: int, repeat: int) -> dict[str, list[Run]]:
    """Let the contenders run in turns."""
    runs: dict[str, list[Run]] = {"aiokafka alone": [], "stock Faust": [], SUBJECT: []}
    for _ in range(repeat):
        runs["aiokafka alone"].append(run_child("aiokafka_alone.py", settings.broker, messages))
        runs["stock Faust"].append(run_child("stock_faust.py", settings.broker, messages))
        runs[SUBJECT].append(asyncio.run(run_worker(create_settings(settings.broker), messages)))
        for name, found in runs.items():
            typer.echo(f"{name}: {found[-1].rate:,.0f}/s, {found[-1].cpu_us:.1f} us", err=True)
    return runs


def run_child(script: str, broker: str, messages: int) -> Run:
    """Run a contender that measures itself."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "figures.json"
        command = [
            sys.executable,
            str(Path(__file__).with_name(script)),
            broker,
            contract.LIQUIDATIONS,
            str(messages),
            str(file),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return Run(**json.loads(file.read_text()))


async def run_worker(settings: Settings, messages: int) -> Run:
    """Run a worker on everything that lies on the input topic."""
    await apply_topics(settings)
    with Worker(settings) as worker:
        seen = await observe(settings, worker, messages)
        worker.stop()
    return summarize(seen, messages)


if __name__ == "__main__":
    typer.run(main)
