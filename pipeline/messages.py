"""Every message in and out, with units; the only place that validates.

Times on the wire are Unix seconds with fractions; inside they are integer microseconds (`micros`), so that
windows and comparisons are exact. The order of fields is their order on the wire.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

SCHEMA_VERSION: Final = 1
SECOND: Final = 1_000_000
"""Microseconds."""

EARLIEST_S: Final = 946_684_800
LATEST_S: Final = 4_102_444_800
Timestamp: TypeAlias = Annotated[float, Meta(ge=EARLIEST_S, lt=LATEST_S)]
"""Unix seconds, 2000 to 2100."""
Positive: TypeAlias = Annotated[float, Meta(gt=0, le=1e18)]
NotNegative: TypeAlias = Annotated[float, Meta(ge=0, le=1e18)]
LARGEST_USD: Final = 1e10
Usd: TypeAlias = Annotated[float, Meta(gt=0, le=LARGEST_USD)]
"""The value of one liquidation in US dollars: above ten billion it is a mistake of units."""
Rate: TypeAlias = Annotated[float, Meta(ge=-1, le=1)]
Number: TypeAlias = Annotated[int, Meta(ge=1, le=2**53)]
"""A running number: any reader of JSON knows it exactly, and it fits into a snapshot."""
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Side: TypeAlias = Literal["long", "short"]
Encoding: TypeAlias = Literal["utf-8", "base64"]
"""How bytes are written in a JSON string."""
Level: TypeAlias = Literal["NONE", "WATCH", "ALERT", "CRITICAL", "EXTREME"]
LEVELS: Final[tuple[Level, ...]] = ("NONE", "WATCH", "ALERT", "CRITICAL", "EXTREME")

LARGEST_WEIGHT: Final = 1e6

_SCALES: Final = tuple(10.0**digits for digits in range(10))
_SURE: Final = 1e12
"""A number below which multiplication is off by less than 0.0001."""
_CLEAR: Final = 0.499
"""A distance from a whole number at which that one is the nearest, however far multiplication is off."""


def micros(timestamp: float) -> int:
    """Return a wire timestamp (Unix seconds) as whole microseconds."""
    return round(timestamp * SECOND)


def millis(timestamp: float) -> int:
    """Return a wire timestamp (Unix seconds) as its record has it: in whole milliseconds, rounded down."""
    return micros(timestamp) // 1_000


def seconds(time: int) -> float:
    """Return whole microseconds as a wire timestamp (Unix seconds)."""
    return time / SECOND


def rounded(value: float, digits: int) -> float:
    """Return a value as `round` does, without a negative zero.

    `round` writes the value as text and reads that: four times the work of the whole number that is nearest
    to so many times the value, which decides too unless it is a close call or a huge value.
    """
    if not value:  # as most are of a quiet symbol
        return 0.0
    scale = _SCALES[digits]
    scaled = value * scale
    if abs(scaled) < _SURE:
        whole = round(scaled)
        if abs(scaled - whole) < _CLEAR:
            return whole / scale
    return round(value, digits) + 0.0


def rounded_if_known(value: float | None, digits: int) -> float | None:
    """Return a value as `rounded` does; None where there is none."""
    return None if value is None else rounded(value, digits)


@lru_cache(maxsize=65_536)
def normal_symbol(text: str) -> str:
    """Return a symbol in its normal form: no space around it, upper case.

    Raises
    ------
    ValueError
        The symbol is empty or longer than 64 characters, or it holds a space, a control character, a
        colon or a brace.
    """
    symbol = text.strip().upper()
    if not 1 <= len(symbol) <= 64:  # noqa: PLR2004
        raise ValueError("symbol: expected 1 to 64 characters")
    if any(character in ":{}" or character.isspace() or not character.isprintable() for character in symbol):
        raise ValueError("symbol: no spaces, control characters, colons or braces")
    return symbol


@lru_cache(maxsize=4_096)
def normal_exchange(text: str) -> str:
    """Return a venue's name in its normal form: no space around it, lower case."""
    exchange = text.strip().lower()
    if not exchange.isprintable() or not exchange:
        raise ValueError("exchange: expected printable characters")
    return exchange


class Liquidation(Struct, gc=False):
    """A forced close of a position; `side` is the position that was liquidated."""

    symbol: Name
    exchange: Name
    side: Side
    price: Positive
    quantity: Positive
    timestamp: Timestamp
    value_usd: Usd | None = None
    id: str | int | None = None

    def __post_init__(self) -> None:
        self.symbol = normal_symbol(self.symbol)
        self.exchange = normal_exchange(self.exchange)
        if self.value_usd is None:
            self.value_usd = self.price * self.quantity
            if not 0 < self.value_usd <= LARGEST_USD:
                raise ValueError("price x quantity: expected US dollars > 0 and <= 10 billion")


