"""Every path of the JSON API, in one place: what is served and what the OpenAPI document says."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from pipeline.messages import LEVELS
from pipeline.web import answers
from pipeline.web.api import LONGEST_PAST, MOST_ROWS


class Parameter(NamedTuple):
    """A parameter of a request."""

    name: str
    text: str
    schema: dict[str, Any]
    place: str = "query"


class Route(NamedTuple):
    """A path and a method; `handler` names a method of `Api`, `answer` is the type of what it answers.

    `refusals` are the other statuses that it may answer with; `body` what it wants to be sent.
    """

    path: str
    method: str
    handler: str
    summary: str
    answer: Any
    parameters: tuple[Parameter, ...] = ()
    refusals: tuple[int, ...] = ()
    body: Any = None


def _whole(name: str, text: str, usual: int, most: int) -> Parameter:
    return Parameter(name, text, {"type": "integer", "minimum": 1, "maximum": most, "default": usual})


_LEVEL: Final[dict[str, Any]] = {"type": "string", "enum": list(LEVELS)}
_SCOPE: Final = Parameter(
    "scope", "`worker`: of this worker's partitions alone.", {"type": "string", "enum": ["worker"]}
)
SYMBOL: Final = Parameter("symbol", "A symbol.", {"type": "string"}, "path")
CHANGES: Final = Parameter(
    "changes", "Only those with which a level changed.", {"type": "boolean", "default": False}
)
OF_SYMBOL: Final = Parameter("symbol", "Only of this symbol.", {"type": "string"})

ROUTES: Final = (
    Route(
        "/api/symbols",
        "get",
        "symbols",
        "All symbols, the hottest first.",
        answers.Symbols,
        (_whole("limit", "Rows, at most.", 500, MOST_ROWS), _SCOPE),
        (400,),
    ),
    Route(
        "/api/symbols/{symbol}",
        "get",
        "symbol",
        "Everything about one symbol: windows, components, thresholds, its past.",
        answers.SymbolDetail,
        (SYMBOL, _whole("seconds", "How much of the past.", 3_600, LONGEST_PAST), _SCOPE),
        (400, 404, 503),
    ),
    Route(
        "/api/signals",
        "get",
        "signals",
        "The newest signals, newest first.",
        answers.Signals,
        (
            Parameter("min_level", "From this level up.", _LEVEL | {"default": "NONE"}),
            OF_SYMBOL,
            CHANGES,
            _whole("limit", "Signals, at most.", 100, 1_000),
            _SCOPE,
        ),
        (400,),
    ),
    Route(
        "/api/regime",
        "get",
        "regime",
        "The market regime and what follows from it.",
        answers.Regime,
        (_SCOPE,),
        (400,),
    ),
    Route("/api/stats", "get", "stats", "Statistics of the signals sent.", answers.Stats, (_SCOPE,), (400,)),
    Route("/api/fleet", "get", "fleet", "The status of every worker.", answers.Fleet, (_SCOPE,), (400,)),
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
        Parameter("min_level", "Signals from this level up.", _LEVEL | {"default": "ALERT"}),
        OF_SYMBOL,
        CHANGES,
    ),
    (400, 503),
)
