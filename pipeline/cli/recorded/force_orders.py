"""Raw captures of Binance's `forceOrder` stream: rows without a header.

symbol, side of the order, type, time in force, quantity, price, average price, status, last filled,
filled, trade time (ms), US dollars. The symbol mostly lacks its quote currency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

CELLS: Final = 12
SIDES: Final = {"SELL": "long", "BUY": "short"}
"""The order closes the position: selling liquidates a long."""
QUOTES: Final = ("USDT", "USDC", "BUSD", "FDUSD")
VENUE: Final = "binance"


def recognises(cells: Sequence[str]) -> bool:
    """Tell whether a row of a CSV file is one of a capture."""
    return len(cells) == CELLS and cells[1] in SIDES and cells[10].isdigit()


def liquidation(cells: Sequence[str]) -> dict[str, Any] | str:
    """Return the liquidation in a row, or why there is none.

    The price is the average that the order got, where it is known, else the order's own.
    """
    if len(cells) != CELLS:
        return f"garbled: expected {CELLS} columns, found {len(cells)}"
    symbol, side, _, _, quantity, price, average, _, _, _, trade_time, _ = cells
    if side not in SIDES:
        return "garbled: expected SELL or BUY in the second column"
    return {
        "symbol": full_symbol(symbol),
        "exchange": VENUE,
        "side": SIDES[side],
        "price": price if average == "None" else average,
        "quantity": quantity,
        "timestamp_ms": trade_time,
    }


def full_symbol(text: str) -> str:
    """Return a symbol with its quote currency: US dollars (USDT) where it names none.

    >>> full_symbol("BTC"), full_symbol("ETHUSDC"), full_symbol("BTC_250627")
    ('BTCUSDT', 'ETHUSDC', 'BTCUSDT_250627')
    """
    base, dash, expiry = text.partition("_")
    return f"{base if base.endswith(QUOTES) else base + QUOTES[0]}{dash}{expiry}"
