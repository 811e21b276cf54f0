import json

import numpy as np

from pipeline.backtest.charts import as_json, price
from pipeline.backtest.evaluation import Series
from pipeline.backtest.labels import MINUTE, Recorded
from pipeline.backtest.report import SymbolReport


def test_a_month_of_minutes_is_drawn_with_fewer_points():
    count = 43_200
    opens = np.arange(count, dtype=np.int64) * MINUTE
    market = Recorded(np.zeros(0, np.int64), np.zeros(0), opens, np.arange(count, dtype=float))
    silent = Series(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))
    report = SymbolReport(days=30.0, minutes=count, base_rate=0.0, episodes=[], runs={}, gains={})
    drawn = json.loads(as_json(price(market, report, silent)))["data"][0]
    assert drawn["y"][:3] == [0.0, 2.0, 4.0]
    assert len(drawn["x"]) == len(drawn["y"]) == count / 2
