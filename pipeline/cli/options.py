"""Options of the commands that read recorded files, and what they name: files, a symbol, a period."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer
from typer.core import TyperCommand

from pipeline import contract
from pipeline.cli.moments import moment_ms
from pipeline.cli.output import USAGE, fail
from pipeline.cli.recorded.recordings import Period, Source
from pipeline.messages import normal_symbol

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE_OPTIONS: Final = ("--liquidations", "--prices", "--open-interest", "--funding")

FILES: Final = "[SYMBOL=]FILE..."
"""How help names the values of an option for files."""
Files: TypeAlias = list[Path] | None
LiquidationFiles: TypeAlias = Annotated[
    Files, typer.Option(metavar=FILES, help="Liquidations, or raw forceOrder captures.")
]
PriceFiles: TypeAlias = Annotated[
    Files, typer.Option(metavar=FILES, help="Bars of 1, 3 or 5 minutes, or ticks.")
]
OpenInterestFiles: TypeAlias = Annotated[
    Files, typer.Option(metavar=FILES, help="Open interest in US dollars.")
]
FundingFiles: TypeAlias = Annotated[Files, typer.Option(metavar=FILES, help="Funding rates, as fractions.")]
SymbolOfFiles: TypeAlias = Annotated[
    str | None, typer.Option(help="The symbol of files without such a column; SYMBOL=FILE is for that file.")
]
From: TypeAlias = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="ISO 8601 (UTC) or milliseconds; included.")
]
To: TypeAlias = Annotated[
    str | None, typer.Option("--to", metavar="TIME", help="ISO 8601 (UTC) or milliseconds; excluded.")
]


def sources(named: Iterable[Files], symbol: str | None) -> list[Source]:
    """Return the files of the options, whose values come in the order of `contract.FEEDS`.

    A file may be given as SYMBOL=FILE, unless there is a file of just that name; `symbol` is that of others.
    """
    others = normal(symbol)
    feeds = zip(contract.FEEDS, named, strict=True)
    return [_source(topic, path, others) for topic, paths in feeds for path in paths or ()]


def _source(topic: str, path: Path, symbol: str | None) -> Source:
    named, equals, file = str(path).partition("=")
    if equals and "/" not in named and not path.exists():
        return Source(topic, Path(file), normal(named), alone=True)
    return Source(topic, path, symbol)


def normal(symbol: str | None) -> str | None:
    """Return the symbol of an option in its normal form, or end the command: it is none."""
    try:
        return None if symbol is None else normal_symbol(symbol)
    except ValueError as error:
        fail(str(error), USAGE)


def period(begin: str | None, end: str | None) -> Period:
    """Return what `--from` and `--to` say, or end the command."""
    found = Period(moment_ms("--from", begin, float("-inf")), moment_ms("--to", end, float("inf")))
    if found.begin_ms >= found.end_ms:
        fail("--from, --to: the end is not after the beginning", USAGE)
    return found


def require_writable(directory: Path) -> None:
    """End the command unless the directory of `--out` takes files: what they are to hold takes minutes."""
    try:
        TemporaryFile(dir=directory).close()
    except OSError as error:
        fail(f"--out: {directory}: {error.strerror}", USAGE)


class ManyFiles(TyperCommand):
    """A command whose options for files take any number of them, as a shell's pattern gives them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Name the option again before every further file, which is the form that Click knows."""
        named: list[str] = []
        option = None
        for place, word in enumerate(args):
            further = option is not None and not word.startswith("-") and args[place - 1] != option
            named += [option, word] if option is not None and further else [word]
            if word.startswith("-"):
                option = word if word in FILE_OPTIONS else None
        return super().parse_args(ctx, named)
