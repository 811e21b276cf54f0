"""A feed of as many symbols as are asked for, all alike: the same every time."""

from __future__ import annotations

import random
from itertools import count
from typing import TYPE_CHECKING

from pipeline import contract
from pipeline.cli.simulated.scenario import Tick

if TYPE_CHECKING:
    from collections.abc import Iterator

START = 1_760_000_000.0
REFERENCE = "BTCUSDT"
VENUES = ["binance", "bybit", "okx"]


def feed(symbols: int, seed: int = 7) -> Iterator[Tick]:
    """Yield for ever, each second, a price of each symbol and as many liquidations, as they are merged."""
    chance = random.Random(seed)
    names = [REFERENCE, *(f"C{number}USDT" for number in range(symbols - 1))]
    for second in count():
        ticks = [
            make(name, round(START + second + chance.random(), 3), chance)
            for make, about in ((_price, names), (_liquidation, chance.choices(names, k=symbols)))
            for name in about
        ]
        yield from sorted(ticks, key=lambda tick: (tick.time, contract.INPUTS.index(tick.topic)))


def _price(symbol: str, time: float, chance: random.Random) -> Tick:
    price = 100 + chance.gauss(0, 0.1)
    message = {"symbol": symbol, "timestamp": time, "price": price, "exchange": VENUES[0]}
    return Tick(contract.PRICES, symbol, message, time)


def _liquidation(symbol: str, time: float, chance: random.Random) -> Tick:
    message = {
        "symbol": symbol,
        "timestamp": time,
        "exchange": chance.choice(VENUES),
        "side": chance.choice(["long", "short"]),
        "price": 100.0,
        "quantity": round(chance.lognormvariate(0, 1.5), 3) or 0.001,
    }
    return Tick(contract.LIQUIDATIONS, symbol, message, time)
