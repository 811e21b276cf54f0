"""Recorded data into a running pipeline: in the order of time, as fast as asked for."""

from __future__ import annotations

import asyncio
import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import typer

from pipeline import codec
from pipeline.cli.moments import iso
from pipeline.cli.progress import watched
from pipeline.runtime.sending import producer
from pipeline.runtime.topic_plan import APPLY
from pipeline.runtime.topics import TopicsError, read_topics
from pipeline.settings import FOREVER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from aiokafka import AIOKafkaProducer

    from pipeline.cli.recorded.recordings import Recorded, Recordings
    from pipeline.settings import Settings

FASTEST: Final = float("inf")
CHUNK: Final = 1_000
"""Records sent before their delivery is waited for: topics stay about as far as each other."""
_HOUR_MS: Final = 3_600_000


async def feed(recordings: Recordings, settings: Settings, speed: float) -> None:
    """Send recorded messages to the topics of a running pipeline.

    Parameters
    ----------
    recordings
        What to send.
    settings
        Where the broker is.
    speed
        How many times as fast as it happened.

    Raises
    ------
    TopicsError
        A topic is missing, or would delete records as old as these.

    """
    await check_retention(recordings, settings)
    reached_ms = None
    async with producer(settings) as sending:
        try:
            async for chunk in _chunks(watched(recordings, "replaying"), speed):
                await _send(sending, chunk)
                reached_ms = chunk[-1].time_ms
        except BaseException:
            if reached_ms is not None:
                typer.echo(f"all records before {iso(reached_ms)} were sent: --from goes on there", err=True)
            raise


async def _send(sending: AIOKafkaProducer, records: Iterable[Recorded]) -> None:
    deliveries: list[Any] = [
        await sending.send(
            recorded.topic,
            codec.encode(recorded.message),
            key=recorded.message.symbol.encode(),
            timestamp_ms=recorded.time_ms,
        )
        for recorded in records
    ]
    await asyncio.gather(*deliveries)


async def pace(records: Iterable[Recorded], speed: float) -> AsyncIterator[Recorded]:
    """Yield records when they are due, `speed` times as fast as they happened."""
    first_ms, started = None, time.monotonic()
    for recorded in records:
        first_ms = recorded.time_ms if first_ms is None else first_ms
        due = started + (recorded.time_ms - first_ms) / 1000 / speed
        wait = due - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        yield recorded


async def _chunks(records: Iterator[Recorded], speed: float) -> AsyncIterator[list[Recorded]]:
    if speed == FASTEST:
        while chunk := list(islice(records, CHUNK)):
            yield chunk
    else:
        async for recorded in pace(records, speed):
            yield [recorded]


async def check_retention(recordings: Recordings, settings: Settings) -> None:
    """Refuse when a topic would delete the oldest of these records, or is not there."""
    found = await read_topics(settings)
    now_ms = time.time() * 1000
    problems = []
    for topic, oldest_ms in _oldest(recordings).items():
        if topic not in found:
            problems.append(f"{topic}: missing: {APPLY}")
            continue
        kept_ms = float(found[topic].config["retention.ms"])
        if kept_ms != FOREVER and oldest_ms < now_ms - kept_ms:
            problems.append(_too_old(topic, kept_ms, now_ms - oldest_ms))
    if problems:
        raise TopicsError("\n".join(problems))


def _oldest(recordings: Recordings) -> dict[str, float]:
    oldest: dict[str, float] = {}
    for file in recordings.files:
        if file.begin_ms is not None:
            begin = max(file.begin_ms, recordings.period.begin_ms)
            oldest[file.topic] = min(begin, oldest.get(file.topic, begin))
    return oldest


def _too_old(topic: str, kept_ms: float, age_ms: float) -> str:
    return (
        f"{topic}: keeps records for {kept_ms / _HOUR_MS:,.0f} h, and the oldest of these is"
        f" {age_ms / _HOUR_MS:,.0f} h old: it would be deleted: set PIPELINE_INPUT_RETENTION_HOURS=-1 and"
        f" {APPLY}, or begin later with --from"
    )
