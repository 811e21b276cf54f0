"""What the JSON API answers: the types that its OpenAPI document is generated from."""

from typing import Annotated

from msgspec import Meta, Struct

from pipeline.messages import (
    FeedStatus,
    Level,
    PositioningUpdate,
    RegimeUpdate,
    Signal,
    VelocityUpdate,
    VolatilityUpdate,
)
from pipeline.signals.statistics import StatisticsReport
from pipeline.web.status import Status

Unix = Annotated[float, Meta(description="Unix seconds.")]


class Problem(Struct):
    """Why a request was refused, or could not be answered."""

    error: str


class Missing(Struct):
    """Partitions of which nothing current is known, and why: the symbols on them are not in the answer."""

    partitions: list[int]
    reason: str


class SymbolRow(Struct):
    """A symbol in the list.

    `signal` is null before its first signal. `change` is that of the probability in a minute, `level_since`
    when its level began, `long_share` the part of the USD of 5 minutes that was of long positions (null
    without any), `last_event` its newest liquidation or price. `trend` are probabilities of the last 10
    minutes, one each 15 s at most, oldest first.
    """

    symbol: str
    partition: int
    timestamp: Unix | None
    signal: Level | None
    signal_level: int
    level_since: Unix | None
    probability: float
    change: float
    velocity: float
    acceleration: float
    volume_usd: float
    long_share: float | None
    leading_exchange: str | None
    price: float | None
    last_event: Unix | None
    stale: bool
    trend: list[float]


class Symbols(Struct):
    """All symbols of the fleet, the hottest first: by probability, then by its change."""

    time: Unix
    symbols: list[SymbolRow]
    count: int
    by_level: dict[str, int]
    missing: list[Missing]


class Window(Struct):
    """What a sliding window holds that ends at the symbol's clock."""

    seconds: float
    count: int
    velocity: float
    long_usd: float
    short_usd: float


class Component(Struct):
    """A part of the score: its weight, its score from 0 to 1, and what it contributes to the probability."""

    name: str
    weight: float
    score: float
    contribution: float
    has_data: bool


class Series(Struct):
    """The past in columns, oldest first: as `Moment`; `contributions` by component, each a column.

    Null is what the worker that sent the signal had not been told by then.
    """

    time: list[float]
    price: list[float | None]
    probability: list[float]
    level: list[int]
    velocity: list[float]
    acceleration: list[float]
    volume_usd: list[float]
    velocity_60s: list[float | None]
    velocity_300s: list[float | None]
    long_usd: list[float | None]
    short_usd: list[float | None]
    contributions: dict[str, list[float]]


class Threshold(Struct):
    """What a level asks for: either a higher probability, or a velocity and an acceleration above both.

    No velocity: the probability alone decides.
    """

    level: Level
    probability: float
    velocity: float | None
    acceleration: float | None


class SymbolDetail(Struct):
    """Everything about a symbol: its row, newest messages, windows, components, thresholds and past."""

    row: SymbolRow
    why: str
    relief: str
    latest: Signal | None
    velocity: VelocityUpdate | None
    volatility: VolatilityUpdate | None
    positioning: PositioningUpdate | None
    windows: list[Window]
    components: list[Component]
    thresholds: list[Threshold]
    history: Series
    changes: list[Signal]


class Signals(Struct):
    """Signals of the fleet, newest first."""

    signals: list[Signal]
    missing: list[Missing]


class Regime(Struct):
    """The market regime and the reference symbol's volatility, null before its first price.

    `history` are the regime's changes, newest first.
    """

    reference: str
    regime: RegimeUpdate | None
    volatility: VolatilityUpdate | None
    age_seconds: float | None
    history: list[RegimeUpdate]
    missing: list[Missing]


class Feeds(Struct):
    """Times without data of venues' feeds in the last day, as collectors tell them: those that last first."""

    gaps: list[FeedStatus]


class WorkerStatistics(Struct):
    """One worker's statistics."""

    worker: str
    statistics: StatisticsReport


class Stats(Struct):
    """Statistics over all workers, and of each."""

    total: StatisticsReport
    workers: list[WorkerStatistics]
    missing: list[Missing]


class WeightsAnswer(Struct):
    """The weights in force: of the profile, or as they were set last; version 0 are the profile's."""

    version: int
    profile: str
    from_profile: bool
    weights: dict[str, float]
    behind: list[int]


class Fleet(Struct):
    """The status of every worker that answers, and partitions that nobody answers for."""

    workers: list[Status]
    missing: list[Missing]
