"""All benchmarks, one after the other: throughput, latency, projection. Tables, and a JSON file if asked for.

    uv run python tests/benchmarks [throughput] [latency] [projection] [--json FILE] ...

What each of them measures, and how, is told at the beginning of its file. The machine should be quiet.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

sys.path.insert(0, str(Path(__file__).parents[1]))

import latency
import projection
import throughput
from report import JsonFile, latency_summary, machine, run, save, show, throughput_summary


class Part(StrEnum):
    """What is measured."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"
    PROJECTION = "projection"


def main(  # noqa: PLR0913, PLR0917
    parts: Annotated[list[Part], typer.Argument(help="What to measure.", show_default="all")] = list(Part),  # noqa: B006
    messages: Annotated[int, typer.Option(min=100_000, help="Liquidations of a throughput run.")] = 500_000,
    rates: Annotated[list[int], typer.Option("--rate", min=1, help="Messages a second, for latency.")] = [  # noqa: B006
        50,
        200,
        1_000,
    ],
    seconds: Annotated[int, typer.Option(min=5, help="Length of each latency run.")] = 20,
    signals: Annotated[int, typer.Option(min=1_000, help="Signals of a projection run.")] = 50_000,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each contender.")] = 3,
    output: JsonFile = None,
) -> None:
    """Measure, print a table for each part, and write the figures."""
    figures: dict[str, Any] = {"machine": machine()}
    if Part.THROUGHPUT in parts:
        runs = throughput.measure(messages, repeat)
        figures["throughput"] = throughput_summary(runs, throughput.SUBJECT)
        show(f"{messages:,} liquidations", figures["throughput"])
        save(output, figures)
    if Part.LATENCY in parts:
        for rate in rates:
            figures[f"latency at {rate}/s"] = found = latency_summary(
                latency.measure_rate(rate, seconds, repeat)
            )
            show(f"{rate} messages a second", found)
            save(output, figures)
    if Part.PROJECTION in parts:
        figures["projection"] = throughput_summary({"projection": projection.measure(signals, repeat)}, None)
        show(f"{signals:,} signals into Valkey", figures["projection"])
        save(output, figures)


if __name__ == "__main__":
    run(main)
