"""Check the figures of `cascade demo --seconds 30 --json`, read from stdin: one line of JSON."""  # noqa: INP001

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_SIGNAL_S = 15
MEDIAN_MS = 250


def problems(demo: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a demo's summary."""
    if not (demo["signals"]["ALERT"] and demo["signals"]["CRITICAL"]):
        yield "no ALERT or no CRITICAL signal, though there was a cascade"
    for name in ("event_to_kafka", "event_to_redis"):
        if not demo[name]["count"]:
            yield f"{name}: nothing was measured"
        elif not 0 <= demo[name]["p50_ms"] <= min(MEDIAN_MS, demo[name]["p99_ms"]):
            yield f"{name}: expected a median of 0 to {MEDIAN_MS} ms, and not above the 99th percentile"
    alert, critical = demo["first_alert_after_onset_s"], demo["first_critical_after_onset_s"]
    if alert is None or critical is None or alert > critical:
        yield "expected a first ALERT, and a first CRITICAL not before it"
    if not 0 < (demo["first_signal_s"] or 0) <= FIRST_SIGNAL_S:
        yield f"expected the first signal within {FIRST_SIGNAL_S} s"
    if demo["dead_letters"]:
        yield f"{demo['dead_letters']} dead letters"


lines = sys.stdin.read().splitlines()
found = list(problems(json.loads(lines[0]))) if len(lines) == 1 else [f"expected one line, got {len(lines)}"]
sys.stdout.write("".join(f"demo: {problem}\n" for problem in found) or "demo: its figures hold\n")
sys.exit(bool(found))
