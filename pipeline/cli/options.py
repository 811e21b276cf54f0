"""Options of the commands that read recorded files, and the files that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from pipeline import contract

if TYPE_CHECKING:
    from collections.abc import Iterable

Files: TypeAlias = list[Path] | None
OpenInterestFiles: TypeAlias = Annotated[
    Files, typer.Option(metavar="FILE...", help="Open interest in US dollars.")
]
FundingFiles: TypeAlias = Annotated[
    Files, typer.Option(metavar="FILE...", help="Funding rates, as fractions.")
]
SymbolOfFiles: TypeAlias = Annotated[
    str | None, typer.Option(help="The symbol of files without such a column.")
]
From: TypeAlias = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="ISO 8601 (UTC) or milliseconds; included.")
]
To: TypeAlias = Annotated[
    str | None, typer.Option("--to", metavar="TIME", help="ISO 8601 (UTC) or milliseconds; excluded.")
]


def named_files(named: Iterable[Files]) -> list[tuple[str, Path]]:
    """Return topic and path of each file; the options' values come in the order of `contract.FEEDS`."""
    return [(topic, path) for topic, paths in zip(contract.FEEDS, named, strict=True) for path in paths or ()]
