"""Made markets for the tests of backtests: days of calm, and crashes with bursts of liquidations."""

import csv

import numpy as np

from pipeline.backtest.labels import DAY, MINUTE, Recorded

START = 1_700_006_400_000  # a midnight
BAR = 5 * MINUTE


def made_market(days=6, crashes=(3.4, 5.2), seed=1, bar=BAR):
    """Return bars with a crash of 3% at some days after the start, and what was liquidated."""
    random = np.random.default_rng(seed)
    opens = START + np.arange(0, days * DAY, bar)
    moves = random.normal(0, 0.0006 * (bar / BAR) ** 0.5, len(opens))
    times = np.sort(random.integers(START, START + days * DAY, 400 * days))
    for crash in crashes:
        at = int(crash * DAY) // bar
        moves[at : at + BAR * 3 // bar] -= 0.01 * bar / BAR
        begin = START + at * bar
        times = np.concatenate([times, np.sort(random.integers(begin, begin + 20 * MINUTE, 400))])
    times = np.sort(times)
    usd = np.round(random.lognormal(9, 1, len(times)), 2)
    return Recorded(times.astype(np.int64), usd, opens.astype(np.int64), 100.0 * np.exp(np.cumsum(moves)))


def write_files(market, folder, symbol="BTCUSDT"):
    """Write a market as recorded files; return the options that name them."""
    prices, liquidations = folder / f"{symbol}-bars.csv", folder / f"{symbol}-liquidations.csv"
    with prices.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("timestamp_ms", "symbol", "exchange", "close", "volume"))
        rows.writerows(
            (time, symbol, "binance", close, 1_000)
            for time, close in zip(market.opens_ms.tolist(), market.closes.tolist(), strict=True)
        )
    with liquidations.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("timestamp_ms", "symbol", "exchange", "side", "price", "quantity"))
        rows.writerows(
            (time, symbol, "bybit", "long", 100.0, round(usd / 100, 4))
            for time, usd in zip(market.liquidated_ms.tolist(), market.usd.tolist(), strict=True)
        )
    return ["--liquidations", str(liquidations), "--prices", str(prices)]
