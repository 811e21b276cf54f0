"""`cascade collect`: from the exchanges to the topics."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path  # noqa: TC003 - Typer reads it
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pipeline import contract
from pipeline.cli.collect import live
from pipeline.cli.collect.check import try_out
from pipeline.cli.collect.replay import send_recordings
from pipeline.cli.output import USAGE, fail, run
from pipeline.collect.bundles import References
from pipeline.collect.names import USUAL, read_names
from pipeline.collect.ranking import MostTraded, named
from pipeline.collect.venues import VENUES
from pipeline.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.collect.names import Names
    from pipeline.collect.ranking import Choice

_USUAL: Final = "BTCUSDT,ETHUSDT"


def collect(  # noqa: PLR0913, PLR0917
    venues: Annotated[
        list[str] | None, typer.Argument(metavar="VENUE", help=f"Of {', '.join(VENUES)} [default: all].")
    ] = None,
    symbols: Annotated[
        str | None, typer.Option(help=f"Base and quote, separated by commas [default: {_USUAL}].")
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Instead: the N that are traded most, all venues together, by the hour."
        ),
    ] = None,
    topics: Annotated[str, typer.Option(help="What is published, separated by commas.")] = ",".join(
        contract.FEEDS
    ),
    price_interval: Annotated[
        float, typer.Option(help="Seconds from one price of a symbol and venue to the next.", min=0.0)
    ] = 1.0,
    names: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What else venues call coins and bundles of them (TOML)."),
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW", help="Where a venue's addresses that begin with OLD are found [many]."
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep all that venues say, as it came, in this directory."),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Understand recordings of this directory again, instead of venues."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="End after so long [default: never; 20 with --check].", min=0.1),
    ] = None,
    web_port: Annotated[
        int | None,
        typer.Option(
            help="Serve /livez, /readyz and /metrics on this port of PIPELINE_WEB_BIND.", min=1, max=65_535
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Tell what of each venue can be reached and brings data; send nothing."),
    ] = False,
) -> None:
    """Bring liquidations, prices, open interest and funding of exchanges to the topics.

    Every venue leaves something out: see the README, and `cascade collect --check`.
    """
    chosen = _split(venues or list(VENUES), VENUES, "VENUE")
    wanted = _split([topics], contract.FEEDS, "--topics")
    listed = {part.upper() for part in _parts([_USUAL if symbols is None else symbols], "--symbols")}
    _refuse_mixtures(symbols, top, replay, record, web_port, check=check)
    choice: Choice = (lambda _: named(listed)) if top is None else partial(MostTraded, number=top)
    options: dict[str, Any] = {
        "topics": wanted,
        "price_every": price_interval,
        "names": USUAL if names is None else _names(names),
        "references": References(),
    }
    wish = live.Wish(chosen, choice, options, dict(_endpoint(text) for text in endpoint or ()))
    settings = load_settings()
    endless = seconds is None and replay is None and not check
    with contextlib.suppress(KeyboardInterrupt) if endless else contextlib.nullcontext():
        if replay is not None:
            run(send_recordings(settings, chosen, listed, options, replay))
        elif check:
            run(try_out(wish, seconds))
        else:
            run(live.collect(settings, wish, seconds, web_port, record))


def _refuse_mixtures(  # noqa: PLR0913
    symbols: str | None,
    top: int | None,
    replay: Path | None,
    record: Path | None,
    web_port: int | None,
    *,
    check: bool,
) -> None:
    """Refuse options that another one makes useless."""
    if top is not None and (symbols is not None or replay is not None):
        other = "--symbols" if replay is None else "--replay, which needs --symbols"
        fail(f"--top: cannot be used with {other}", USAGE)
    alone = "--check" if check else "--replay" if replay is not None else None
    others = {"--replay": check and replay, "--record": record, "--web-port": web_port}
    if alone and (unused := [name for name, value in others.items() if value]):
        fail(f"{unused[0]}: cannot be used with {alone}", USAGE)


def _names(path: Path) -> Names:
    try:
        return USUAL.with_more(read_names(path.read_text(), VENUES))
    except (OSError, ValueError) as error:
        fail(f"--names: {path}: {error}", USAGE)


def _endpoint(text: str) -> tuple[str, str]:
    old, sign, new = text.partition("=")
    if not sign or "://" not in new:
        fail(f"--endpoint: {text}: expected OLD=NEW, such as wss://old.example=wss://new.example", USAGE)
    return old, new


def _split(texts: Sequence[str], known: Any, option: str) -> list[str]:
    found = [part.lower() for part in _parts(texts, option)]
    if unknown := [each for each in found if each not in known]:
        fail(f"{option}: {', '.join(unknown)}: expected some of {', '.join(known)}", USAGE)
    return list(dict.fromkeys(found))


def _parts(texts: Sequence[str], option: str) -> list[str]:
    found = [part.strip() for text in texts for part in text.split(",") if part.strip()]
    if not found:
        fail(f"{option}: expected at least one", USAGE)
    return found
