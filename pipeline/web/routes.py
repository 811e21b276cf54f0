"""Every path of the JSON API, in one place: what is served and what the OpenAPI document says."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from pipeline.web import answers, query


class Route(NamedTuple):
    """A path and a method; `handler` names a method of `Api`, `answer` is the type of what it answers.

    `refusals` are the other statuses that it may answer with; `body` what it wants to be sent.
    """

    path: str
    method: str
    handler: str
    summary: str
    answer: Any
    parameters: tuple[query.Parameter, ...] = ()
    refusals: tuple[int, ...] = ()
    body: Any = None


ROUTES: Final = (
    Route(
        "/api/symbols",
        "get",
        "symbols",
        "All symbols, the hottest first.",
        answers.Symbols,
        (query.MOST_ROWS, query.SCOPE),
        (400,),
    ),
    Route(
        "/api/symbols/{symbol}",
        "get",
        "symbol",
        "Everything about one symbol: windows, components, thresholds, its past.",
        answers.SymbolDetail,
        (query.SYMBOL, query.PAST, query.SCOPE),
        (400, 404, 503),
    ),
    Route(
        "/api/signals",
        "get",
        "signals",
        "The newest signals, newest first.",
        answers.Signals,
        (
            query.LEVEL,
            query.OF_SYMBOL,
            query.CHANGES,
            query.MOST_SIGNALS,
            query.SCOPE,
        ),
        (400,),
    ),
    Route(
        "/api/regime",
        "get",
        "regime",
        "The market regime and what follows from it.",
        answers.Regime,
        (query.SCOPE,),
        (400,),
    ),
    Route(
        "/api/stats", "get", "stats", "Statistics of the signals sent.", answers.Stats, (query.SCOPE,), (400,)
    ),
    Route("/api/fleet", "get", "fleet", "The status of every worker.", answers.Fleet, (query.SCOPE,), (400,)),
    Route("/api/feeds", "get", "feeds", "Feeds that are or were silent.", answers.Feeds),
    Route(
        "/api/weights", "get", "get_weights", "The weights in force.", answers.WeightsAnswer, refusals=(503,)
    ),
    Route(
        "/api/weights",
        "put",
        "put_weights",
        "Put weights in force on every worker; needs the token.",
        answers.WeightsAnswer,
        refusals=(400, 401, 403, 413, 503),
        body=dict[str, float],
    ),
    Route(
        "/api/weights",
        "delete",
        "delete_weights",
        "Go back to the profile's weights; needs the token.",
        answers.WeightsAnswer,
        refusals=(401, 403, 503),
    ),
)

STREAM: Final = Route(
    "/api/stream",
    "get",
    "stream",
    "Signals and the market regime as server-sent events; who reads too slowly is cut off.",
    str,
    (
        query.LEVEL_OF_STREAM,
        query.OF_SYMBOL,
        query.CHANGES,
    ),
    (400, 503),
)
