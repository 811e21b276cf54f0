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
    span = {"begin_ms": 0, "end_ms": count * MINUTE}
    report = SymbolReport(**span, days=30.0, minutes=count, base_rate=0.0, episodes=[], runs={}, gains={})
    drawn = json.loads(as_json(price(market, report, silent)))["data"][0]
    assert drawn["y"][:3] == [0.0, 2.0, 4.0]
    assert len(drawn["x"]) == len(drawn["y"]) == count / 2


def test_alerts_of_a_time_that_was_not_judged_are_not_drawn():
    opens = np.arange(1_000, dtype=np.int64) * MINUTE
    market = Recorded(np.zeros(0, np.int64), np.zeros(0), opens, np.ones(1_000))
    told = Series(np.array([10, 500, 990]) * MINUTE, np.full(3, 0.9), np.full(3, 4))
    span = {"begin_ms": 100 * MINUTE, "end_ms": 900 * MINUTE}
    report = SymbolReport(**span, days=0.5, minutes=800, base_rate=0.0, episodes=[], runs={}, gains={})
    line, *levels = price(market, report, told)["data"]
    assert (line["x"][0], line["x"][-1]) == ("1970-01-01T01:40:00.000", "1970-01-01T15:00:00.000")
    assert [level["name"] for level in levels] == ["ALERT", "CRITICAL", "EXTREME"]
    assert all(level["x"] == ["1970-01-01T08:20:00.000"] for level in levels)