class Price(Struct, gc=False):
    """A price tick; `volume_usd` is what was traded since the last one."""

    symbol: Name
    price: Positive
    timestamp: Timestamp
    exchange: Name = "unknown"
    volume_usd: NotNegative | None = None
    spread_bps: NotNegative | None = None

    def __post_init__(self) -> None:
        self.symbol = normal_symbol(self.symbol)
        self.exchange = normal_exchange(self.exchange)


class OpenInterest(Struct, gc=False):
    """Open interest of one venue in US dollars."""

    symbol: Name
    open_interest_usd: NotNegative
    timestamp: Timestamp
    exchange: Name = "unknown"

    def __post_init__(self) -> None:
        self.symbol = normal_symbol(self.symbol)
        self.exchange = normal_exchange(self.exchange)


class Funding(Struct, gc=False):
    """Funding rate of one venue, a fraction per 8 hours (0.0001 = 0.01%)."""

    symbol: Name
    rate: Rate
    timestamp: Timestamp
    exchange: Name = "unknown"

    def __post_init__(self) -> None:
        self.symbol = normal_symbol(self.symbol)
        self.exchange = normal_exchange(self.exchange)


COMPONENTS: Final = ("velocity", "acceleration", "volume", "oi_change", "funding", "volatility")
"""What the cascade score is made of, in the order of its weights."""


def check_weights(weights: Mapping[str, float]) -> None:
    """Refuse weights that cannot be used; they need not sum to 1.

    Raises
    ------
    ValueError
        A component is missing or unknown, a weight is negative or not finite, or all are zero.
    """
    for name in (*COMPONENTS, *weights):
        if name not in COMPONENTS:
            raise ValueError(f"weights.{name}: unknown, expected {', '.join(COMPONENTS)}")
        if name not in weights:
            raise ValueError(f"weights.{name}: missing")
        if not 0 <= weights[name] <= LARGEST_WEIGHT:
            raise ValueError(f"weights.{name}: expected 0 to {LARGEST_WEIGHT:g}, got {weights[name]}")
    if not any(weights.values()):
        raise ValueError("weights: all are zero")


class Control(Struct):
    """A run-time setting, in force from `timestamp` on; `weights` of null goes back to the profile's."""

    setting: Literal["weights"]
    version: Number
    timestamp: Timestamp
    weights: dict[str, float] | None = None

    def __post_init__(self) -> None:
        if self.weights is not None:
            check_weights(self.weights)


class Context(Struct):
    """The market-wide context: how volatile and liquid the reference symbol is, and what follows from it."""

    symbol: str
    timestamp: Timestamp
    sequence: Number
    btc_price: float
    volatility_regime: str
    market_regime: str
    vol_risk_multiplier: float
    cascade_sensitivity: float
    velocity_threshold_multiplier: float
    warming: bool


class FeedStatus(Struct, rename={"since": "from", "until": "to"}):
    """A time without data of one of a venue's streams, in Unix seconds; `to` is null while it lasts.

    `timestamp` is when that was told. A stream that is back ends each of its gaps that began before `to`, so
    with `from` and `to` the same no more is said than that data come.
    """

    exchange: Name
    stream: Annotated[str, Meta(max_length=64)]
    since: Timestamp
    until: Timestamp | None
    reason: str
    timestamp: Timestamp | None = None

    def __post_init__(self) -> None:
        self.exchange = normal_exchange(self.exchange)
        if not (self.stream.isascii() and self.stream.isprintable()):
            raise ValueError("stream: expected printable ASCII")

    @property
    def told(self) -> float:
        """When it was told, or could have been at the earliest."""
        return self.timestamp or self.until or self.since


class Scores(Struct):
    """The six components, each 0 to 1."""

    velocity: float
    acceleration: float
    volume: float
    oi_change: float
    funding: float
    volatility: float


class Metrics(Struct):
    """What the components were made of; `no_data` names those that had nothing to go by."""

    velocity: float
    acceleration: float
    volume_usd: float
    oi_change_1m: float
    funding_rate: float
    jerk: float
    no_data: list[str]


class FeedGap(Struct, rename={"since": "from", "until": "to"}):
    """When a venue's data were not all there, in Unix seconds; `to` is null while that lasts."""

    exchange: str
    since: float
    until: float | None


