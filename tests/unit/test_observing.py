from backtest_cases import made_market, write_files

from pipeline import contract
from pipeline.backtest.labels import EventRule, label
from pipeline.cli.backtest_run import Sources, collect
from pipeline.cli.observing import TICK_MS, Market, observe
from pipeline.cli.recordings import Period
from pipeline.runtime.profiles import load_profile


def test_each_signal_is_observed_once_though_an_alert_goes_to_three_topics(tmp_path):
    _, liquidations, _, prices = write_files(made_market(days=3, crashes=(2.4,)), tmp_path)
    files = ((contract.LIQUIDATIONS, tmp_path / liquidations), (contract.PRICES, tmp_path / prices))
    sources = Sources(files, None, Period(), TICK_MS)
    recorded = collect(sources.open())["BTCUSDT"]
    market = Market("BTCUSDT", recorded, label(recorded, EventRule()), sources)
    series = observe(market, load_profile("adaptive")).series
    assert series.level.max() >= 2
    assert len(series.times_ms) == len(set(zip(series.times_ms, series.probability, strict=True)))
