"""What a worker takes as its symbols grow: memory, CPU, snapshots, and the time to recover them.

For each number of symbols, on one broker, Redis off, 4 partitions and one worker: a feed that brings a price
and, on average, a liquidation of every symbol in every second of event time is laid down, and a worker works
it off; then it is stopped, and another starts.

- `worker MB`, `KB a symbol`: resident memory when all is committed; per symbol what it is above the fewest's.
- `CPU us`: user and system time a message (see `throughput.py`).
- `snapshot`: bytes of what is stored of a symbol in all tables: the median symbol's, and the largest one's.
- `recovery s`: of the worker that starts on that state, from its assignment until it is ready.

    uv run python tests/benchmarks/growth.py [--messages 200000] [--symbols 10,1000,5000] [--json FILE]
"""

from __future__ import annotations

import asyncio
import logging
import re
import statistics
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from aiokafka import AIOKafkaProducer

sys.path.insert(0, str(Path(__file__).parents[1]))

from apache import kafka
from many_symbols import feed
from observe import observe, summarize
from report import JsonFile, machine, run, save, show
from throughput import create_settings
from workers import Worker, read_newest

from pipeline import codec, contract
from pipeline.runtime.topics import apply_topics

if TYPE_CHECKING:
    from pipeline.settings import Settings


class Growth(NamedTuple):
    """What one number of symbols came to."""

    messages: int
    cpu_us: float
    memory_bytes: int
    snapshot_median: int
    snapshot_largest: int
    recovery_s: float


async def lay_down(settings: Settings, symbols: int, messages: int) -> None:
    """Create the topics, and lay messages on them."""
    await apply_topics(settings)
    async with AIOKafkaProducer(
        bootstrap_servers=settings.broker, linger_ms=20, compression_type="lz4", enable_idempotence=True
    ) as producer:
        for tick in islice(feed(symbols), messages):
            await producer.send(
                tick.topic,
                codec.encode(tick.message),
                key=tick.symbol.encode(),
                timestamp_ms=round(tick.time * 1_000),
            )


def memory(pid: int) -> int:
    """Return the resident memory of a process in bytes (Linux)."""
    [kilobytes] = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kilobytes) * 1_024


async def measure(settings: Settings, symbols: int, messages: int) -> Growth:
    """Let a worker work off a feed, and another one recover what it leaves."""
    await lay_down(settings, symbols, messages)
    with Worker(settings) as worker:
        seen = await observe(settings, worker.process, contract.OUTPUTS, messages, group=settings.app_id)
        resident = memory(worker.process.pid)
        worker.stop()
    sizes: Counter[str] = Counter()
    for (_, key), data in (await read_newest(settings)).items():
        sizes[key] += len(data)
    with Worker(settings) as worker:
        await worker.until_ready()
        recovery = worker.recoveries()[-1].seconds
        worker.stop()
    cpu_us = summarize(seen, messages).cpu_us
    stored = list(sizes.values())
    return Growth(messages, cpu_us, resident, round(statistics.median(stored)), max(stored), recovery)


def summary(found: dict[int, Growth]) -> dict[str, dict[str, float]]:
    """Return a row for each number of symbols; memory a symbol is counted from the fewest symbols on."""
    fewest = min(found)
    base = found[fewest]
    return {
        f"{symbols:,} symbols": {
            "worker_MB": round(each.memory_bytes / 1e6),
            "KB_a_symbol": round((each.memory_bytes - base.memory_bytes) / 1e3 / max(symbols - fewest, 1), 1),
            "CPU_us": round(each.cpu_us, 1),
            "times_the_CPU": round(each.cpu_us / base.cpu_us, 2),
            "snapshot_median": each.snapshot_median,
            "snapshot_largest": each.snapshot_largest,
            "recovery_s": round(each.recovery_s, 2),
        }
        for symbols, each in found.items()
    }


def numbers(text: str) -> list[int]:
    """Return the numbers of a list such as `10,1000`."""
    return [int(number) for number in text.split(",")]


def main(
    messages: Annotated[int, typer.Option(min=1_000, help="Messages to process.")] = 200_000,
    symbols: Annotated[Any, typer.Option(parser=numbers, help="Numbers of symbols.")] = "10,1000,5000",
    output: JsonFile = None,
) -> None:
    """Measure, print a table, and write the figures."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new topic has no leader for a moment
    found: dict[int, Growth] = {}
    for number in symbols:
        with kafka() as broker:
            found[number] = asyncio.run(measure(create_settings(broker.bootstrap), number, messages))
        typer.echo(f"{number} symbols: {found[number]}", err=True)
        runs = {str(number): each._asdict() for number, each in found.items()}
        save(output, {"machine": machine(), "summary": summary(found), "runs": runs})
    show(f"{messages:,} messages", summary(found))


if __name__ == "__main__":
    run(main)
