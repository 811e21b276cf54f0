"""Statistics over repeated runs, facts about the machine, and how both are shown."""

from __future__ import annotations

import json
import math
import os
import platform
import signal
import statistics
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from rich.console import Console
from rich.table import Table
from servers import broker_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from observe import Run

JsonFile: TypeAlias = Annotated[
    typer.FileTextWrite | None, typer.Option("--json", lazy=False, mode="a", help="File for the figures.")
]
"""An option of a program; a file that cannot be written is refused before anything is measured, and older
figures stay until there are new ones."""
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
        "broker": broker_type().name,
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
        shown.add_column(column.replace("_", " "), justify="right", overflow="fold")
    for name, row in summary.items():
        shown.add_row(name, *[f"{value:,}" for value in row.values()])
    return shown


def show(title: str, summary: Mapping[str, Mapping[str, float]]) -> None:
    """Print the table of a summary, and the machine it was measured on."""
    console = Console()
    console.print(table(title, summary))
    console.print(", ".join(f"{name} {value}" for name, value in machine().items()), soft_wrap=True)


def save(file: JsonFile, figures: Mapping[str, Any]) -> None:
    """Write the figures that there are so far, in place of those before, lest an end that comes take them."""
    if file is not None:
        file.seek(0)
        file.truncate()
        file.write(json.dumps(figures, indent=2) + "\n")
        file.flush()


def run(main: Callable[..., None]) -> None:
    """Run a program; SIGTERM ends it as Ctrl-C does, with its servers."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    program = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    program.command()(main)
    program()
