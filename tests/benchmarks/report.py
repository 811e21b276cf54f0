"""Statistics over repeated runs, facts about the machine, and how both are shown."""

from __future__ import annotations

import math
import os
import platform
import statistics
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from observe import Run

PERCENTS = (50, 99, 99.9)
PACKAGES = ("faust-streaming", "aiokafka", "uvloop", "msgspec")


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least so many percent of the values do not exceed."""
    return sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1]


def throughput_summary(runs: Mapping[str, Sequence[Run]], subject: str | None) -> dict[str, dict[str, float]]:
    """Return for each contender the medians over its runs, and how often as fast the subject is."""
    rates = {name: statistics.median(run.rate for run in found) for name, found in runs.items()}
    return {
        name: {
            "events_per_second": round(rates[name]),
            "lowest": round(min(run.rate for run in found)),
            "highest": round(max(run.rate for run in found)),
            "cpu_us_per_event": round(statistics.median(run.cpu_us for run in found), 1),
            **(
                {}
                if subject is None
                else {"subject_is_times_as_fast": round(rates[subject] / rates[name], 2)}
            ),
        }
        for name, found in runs.items()
    }


def latency_summary(runs: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, dict[str, float]]:
    """Return for each kind of duration the medians of its percentiles over the runs, in milliseconds."""
    return {
        name: {
            f"p{percent:g}_ms": round(statistics.median(percentile(run, percent) for run in found), 2)
            for percent in PERCENTS
        }
        for name, found in runs.items()
    }


def machine() -> dict[str, str | int]:
    """Return what the figures depend on."""
    return {
        "cores": os.cpu_count() or 0,
        "cpu": _cpu_model(),
        "load_average": round(os.getloadavg()[0]),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def _cpu_model() -> str:
    found = Path("/proc/cpuinfo")
    lines = found.read_text().splitlines() if found.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def table(title: str, summary: Mapping[str, Mapping[str, float]]) -> Table:
    """Return a table with one row for each name of a summary."""
    columns = next(iter(summary.values()))
    shown = Table("", title=title)
    for column in columns:
        shown.add_column(column.replace("_", " "), justify="right")
    for name, row in summary.items():
        shown.add_row(name, *[f"{value:,}" for value in row.values()])
    return shown


def show(title: str, summary: Mapping[str, Mapping[str, float]]) -> None:
    """Print the table of a summary, and the machine it was measured on."""
    console = Console()
    console.print(table(title, summary))
    console.print(", ".join(f"{name} {value}" for name, value in machine().items()), soft_wrap=True)
