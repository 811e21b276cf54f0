"""Names that other services rely on: topics, tables, Redis keys, channels and their lifetimes."""

from typing import Final

LIQUIDATIONS: Final = "liquidations"
PRICES: Final = "prices"
OPEN_INTEREST: Final = "open-interest"
FUNDING: Final = "funding"
CONTROL: Final = "control"
CONTEXT: Final = "cascade.context"
#: Times without data of a venue's feed, told by collectors: when it begins, and when it is over.
FEED_STATUS: Final = "feed-status"
#: The stream of each venue under which its collectors say that they run.
FEED_COLLECTOR: Final = "collector"
#: Seconds from one time that they say so to the next, and without it until none counts as running.
FEED_BEAT: Final = 60.0
FEED_UNHEARD: Final = 180.0

#: Topics read by the pipeline, in the order in which records of the same millisecond are applied.
#: The context is made of a price: where that lies it is known after funding and open interest, so everywhere.
INPUTS: Final = (CONTROL, FEED_STATUS, FUNDING, OPEN_INTEREST, CONTEXT, PRICES, LIQUIDATIONS)
#: Topics written by feeds, by symbol (the others are written by the pipeline, its operators and collectors).
FEEDS: Final = (LIQUIDATIONS, PRICES, OPEN_INTEREST, FUNDING)

SIGNALS: Final = "cascade.signals"
ALERTS: Final = "cascade.alerts"
CRITICAL: Final = "cascade.critical"
VELOCITY: Final = "cascade.velocity"
POSITIONING: Final = "cascade.positioning"
VOLATILITY: Final = "cascade.volatility"
REGIME: Final = "cascade.regime"
DEAD_LETTERS: Final = "cascade.dead-letters"

#: Topics that the projection reads to write Redis.
PROJECTED: Final = (SIGNALS, VELOCITY, POSITIONING, VOLATILITY, REGIME)
#: Every topic that the pipeline writes for others to read.
OUTPUTS: Final = (*PROJECTED, ALERTS, CRITICAL, DEAD_LETTERS)

#: State tables, downstream last: a checkpoint writes them in reverse.
TABLES: Final = ("positioning", "volatility", "regime", "velocity", "scoring")

CHANNEL_SIGNALS: Final = "cascade:signals"
CHANNEL_ALERTS: Final = "cascade:alerts"
CHANNEL_CRITICAL: Final = "cascade:critical"
CHANNELS: Final = (CHANNEL_SIGNALS, CHANNEL_ALERTS, CHANNEL_CRITICAL)

KEY_REGIME: Final = "regime:current"
KEY_REGIME_HISTORY: Final = "regime:history"
KEY_VOLATILITY: Final = "volatility:btc:current"
KEY_PRICE: Final = "btc:price:current"

#: Seconds that a key outlives its last update.
TTL_PROBABILITY: Final = 60
TTL_SIGNAL_HISTORY: Final = 7 * 86_400
TTL_REGIME: Final = 120
TTL_VELOCITY: Final = 600
TTL_VOLATILITY: Final = 120
TTL_PRICE: Final = 60
TTL_OPEN_INTEREST: Final = 6 * 60
TTL_FUNDING: Final = 9 * 3_600

#: Newest entries kept in the sorted sets.
SIGNAL_HISTORY_LENGTH: Final = 1_000
REGIME_HISTORY_LENGTH: Final = 100


def key_probability(symbol: str) -> str:
    """Return the key of a symbol's newest probability (JSON)."""
    return f"cascade:probability:{symbol}"


def key_signal_history(symbol: str) -> str:
    """Return the key of a symbol's signal history (sorted set by timestamp)."""
    return f"cascade:signals:history:{symbol}"


def key_velocity(symbol: str) -> str:
    """Return the key of a symbol's velocity (hash)."""
    return f"velocity:{symbol}:current"


def key_open_interest(symbol: str) -> str:
    """Return the key of a symbol's open interest change (JSON)."""
    return f"oi:{symbol}:change"


def key_funding(symbol: str) -> str:
    """Return the key of a symbol's funding rate (JSON)."""
    return f"funding:{symbol}:current"