class SignalContext(Struct):
    """The market around a signal; `timestamp` is that of the context, null when there is none.

    `feeds` are the venues that were silent within what the signal is made of; absent when there were none.
    """

    volatility_regime: str | None
    btc_price: float | None
    vol_risk_multiplier: float
    leading_exchange: str | None
    exchange_correlation: float
    market_regime: str | None
    cascade_sensitivity: float
    velocity_threshold_multiplier: float
    timestamp: float | None
    stale: bool
    warming: bool
    feeds: list[FeedGap] | UnsetType = UNSET


class SignalMeta(Struct):
    """How a signal came about.

    `contributions` are what each component adds to the probability, where the profile compares a symbol with
    its own past: their sum is the probability, unless all score 0.
    """

    processing_time_ms: float
    profile: str
    weights_version: int
    raw_score: float
    level_reason: Literal["probability", "floor"]
    event_timestamp: float
    contributions: Scores | UnsetType = UNSET


class Signal(Struct):
    """A cascade signal of one symbol. `timestamp` is the symbol's clock and never decreases."""

    symbol: str
    timestamp: float
    signal: Level
    signal_level: int
    probability: float
    scores: Scores
    metrics: Metrics
    context: SignalContext
    meta: SignalMeta
    id: str
    sequence: int
    schema_version: int = SCHEMA_VERSION


class VelocityUpdate(Struct):
    """Liquidations of one symbol by window; velocities are events a second."""

    symbol: str
    timestamp: float
    event_count_10s: int
    event_count_30s: int
    event_count_60s: int
    event_count_300s: int
    velocity_10s: float
    velocity_30s: float
    velocity_60s: float
    velocity_300s: float
    acceleration: float
    jerk: float
    volume_usd: float
    total_value_usd: float
    long_value_usd: float
    short_value_usd: float
    btc_price: float | None
    volatility_factor: float | None
    exchange_correlation: float
    leading_exchange: str | None
    late_events: int
    duplicates: int
    sequence: int


class PositioningUpdate(Struct):
    """Open interest and funding of one symbol over its venues; null where there is no data."""

    symbol: str
    timestamp: float
    open_interest_usd: float | None
    change_1m: float | None
    change_5m: float | None
    rate: float | None
    sequence: int


class VolatilityUpdate(Struct):
    """Volatility of one symbol in percent: a move over the span, not annualised."""

    symbol: str
    timestamp: float
    price: float
    volume_usd: float | None
    regime: str
    volatility_1m: float
    volatility_5m: float
    volatility_15m: float
    volatility_1h: float
    percentile_24h: float | None
    z_score: float | None
    dispersion: float
    cascade_risk_multiplier: float
    warming: bool
    sequence: int


class Thresholds(Struct):
    """What the regime does to the score; the volume multiplier is published, not used."""

    velocity_multiplier: float
    volume_multiplier: float
    cascade_sensitivity: float


class RegimeContext(Struct):
    """The market that the regime was read from; percentiles 0 to 100, null without history."""

    btc_price: float
    volume_24h_percentile: float | None
    volatility_24h_percentile: float | None


class Adjustments(Struct):
    """Multipliers for a trading strategy's own parameters."""

    position_size: float
    stop_loss: float
    take_profit: float
    entry_aggressiveness: float


class RegimeUpdate(Struct):
    """The market regime; `time_in_regime` in seconds."""

    timestamp: float
    market_regime: str
    regime_confidence: float
    volatility_regime: str
    liquidity_regime: str
    trend_regime: str
    regime_changed: bool
    time_in_regime: float
    thresholds: Thresholds
    context: RegimeContext
    adjustments: Adjustments
    symbol: str
    sequence: int


class DeadLetter(Struct):
    """A record, or one object of it, that could not be used, and why; `value` is cut at 64 KiB.

    Key, value and the headers' values are text where they are UTF-8 and base64 otherwise (the encodings say
    which), and null where the record had none: `codec.original` gives back the bytes.
    """

    topic: str
    partition: int
    offset: int
    stage: str
    reason: str
    key: str | None
    value: str | None
    encoding: Encoding
    headers: list[tuple[str, str | None]]
    index: int | None = None
    truncated: bool = False
    key_encoding: Encoding = "utf-8"
    header_encodings: list[Encoding] = []

    def __post_init__(self) -> None:
        missing = len(self.headers) - len(self.header_encodings)
        self.header_encodings += ["utf-8"] * missing


Incoming: TypeAlias = Liquidation | Price | OpenInterest | Funding | Control | FeedStatus | Context
Outgoing: TypeAlias = (
    Signal | VelocityUpdate | PositioningUpdate | VolatilityUpdate | RegimeUpdate | Context | DeadLetter
)
