"""Child process: a stock Faust agent that does nothing. Arguments: broker, topic, messages, file, [uvloop].

Faust as it comes, with its own transport, and raw bytes instead of decoding; on asyncio's own event loop,
which is Faust's default, or on uvloop, as the pipeline is. Writes, as JSON, how many messages came after the
first, and the seconds and CPU seconds they took.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, NoReturn

import uvloop

BROKER, TOPIC, MESSAGES, FILE = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
if sys.argv[5:] == ["uvloop"]:
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

import faust  # noqa: E402 - takes its event loop from the policy

app = faust.App(
    f"stock-{uuid.uuid4().hex}",
    broker=f"kafka://{BROKER}",
    datadir=tempfile.mkdtemp(),
    topic_disable_leader=True,
    web_enabled=False,
)


@app.agent(app.topic(TOPIC, key_type=bytes, value_type=bytes, value_serializer="raw"))
async def nothing(stream: Any) -> None:
    seen, began, cpu = 0, 0.0, 0.0
    async for _ in stream:
        seen += 1
        if seen == 1:
            began, cpu = time.perf_counter(), time.process_time()
        elif seen == MESSAGES:
            found = {
                "messages": seen - 1,
                "seconds": time.perf_counter() - began,
                "cpu_seconds": time.process_time() - cpu,
            }
            report(found)


def report(found: dict[str, float]) -> NoReturn:
    """Write the figures and end at once: there is nothing to put in order."""
    FILE.write_text(json.dumps(found))
    os._exit(0)


if __name__ == "__main__":
    faust.Worker(app, loglevel="ERROR", redirect_stdouts=False, quiet=True).execute_from_commandline()
