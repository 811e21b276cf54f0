"""How many events a second, one process each, all on one broker: this pipeline and what it is compared with.

All read the same liquidations (50 symbols, 3 venues, 4 partitions), loaded before any clock starts, one
contender at a time, in turns; medians are told.

- `aiokafka alone`: one consumer with `getmany`, nothing decoded. From its first batch to its last.
- `stock Faust`: an agent whose body is empty, Faust's own transport; on asyncio's event loop, as Faust comes,
  and on uvloop, as the pipeline is. From its first message to its last.
- `this pipeline`: one worker with the default profile and settings, Redis off: decoding, folding, signals
  and snapshots. An old backlog waits at first for the market's context: that wait is as short as for the
  other topics here.
- `this pipeline, compiled`: the same of a package with its windows compiled, where there is a C compiler.
- `Bytewax`, `Quix Streams`: count and sum of a symbol's liquidations in a minute, one output an event (see
  peers/): in Bytewax of the minute up to the event, without recovery; in Quix Streams of the minute that the
  event is in, with state and changelog, as its sliding windows take several times as long.
- `this pipeline, arrays of 20`: the same liquidations, 20 of a symbol in a message.

All that send are watched from outside every 100 ms: from the last moment without an output to the first one
with all outputs; a worker's CPU time until all is committed (`observe.summarize`). CPU is user and system
time of the whole process, all threads. The broker shares the machine.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic, RecordsToDelete
from apache import kafka
from compiled import CompiledWorker, compile_package, has_compiler
from load import in_arrays, keyed, load
from observe import Run, observe, summarize
from workers import Admin, Worker

from pipeline import contract
from pipeline.runtime.topics import apply_topics
from pipeline.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

PEERS = {"Bytewax": "bytewax_count.py", "Quix Streams": "quix_count.py"}
PEERS_DIRECTORY = Path(__file__).with_name("peers")
SUBJECT = "this pipeline"
ARRAY = 20
_ALL = -1
"""Before this offset: whatever there is."""


def measure(messages: int, repeat: int) -> dict[str, list[Run]]:
    """Return the runs of each contender."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new topic has no leader for a moment
    with tempfile.TemporaryDirectory() as directory:
        peers = install_peers(Path(directory))
        with kafka() as broker:
            settings = create_settings(broker.bootstrap)
            count = asyncio.run(load(settings, keyed(messages)))
            contenders = {
                "aiokafka alone": partial(run_child, "aiokafka_alone.py", settings.broker, count),
                "stock Faust": partial(run_child, "stock_faust.py", settings.broker, count),
                "stock Faust on uvloop": partial(
                    run_child, "stock_faust.py", settings.broker, count, "uvloop"
                ),
                SUBJECT: partial(run_worker, settings.broker, count, messages),
                **compiled_subject(Path(directory), settings.broker, count, messages),
            }
            if peers is not None:
                contenders |= {
                    name: partial(run_peer, peers, script, settings, count) for name, script in PEERS.items()
                }
            runs = in_turns(contenders, repeat)
    with kafka() as broker:
        count = asyncio.run(load(create_settings(broker.bootstrap), in_arrays(messages, ARRAY)))
        arrays = partial(run_worker, broker.bootstrap, count, messages)
        return runs | in_turns({f"{SUBJECT}, arrays of {ARRAY}": arrays}, repeat)


def in_turns(contenders: dict[str, Callable[[], Run]], repeat: int) -> dict[str, list[Run]]:
    """Run each contender so many times, in turns."""
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    for _ in range(repeat):
        for name, contender in contenders.items():
            runs[name].append(contender())
            typer.echo(f"{name}: {runs[name][-1].rate:,.0f}/s, {runs[name][-1].cpu_us:.1f} us", err=True)
    return runs


def create_settings(broker: str) -> Settings:
    """Return the settings of a worker with a group of its own: the defaults, as far as they matter."""
    return Settings(
        app_id=f"cascade-benchmark-{uuid.uuid4().hex[:8]}",
        broker=broker,
        redis_enabled=False,
        input_retention_hours=-1,  # the messages lie in the past
        context_settle_ms=500,
    )


def run_child(script: str, broker: str, messages: int, *more: str) -> Run:
    """Run a contender that measures itself."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "figures.json"
        program = str(Path(__file__).with_name(script))
        command = [sys.executable, program, broker, contract.LIQUIDATIONS, str(messages), str(file), *more]
        environment = os.environ | {"TMPDIR": directory}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        return Run(**json.loads(file.read_text()))


def compiled_subject(
    directory: Path, broker: str, records: int, liquidations: int
) -> dict[str, Callable[[], Run]]:
    """Return the contender that is compiled by its name; nothing where nothing can be compiled."""
    if not has_compiler():
        typer.echo("no compiled worker: that takes a C compiler and Python's headers", err=True)
        return {}
    create = partial(CompiledWorker, package=compile_package(directory))
    return {f"{SUBJECT}, compiled": partial(run_worker, broker, records, liquidations, create)}


def run_worker(
    broker: str, records: int, liquidations: int, create: Callable[[Settings], Worker] = Worker
) -> Run:
    """Run a worker on everything that lies on the input topic."""
    settings = create_settings(broker)
    asyncio.run(_create_empty_outputs(settings))
    with create(settings) as worker:
        watch = observe(settings, worker.process, contract.OUTPUTS, records, group=settings.app_id)
        seen = asyncio.run(watch)
        worker.stop()
    return summarize(seen, liquidations)


async def _create_empty_outputs(settings: Settings) -> None:
    """Create the topics, and delete what earlier runs sent: a worker would read it for its charts."""
    await apply_topics(settings)
    outputs = [TopicPartition(topic, n) for topic in contract.OUTPUTS for n in range(settings.partitions)]
    async with Admin(settings) as admin:
        await admin.delete_records({output: RecordsToDelete(_ALL) for output in outputs})


def install_peers(directory: Path) -> Path | None:
    """Install what the pipeline is compared with into an environment of its own.

    Returns its Python; None, and says so, where that cannot be: offline, or without a wheel for this Python.
    """
    environment = directory / "peers"
    python = environment / "bin" / "python"
    requirements = str(PEERS_DIRECTORY / "requirements.txt")
    try:
        subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
        subprocess.run(
            ["uv", "pip", "install", "--quiet", "--python", str(python), "-r", requirements], check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        typer.echo(f"{' and '.join(PEERS)} cannot be installed, and are left out: {error}", err=True)
        return None
    return python


def run_peer(python: Path, script: str, settings: Settings, messages: int) -> Run:
    """Run a contender that sends an output for each message, until all are there."""
    output = f"counts-{uuid.uuid4().hex[:8]}"
    asyncio.run(_create_topic(settings, output))
    program = str(PEERS_DIRECTORY / script)
    command = [str(python), program, settings.broker, contract.LIQUIDATIONS, output]
    with tempfile.TemporaryDirectory() as directory:
        environment = os.environ | {"TMPDIR": directory}
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        try:
            seen = asyncio.run(observe(settings, process, [output], messages, group=None))
        finally:
            process.kill()
            process.wait()
    return summarize(seen, messages)


async def _create_topic(settings: Settings, name: str) -> None:
    async with Admin(settings) as admin:
        await admin.create_topics([NewTopic(name, settings.partitions, 1)])
