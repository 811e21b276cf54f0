from itertools import chain

import pytest

from pipeline import Engine, contract
from pipeline.cli.simulated.simulation import Market
from pipeline.messages import LEVELS

START = 1_760_000_000.0


def lived_through(seconds, seed):
    """Return the market, its signals and regimes since its start, and the number of dead letters."""
    market, engine = Market(seconds, seed), Engine()
    outputs = [
        (output, tick.time - START)
        for tick in chain(market.warm_up(START), market.play(START))
        for output in engine.process(tick.topic, tick.message)
    ]
    letters = sum(output.topic == contract.DEAD_LETTERS for output, _ in outputs)
    signals = [(s, o.body) for o, s in outputs if o.topic == contract.SIGNALS and s >= 0]
    regimes = [(s, o.body) for o, s in outputs if o.topic == contract.REGIME]
    return market, signals, regimes, letters


@pytest.mark.parametrize(("seconds", "seed"), [(20, 1), (20, 2), (20, 3), (30, 4), (60, 5)])
def test_cascade_takes_every_symbol_level_by_level_to_the_top_and_the_calm_alarms_nobody(seconds, seed):
    market, signals, regimes, letters = lived_through(seconds, seed)
    assert letters == 0
    calm = {signal.signal for second, signal in signals if market.phase_at(second).name == "calm"}
    assert calm == {"NONE"}
    for symbol in market.symbols:
        first = {
            level: next(second for second, s in signals if s.symbol == symbol and s.signal_level >= level)
            for level in range(1, len(LEVELS))
        }
        assert market.phases[1].begin < first[1] <= first[2] <= first[3] <= first[4] < market.seconds
        assert market.onset < first[3]
    before = [regime.volatility_regime for second, regime in regimes if second < market.onset]
    after = [regime.volatility_regime for second, regime in regimes if second >= market.onset]
    assert before[-1] in {"DORMANT", "LOW"}
    assert set(after) & {"NORMAL", "ELEVATED", "HIGH"}
    assert not any(signal.context.warming for _, signal in signals)


@pytest.mark.parametrize("seed", range(1, 4))
def test_at_the_default_length_every_level_comes_down_after_the_cascade(seed):
    market, signals, _, _ = lived_through(Market().seconds, seed)
    end = market.phases[2].end
    for symbol in market.symbols:
        during = [s.signal for second, s in signals if s.symbol == symbol and market.onset <= second < end]
        after = [s.signal for second, s in signals if s.symbol == symbol and second >= end]
        assert (during[-1], after[-1]) == ("EXTREME", "NONE")


def test_five_minutes_are_enough_to_come_back_to_none():
    market, signals, _, _ = lived_through(300, 1)
    last = {signal.symbol: signal.signal for _, signal in signals}
    assert last == dict.fromkeys(market.symbols, "NONE")
