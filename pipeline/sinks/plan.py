"""What a batch of output records comes to in Redis: pure, no connection, the clock is handed in.

Every key lives as long as the contract says, counted from the record's own Kafka timestamp: what was
already old when it was read does not look fresh for another minute.
"""

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from pipeline import codec, contract
from pipeline.messages import (
    LEVELS,
    Level,
    PositioningUpdate,
    RegimeUpdate,
    Signal,
    VelocityUpdate,
    VolatilityUpdate,
)
from pipeline.signals.levels import ALERT, CRITICAL
from pipeline.sinks import scripts
from pipeline.sinks.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Callable

Record: TypeAlias = tuple[str, bytes | None, bytes | None, int]
"""Topic, key, value, and the record's Kafka timestamp in milliseconds."""
Argument: TypeAlias = str | bytes | int | float


class Rules(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is projected: the market's reference symbol, and which signals are published and remembered.

    A signal is published while its record is at most `fresh_seconds` old. That is never longer than its
    key lives, for the key is what tells a repeat.
    """

    reference: str = "BTCUSDT"
    history_level: Level = "ALERT"
    fresh_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.fresh_seconds <= contract.TTL_PROBABILITY:
            raise ValueError(f"fresh_seconds: expected more than 0 and at most {contract.TTL_PROBABILITY}")


class Call(Struct):
    """One call of a script on one key; `updates` is how many updates of the key it stands for."""

    script: Script
    key: str
    arguments: list[Argument]
    updates: int = 0


class Plan:
    """The script calls of one batch, gathered record by record.

    All signals of a symbol go into one call, in order. Of the other topics the newest update of a key is
    enough: the older ones of the same batch count as superseded.

    Attributes
    ----------
    late
        Signals that are too old to be published.
    expired
        Updates that are older than their key lives.
    unreadable
        Topic and error of values that are not the topic's message.

    """

    def __init__(self, rules: Rules, now: float) -> None:
        self._rules = rules
        self._now_ms = now * 1_000
        self._age_ms = 0.0
        self._calls: dict[str, Call] = {}
        self._history_level = LEVELS.index(rules.history_level)
        self.late = 0
        self.expired = 0
        self.unreadable: list[tuple[str, str]] = []
        self._handlers: dict[str, Callable[[Any, bytes], None]] = {
            contract.SIGNALS: self._signal,
            contract.VELOCITY: self._velocity,
            contract.POSITIONING: self._positioning,
            contract.VOLATILITY: self._volatility,
            contract.REGIME: self._regime,
        }

    @property
    def calls(self) -> list[Call]:
        """The calls, in the order in which their keys came up."""
        return list(self._calls.values())

    def add(self, record: Record) -> None:
        """Take in one record."""
        topic, _, value, time_ms = record
        content = value or b""
        try:
            message = codec.decode_projected[topic](content)
        except codec.UNREADABLE as error:
            self.unreadable.append((topic, str(error)))
            return
        self._age_ms = max(0.0, self._now_ms - time_ms)
        self._handlers[topic](message, content)

    def _signal(self, signal: Signal, value: bytes) -> None:
        level = LEVELS.index(signal.signal)
        if level >= self._history_level:
            self._remember(
                contract.key_signal_history(signal.symbol),
                signal,
                value,
                length=contract.SIGNAL_HISTORY_LENGTH,
                ttl=contract.TTL_SIGNAL_HISTORY,
            )
        fresh = self._age_ms <= self._rules.fresh_seconds * 1_000
        self.late += not fresh
        life_ms = self._life_ms(contract.TTL_PROBABILITY)
        if not life_ms:
            return
        call = self._call(scripts.SIGNALS, contract.key_probability(signal.symbol), contract.CHANNELS)
        call.updates += 1
        call.arguments += (signal.timestamp, signal.sequence, life_ms, _probability(signal))
        call.arguments += (_channels(level), value) if fresh else (0, b"")

    def _velocity(self, update: VelocityUpdate, _: bytes) -> None:
        self._keep(
            scripts.FIELDS,
            contract.key_velocity(update.symbol),
            update,
            _fields(update),
            contract.TTL_VELOCITY,
        )

    def _positioning(self, update: PositioningUpdate, _: bytes) -> None:
        symbol = update.symbol
        change = _without(update, "rate")
        rate = _without(update, "open_interest_usd", "change_1m", "change_5m")
        self._keep_json(contract.key_open_interest(symbol), update, change, contract.TTL_OPEN_INTEREST)
        self._keep_json(contract.key_funding(symbol), update, rate, contract.TTL_FUNDING)

    def _volatility(self, update: VolatilityUpdate, _: bytes) -> None:
        if update.symbol != self._rules.reference:
            return
        price = {
            "price": update.price,
            "timestamp": update.timestamp,
            "volume": update.volume_usd,
            "sequence": update.sequence,
        }
        volatility = _without(update, "price", "volume_usd") | {"btc_price": update.price}
        self._keep_json(contract.KEY_PRICE, update, price, contract.TTL_PRICE)
        self._keep_json(contract.KEY_VOLATILITY, update, volatility, contract.TTL_VOLATILITY)

    def _regime(self, update: RegimeUpdate, value: bytes) -> None:
        if update.symbol != self._rules.reference:
            return
        self._keep(scripts.LATEST, contract.KEY_REGIME, update, [value], contract.TTL_REGIME)
        if update.regime_changed:
            length = contract.REGIME_HISTORY_LENGTH
            self._remember(contract.KEY_REGIME_HISTORY, update, value, length=length, ttl=0)

    def _life_ms(self, ttl: int) -> int:
        life_ms = int(ttl * 1_000 - self._age_ms)
        if life_ms <= 0:
            self.expired += 1
            return 0
        return life_ms

    def _call(self, script: Script, key: str, arguments: tuple[Argument, ...]) -> Call:
        call = self._calls.get(key)
        if call is None:
            call = self._calls[key] = Call(script, key, list(arguments))
        return call

    def _keep_json(self, key: str, update: Any, content: dict[str, Any], ttl: int) -> None:
        self._keep(scripts.LATEST, key, update, [codec.encode(content)], ttl)

    def _keep(self, script: Script, key: str, update: Any, content: list[Argument], ttl: int) -> None:
        life_ms = self._life_ms(ttl)
        if not life_ms:
            return
        order = [update.timestamp, update.sequence]
        call = self._call(script, key, (-math.inf,))
        call.updates += 1
        if order > call.arguments[:2]:
            call.arguments = [*order, life_ms, *content]

    def _remember(self, key: str, message: Any, value: bytes, *, length: int, ttl: int) -> None:
        if ttl and not self._life_ms(ttl):
            return
        call = self._call(scripts.HISTORY, key, (length, ttl))
        call.arguments += (message.timestamp, message.sequence, value)


def _channels(level: int) -> int:
    return 1 + (level >= ALERT) + (level >= CRITICAL)


def _probability(signal: Signal) -> bytes:
    return codec.encode(
        {
            "probability": signal.probability,
            "signal": signal.signal,
            "timestamp": signal.timestamp,
            "sequence": signal.sequence,
        }
    )


def _fields(update: VelocityUpdate) -> list[Argument]:
    return [part for field in codec.to_dict(update).items() if field[1] is not None for part in field]


def _without(update: PositioningUpdate | VolatilityUpdate, *fields: str) -> dict[str, Any]:
    return {name: value for name, value in codec.to_dict(update).items() if name not in fields}
