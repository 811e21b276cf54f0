import csv
import json
from codecs import BOM_UTF8
from collections import Counter
from decimal import Decimal

import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline import contract
from pipeline.cli.recorded.recordings import Period, Recording, Recordings
from pipeline.cli.recorded.rows import UnusableFileError, open_rows
from pipeline.messages import Liquidation

T = 1_700_000_000_000

LIQUIDATION = {"symbol": "BTCUSDT", "exchange": "bybit", "side": "long", "price": 50_000.0, "quantity": 0.5}


def write(path, rows):
    columns = list(dict.fromkeys(name for row in rows for name in row))
    match path.suffix:
        case ".parquet":
            parquet.write_table(pa.Table.from_pylist([dict.fromkeys(columns) | row for row in rows]), path)
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(rows)
    return path


def read(*files, symbol=None, period=Period()):  # noqa: B008
    recordings = Recordings([Recording(topic, path, symbol) for topic, path in files], period)
    return list(recordings), recordings


@pytest.fixture(params=[".parquet", ".csv", ".jsonl"])
def suffix(request):
    return request.param


def test_liquidations_are_read_from_every_format(tmp_path, suffix):
    rows = [{"timestamp_ms": T + 999, **LIQUIDATION, "bankruptcy_price": 1.0, "id": "a7"}]
    found, recordings = read((contract.LIQUIDATIONS, write(tmp_path / f"x{suffix}", rows)))
    (recorded,) = found
    assert recorded.time_ms == T + 999
    assert recorded.message == Liquidation(**LIQUIDATION, timestamp=T / 1000 + 0.999, id="a7")
    assert recorded.message.value_usd == 25_000.0
    assert (recordings.size, recordings.done, recordings.refused) == (1, 1, {})


def test_timestamp_in_seconds_is_as_good(tmp_path, suffix):
    path = write(tmp_path / f"x{suffix}", [{"timestamp": T / 1000 + 0.25, "symbol": "ETHUSDT", "rate": 1e-4}])
    ((time_ms, topic, message),), _ = read((contract.FUNDING, path))
    assert (time_ms, topic, message.rate, message.timestamp) == (T + 250, "funding", 1e-4, T / 1000 + 0.25)


def test_bar_is_one_price_at_its_close_with_its_volume_in_dollars(tmp_path, suffix):
    bars = [
        {
            "timestamp_ms": T + minute * 60_000,
            "open": 9.0,
            "high": 12.0,
            "low": 8.0,
            "close": 10.0,
            "volume": 3.0,
        }
        for minute in (0, 1, 2, 40)
    ]
    found, _ = read((contract.PRICES, write(tmp_path / f"x{suffix}", bars)), symbol="BTCUSDT")
    assert [recorded.time_ms - T for recorded in found] == [60_000, 120_000, 180_000, 41 * 60_000]
    assert {(r.message.price, r.message.volume_usd, r.message.symbol) for r in found} == {
        (10.0, 30.0, "BTCUSDT")
    }


def test_bars_of_each_symbol_and_venue_have_a_length_of_their_own(tmp_path, suffix):
    """One length for all would tell the closes of longer bars before they happened."""

    def bars(symbol, exchange, minutes):
        return [
            {
                "timestamp_ms": T + minute * 60_000,
                "symbol": symbol,
                "exchange": exchange,
                "close": 1.0 + minute,
            }
            for minute in minutes
        ]

    rows = [
        *bars("ETHUSDT", "okx", (0, 5, 10)),
        *bars("BTCUSDT", "okx", range(12)),
        *bars("BTCUSDT", "bybit", (0, 3, 6)),
        *bars("NEWUSDT", "okx", (6,)),  # one of which nobody knows how long it is
    ]
    rows.sort(key=lambda row: row["timestamp_ms"])
    found, _ = read((contract.PRICES, write(tmp_path / f"x{suffix}", rows)))
    closes = {}
    for recorded in found:
        series = recorded.message.symbol, recorded.message.exchange
        closes.setdefault(series, []).append((recorded.time_ms - T) // 60_000)
    assert closes["ETHUSDT", "okx"] == [5, 10, 15]
    assert closes["BTCUSDT", "okx"] == list(range(1, 13))
    assert closes["BTCUSDT", "bybit"] == [3, 6, 9]
    assert closes["NEWUSDT", "okx"] == [11]
    assert [recorded.time_ms for recorded in found] == sorted(recorded.time_ms for recorded in found)


def test_a_bar_without_a_time_that_can_be_read_is_not_taken_for_one_price_at_its_opening(tmp_path, suffix):
    rows = [{"timestamp_ms": "?", "timestamp": T / 1000 + 60 * minute, "close": 10.0} for minute in range(3)]
    found, recordings = read((contract.PRICES, write(tmp_path / f"x{suffix}", rows)), symbol="X")
    assert (found, list(recordings.refused.values())) == ([], [3])


def test_single_bar_has_no_length_and_its_file_is_refused(tmp_path, suffix):
    path = write(tmp_path / f"x{suffix}", [{"timestamp_ms": T, "close": 10.0, "volume": 3.0}])
    with pytest.raises(UnusableFileError, match="a single bar"):
        Recording(contract.PRICES, path, "BTCUSDT")


def test_rows_that_nobody_says_whose_they_are_are_refused(tmp_path, suffix):
    path = write(tmp_path / f"x{suffix}", [{"timestamp_ms": T, "price": 10.0}])
    with pytest.raises(UnusableFileError, match=r"no column `symbol`: say SYMBOL=\S+, or --symbol"):
        Recording(contract.PRICES, path)


def test_trade_has_its_value_as_volume_and_a_tick_keeps_its_own(tmp_path, suffix):
    rows = [
        {"timestamp_ms": T, "price": 10.0, "quantity": 4.0},
        {"timestamp_ms": T, "price": 10.0, "volume_usd": 7.0, "spread_bps": 2.5},
    ]
    found, _ = read((contract.PRICES, write(tmp_path / f"x{suffix}", rows)), symbol="X")
    assert [(r.message.volume_usd, r.message.spread_bps) for r in found] == [(40.0, None), (7.0, 2.5)]


def test_open_interest_is_read_in_dollars(tmp_path, suffix):
    row = {"timestamp_ms": T, "open_interest": 2.0, "open_interest_usd": 5e9, "exchange": "okx"}
    ((_, _, message),), _ = read(
        (contract.OPEN_INTEREST, write(tmp_path / f"x{suffix}", [row])), symbol="btcusdt"
    )
    assert (message.symbol, message.exchange, message.open_interest_usd) == ("BTCUSDT", "okx", 5e9)


def test_symbol_of_a_row_comes_before_the_one_that_was_asked_for(tmp_path, suffix):
    rows = [{"timestamp_ms": T, "symbol": "ETHUSDT", "rate": 0.1}]
    recording = Recording(contract.FUNDING, write(tmp_path / f"x{suffix}", rows), "BTCUSDT")
    assert [r.message.symbol for r in Recordings([recording])] == ["ETHUSDT"]


def test_what_overlapping_files_share_counts_once(tmp_path, suffix):
    """What one file holds twice stays: the engine says what is a repeat."""
    one, two, three = ({"timestamp_ms": T + moment, **LIQUIDATION} for moment in (0, 0, 1_000))
    other = one | {"exchange": "okx"}
    first = write(tmp_path / f"first{suffix}", [one, two])
    second = write(tmp_path / f"second{suffix}", [one, other, three])
    found, recordings = read((contract.LIQUIDATIONS, first), (contract.LIQUIDATIONS, second))
    venues = [(item.time_ms - T, item.message.exchange) for item in found]
    assert venues == [(0, "bybit"), (0, "bybit"), (0, "okx"), (1_000, "bybit")]
    assert recordings.refused == {(second.name, "repeats a row of an overlapping file"): 1}
    assert recordings.done == recordings.size == 5


def test_every_unusable_row_is_counted_with_its_reason(tmp_path, suffix):
    good = {"timestamp_ms": T, **LIQUIDATION}
    rows = [
        good,
        good | {"side": "buy"},
        good | {"price": -1.0},
        good | {"timestamp_ms": None},
        good | {"symbol": "BTC:USDT"},
        good | {"price": None},
        good | {"timestamp_ms": T * 1000},
    ]
    found, recordings = read((contract.LIQUIDATIONS, write(tmp_path / f"x{suffix}", rows)))
    assert len(found) == 1
    reasons = Counter(reason.partition(":")[0] for _, reason in recordings.refused)
    missing = {f"Object missing required field `{name}`": 1 for name in ("timestamp", "price")}
    assert reasons == Counter({"side": 1, "price": 1, "symbol": 1, "timestamp_ms": 1, **missing})
    assert recordings.done == recordings.size == 7
    assert {name for name, _ in recordings.refused} == {f"x{suffix}"}


def test_text_in_the_place_of_a_number_is_named(tmp_path):
    path = tmp_path / "x.csv"
    rows = (f"{T},1,1", f"{T + 60_000},many,1", f"{T + 120_000},1,few", "soon,1,1")
    path.write_text("\n".join(("timestamp_ms,close,volume", *rows)))
    _, recordings = read((contract.PRICES, path), symbol="X")
    reasons = [reason for _, reason in recordings.refused]
    assert any(reason.startswith("price: ") for reason in reasons)
    assert any(reason.startswith("volume_usd: ") for reason in reasons)
    assert recordings.done == recordings.size == 4


@pytest.mark.parametrize(
    ("column", "moment", "unit"),
    [
        ("timestamp_ms", T // 1_000, "milliseconds"),
        ("timestamp_ms", "2023-11-14T22:13:20Z", "milliseconds"),
        ("timestamp", T, "seconds"),
        ("timestamp", "2023-11-14 22:13:20", "seconds"),
    ],
)
def test_a_time_in_another_unit_is_named_with_the_one_that_is_meant(tmp_path, suffix, column, moment, unit):
    rows = [{column: moment, "close": 1.0, "price": 1.0}]
    found, recordings = read((contract.PRICES, write(tmp_path / f"x{suffix}", rows)), symbol="X")
    assert found == []
    ((_, reason),) = recordings.refused
    assert reason == f"{column}: expected {unit} since 1970, between 2000 and 2100"


def test_a_row_whose_time_is_no_number_that_fits_costs_nothing_but_itself(tmp_path):
    path = tmp_path / "x.jsonl"
    times = [T + 2, 10**400, T + 1, 10**30, 0]
    path.write_text("".join(f'{{"timestamp_ms": {time}, "symbol": "X", "rate": 0.1}}\n' for time in times))
    found, recordings = read((contract.FUNDING, path))
    assert [recorded.time_ms - T for recorded in found] == [1, 2]
    assert recordings.files[0].begin_ms == T + 1
    assert list(recordings.refused.values()) == [3]


def test_times_that_are_no_number_do_not_hide_that_rows_are_out_of_order(tmp_path):
    times = [5, float("nan"), 1, float("nan"), 9]
    rows = [{"timestamp_ms": T + at, "symbol": "X", "rate": 0.1} for at in times]
    found, recordings = read((contract.FUNDING, write(tmp_path / "x.parquet", rows)))
    assert [recorded.time_ms - T for recorded in found] == [1, 5, 9]
    assert list(recordings.refused.values()) == [2]


def test_bars_whose_times_cannot_be_read_are_refused_for_that(tmp_path, suffix):
    rows = [{"timestamp_ms": f"2023-11-14T22:1{minute}:00Z", "close": 1.0} for minute in range(3)]
    found, recordings = read((contract.PRICES, write(tmp_path / f"x{suffix}", rows)), symbol="X")
    assert (found, list(recordings.refused.values())) == ([], [3])
    assert "timestamp_ms: expected milliseconds" in recordings.complaints[0]


def test_bars_without_any_time_are_refused_for_that(tmp_path, suffix):
    found, recordings = read((contract.PRICES, write(tmp_path / f"x{suffix}", [{"close": 1.0}])), symbol="X")
    assert found == []
    assert recordings.complaints == [
        f"refused: x{suffix}: Object missing required field `timestamp`: 1",
    ]


def test_lines_that_are_no_json_objects_are_counted_and_empty_ones_are_none(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(f'\n{{"timestamp_ms": {T}, "rate": 0.1, "symbol": "X"}}\n[1]\n{{"a": \n\n')
    found, recordings = read((contract.FUNDING, path))
    assert len(found) == 1
    assert recordings.refused == {("x.jsonl", "not a JSON object (NaN and Infinity are no JSON)"): 2}
    assert recordings.size == 3


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_byte_order_mark_costs_nothing(tmp_path, suffix):
    path = write(tmp_path / f"x{suffix}", [{"timestamp_ms": T, "symbol": "X", "rate": 0.1}])
    path.write_bytes(BOM_UTF8 + path.read_bytes())
    found, recordings = read((contract.FUNDING, path))
    assert len(found) == recordings.size == 1


def test_rows_outside_the_period_are_counted(tmp_path, suffix):
    rows = [{"timestamp_ms": T + second * 1000, "symbol": "X", "rate": 0.1} for second in range(10)]
    path = write(tmp_path / f"x{suffix}", rows)
    found, recordings = read((contract.FUNDING, path), period=Period(T + 2_000, T + 5_000))
    assert [(recorded.time_ms - T) // 1000 for recorded in found] == [2, 3, 4]
    assert {reason: count for (_, reason), count in recordings.refused.items()} == {
        "before the time asked for": 2,
        "after the time asked for": 5,
    }


def test_files_are_merged_by_time_then_topic_then_as_they_were_named(tmp_path, suffix):
    rates = write(tmp_path / f"rates{suffix}", [{"timestamp_ms": T + at, "rate": 0.1} for at in (0, 5)])
    first = write(tmp_path / f"a{suffix}", [{"timestamp_ms": T + at, "price": 1.0} for at in (0, 5)])
    second = write(tmp_path / f"b{suffix}", [{"timestamp_ms": T + at, "price": 2.0} for at in (0, 3)])
    orders = write(tmp_path / f"c{suffix}", [{"timestamp_ms": T, **LIQUIDATION}])
    found, _ = read(
        (contract.LIQUIDATIONS, orders),
        (contract.PRICES, first),
        (contract.PRICES, second),
        (contract.FUNDING, rates),
        symbol="BTCUSDT",
    )
    shown = [(r.time_ms - T, r.topic, getattr(r.message, "price", None)) for r in found]
    assert shown == [
        (0, "funding", None),
        (0, "prices", 1.0),
        (0, "prices", 2.0),
        (0, "liquidations", 50_000.0),
        (3, "prices", 2.0),
        (5, "funding", None),
        (5, "prices", 1.0),
    ]


def test_rows_out_of_order_are_put_in_order(tmp_path, suffix):
    rows = [{"timestamp_ms": T + at, "symbol": "X", "rate": at / 100} for at in (5, 1, 9, 1)]
    found, _ = read((contract.FUNDING, write(tmp_path / f"x{suffix}", rows)))
    assert [recorded.time_ms - T for recorded in found] == [1, 1, 5, 9]


def test_file_without_rows_gives_nothing(tmp_path, suffix):
    path = write(tmp_path / f"x{suffix}", [{"timestamp_ms": T, "rate": 0.1}])
    if suffix == ".parquet":
        parquet.write_table(parquet.read_table(path).slice(1), path)
    else:
        path.write_text("timestamp_ms,rate\n" if suffix == ".csv" else "")
    found, recordings = read((contract.FUNDING, path))
    assert (found, recordings.size, recordings.files[0].begin_ms) == ([], 0, None)


def test_decimals_of_parquet_are_numbers(tmp_path):
    row = {"timestamp_ms": T, **LIQUIDATION, "price": Decimal("50000.25")}
    (recorded,), _ = read((contract.LIQUIDATIONS, write(tmp_path / "x.parquet", [row])))
    assert recorded.message.price == 50_000.25


def test_a_null_says_nothing_in_every_format(tmp_path, suffix):
    bar = {"timestamp_ms": T, "symbol": "X", "exchange": None, "price": None, "close": 5.0, "volume": 2.0}
    rows = [bar | {"volume_usd": None}, bar | {"timestamp_ms": T + 60_000}]
    found, recordings = read((contract.PRICES, write(tmp_path / f"x{suffix}", rows)))
    assert [(each.time_ms - T, each.message.price) for each in found] == [(60_000, 5.0), (120_000, 5.0)]
    assert [each.message.volume_usd for each in found] == [10.0, 10.0]
    assert recordings.complaints == []


def test_texts_of_parquet_that_are_no_utf_8_are_refused_by_name(tmp_path):
    path = tmp_path / "x.parquet"
    texts = pa.array([b"BTC\xdc"]).view(pa.string())
    parquet.write_table(pa.table({"timestamp_ms": [T], "symbol": texts, "rate": [0.1]}), path)
    with pytest.raises(UnusableFileError, match=r"x\.parquet: .*UTF8"):
        Recording(contract.FUNDING, path)


def test_dates_of_parquet_are_refused_like_any_time_in_another_unit(tmp_path):
    """None is made of them: Python has no nanoseconds, and pandas, which has, comes with no extra."""
    path = tmp_path / "x.parquet"
    dates = pa.array([T * 1_000_000 + 1], pa.timestamp("ns"))
    parquet.write_table(pa.table({"timestamp": dates, "symbol": ["X"], "rate": [0.1]}), path)
    assert [row["timestamp"] for row in open_rows(path).rows()] == [T * 1_000_000 + 1]
    _, recordings = read((contract.FUNDING, path))
    why = "timestamp: expected seconds since 1970, between 2000 and 2100"
    assert recordings.complaints == [f"refused: x.parquet: {why}: 1"]


def test_bytes_of_parquet_are_texts(tmp_path):
    """As some programs write them: without saying that the bytes are UTF-8."""
    row = {"timestamp_ms": T, **LIQUIDATION, "symbol": b"BTCUSDT", "side": b"long", "price": b"50000.25"}
    path = write(tmp_path / "x.parquet", [row, row | {"symbol": b"BTC\xdc"}])
    (recorded,), recordings = read((contract.LIQUIDATIONS, path))
    message = recorded.message
    assert (message.symbol, message.side, message.price) == ("BTCUSDT", "long", 50_000.25)
    assert recordings.complaints == ["refused: x.parquet: not UTF-8: 1"]


def test_csv_row_with_more_cells_than_the_header_is_garbled(tmp_path):
    """A comma in a number, `1,000`, would move all that follows into the wrong columns."""
    path = tmp_path / "x.csv"
    path.write_text(f",timestamp_ms,symbol,price\n1,{T},X,1,000\n2,{T},X,1000,\n")
    found, recordings = read((contract.PRICES, path))
    assert [recorded.message.price for recorded in found] == [1_000]
    assert recordings.complaints == ["refused: x.csv: garbled: more cells than the header has: 1"]


def test_what_a_file_holds_is_not_told_by_its_first_row(tmp_path, suffix):
    rest = {"timestamp_ms": T + 9, "symbol": "X", "price": 7.0, "close": 7.0}
    path = write(tmp_path / f"x{suffix}", [{"timestamp_ms": T, "close": 5.0}, rest])
    found, recordings = read((contract.PRICES, path))
    assert [(recorded.time_ms - T, recorded.message.price) for recorded in found] == [(9, 7.0)]
    assert recordings.done == recordings.size == 2


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_names_that_are_no_utf_8_are_refused(tmp_path, suffix):
    path = write(tmp_path / f"x{suffix}", [{"timestamp_ms": T, "symbol": "BTC_", "rate": 0.1}] * 2)
    path.write_bytes(path.read_bytes().replace(b"BTC_", b"BTC\xdc", 1))
    found, recordings = read((contract.FUNDING, path))
    assert [recorded.message.symbol for recorded in found] == ["BTC_"]
    assert recordings.done == recordings.size == 2


FORCE_ORDER = "BTC,SELL,LIMIT,IOC,0.5,60000,60100,FILLED,0.5,0.5,{},30000\n"


@pytest.mark.parametrize(
    ("begin", "row"),
    [("symbol,rate,timestamp_ms\n", f"X,0.001,{T}\n"), (FORCE_ORDER.format(T), FORCE_ORDER.format(T + 1))],
    ids=["header", "capture"],
)
@pytest.mark.parametrize("endless", ["x" * 200_000, '"' + "x\n" * 100_000], ids=["long", "quote"])
def test_a_csv_row_without_an_end_is_counted_and_reading_goes_on(tmp_path, begin, row, endless):
    path = tmp_path / "x.csv"
    path.write_text(f"{begin}{endless}\n{row}")
    topic = contract.FUNDING if "rate" in begin else contract.LIQUIDATIONS
    found, recordings = read((topic, path))
    assert found[-1].time_ms in {T, T + 1}
    assert recordings.done == recordings.size
    assert recordings.refused["x.csv", "garbled: field larger than field limit (131072)"] == 1


def test_a_quote_that_is_not_closed_is_told(tmp_path):
    """What comes after it, up to the next quote or the end, is in its cell."""
    path = tmp_path / "x.csv"
    rows = [f"{T},BTCUSDT,0.1,", f'{T},"BTCUSDT,0.1,', f"{T},BTCUSDT,0.1,"]
    path.write_text("\n".join(["timestamp_ms,symbol,rate,note", *rows]))
    found, recordings = read((contract.FUNDING, path))
    assert len(found) == 1
    assert recordings.complaints == ["refused: x.csv: garbled: unexpected end of data: 1"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("x.txt", "expected .parquet"), ("none.csv", "no such file"), ("folder.csv", "not a file")],
)
def test_files_that_cannot_be_read_are_refused(tmp_path, name, message):
    (tmp_path / "x.txt").touch()
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UnusableFileError, match=message):
        Recording(contract.PRICES, tmp_path / name)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_file_that_breaks_off_is_refused_by_name(tmp_path, suffix):
    """As one does that this user may not read; the memory of a process has nothing at its beginning."""
    path = tmp_path / f"x{suffix}"
    path.symlink_to("/proc/self/mem")
    with pytest.raises(UnusableFileError, match=rf"x\{suffix}: Input/output error"):
        Recording(contract.PRICES, path)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_file_none_of_whose_columns_mean_something_is_refused(tmp_path, separator):
    path = tmp_path / "x.csv"
    path.write_text(f"timestamp_ms,price\n{T},1\n".replace(",", separator))
    with pytest.raises(UnusableFileError, match=r"x\.csv: no row holds any of timestamp_ms, .*, rate$"):
        Recording(contract.PRICES, path, "BTCUSDT")


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("x.csv", f"timestamp_ms,price\n{T},1,000\n", "garbled: more cells than the header has"),
        ("x.jsonl", f'{{"timestamp_ms": {T}, "price": NaN}}\n', "not a JSON object .*"),
    ],
)
def test_a_file_without_a_readable_row_is_refused_with_the_reason(tmp_path, name, text, why):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UnusableFileError, match=rf"{name}: no row holds any of timestamp_ms, .* \({why}\)$"):
        Recording(contract.PRICES, path, "BTCUSDT")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_with_two_columns_of_one_name_is_refused(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    if suffix == ".csv":
        path.write_text(f"\ufefftimestamp_ms,price,note,note,price\n{T},1,a,b,2\n")
    else:
        columns = [pa.array([value]) for value in (T, 1.0, "a", "b", 2.0)]
        parquet.write_table(pa.table(columns, names=["timestamp_ms", "price", "note", "note", "price"]), path)
    with pytest.raises(UnusableFileError, match=rf"x\{suffix}: several columns are called price$"):
        Recording(contract.PRICES, path, "BTCUSDT")


@pytest.mark.parametrize("length", [0, 4, 100])
def test_a_broken_parquet_file_is_refused_by_name(tmp_path, length):
    path = write(tmp_path / "x.parquet", [{"timestamp_ms": T, "symbol": "X", "price": 10.0}])
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UnusableFileError, match=r"x\.parquet: "):
        Recording(contract.PRICES, path)


CAPTURE = """\
<generator object at 0x1>,175.5
Hello BotADA,SELL,LIMIT,IOC,17616,0.55660,None,FILLED,3470,17616,1750712378119,9805.0656
BTC,SELL,LIMIT,IOC,0.5,60000,60100,FILLED,0.5,0.5,1750712378119,30000
ETHUSDC,BUY,LIMIT,IOC,2,3000,None,FILLED,2,2,1750712378120,6000
BTC_250627,BUY,LIMIT,IOC,2,3000,None,FILLED,2,2,1750712378120,6000
BTC,SELL,LIMIT,IOC,0.5,60000,60100,FILLED,0.5,0.5,1750712378119,30000
BTC,HOLD,LIMIT,IOC,0.5,60000,60100,FILLED,0.5,0.5,1750712378119,30000
"""


def test_raw_capture_gives_the_position_that_was_liquidated_at_the_price_that_was_paid(tmp_path):
    path = tmp_path / "raw.csv"
    path.write_text(CAPTURE)
    found, recordings = read((contract.LIQUIDATIONS, path))
    assert [(r.message.symbol, r.message.side, r.message.price, r.message.quantity) for r in found] == [
        ("BTCUSDT", "long", 60_100, 0.5),
        ("ETHUSDC", "short", 3_000, 2),
        ("BTCUSDT_250627", "short", 3_000, 2),
    ]
    assert found[0].message.exchange == "binance"
    assert recordings.refused == {
        ("raw.csv", "garbled: expected 12 columns, found 2"): 1,
        ("raw.csv", "symbol: no spaces, control characters, colons or braces"): 1,
        ("raw.csv", "repeats a row of this capture or of an overlapping one"): 1,
        ("raw.csv", "garbled: expected SELL or BUY in the second column"): 1,
    }


def test_a_raw_capture_may_begin_with_a_mark_of_its_encoding(tmp_path):
    path = tmp_path / "raw.csv"
    path.write_text("\ufeff" + FORCE_ORDER.format(T))
    (recorded,), _ = read((contract.LIQUIDATIONS, path))
    assert recorded.message.symbol == "BTCUSDT"


def test_rows_of_overlapping_captures_count_once(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(CAPTURE)
    files = [(contract.LIQUIDATIONS, tmp_path / name) for name in ("a.csv", "b.csv")]
    found, recordings = read(*files)
    assert len(found) == 3
    assert recordings.done == recordings.size == 14


@pytest.mark.parametrize("bars", [False, True])
@pytest.mark.parametrize("times", ["timestamp_ms", "timestamp", "neither"])
def test_a_part_of_a_file_is_what_the_whole_has_of_that_time(tmp_path, suffix, bars, times):
    """Rows of other times are counted and no more looked at; those without a time are told of as such."""
    scale = 1 if times == "timestamp_ms" else 1_000
    rows = [
        {"close" if bars else "price": 10.0 if minute % 4 else -1.0, "symbol": "BTCUSDT"}
        | ({} if minute % 7 == 3 or times == "neither" else {times: (T + minute * 60_000) / scale})
        for minute in (*range(20), 15, 9)
    ]
    path = write(tmp_path / f"x{suffix}", rows)
    period = Period(T + 5 * 60_000, T + 16 * 60_000)
    whole, all_rows = read((contract.PRICES, path))
    part, some_rows = read((contract.PRICES, path), period=period)
    assert part == [each for each in whole if period.objection(each.time_ms) is None]
    assert len(part) < len(whole) or times == "neither"
    assert some_rows.done == all_rows.done == len(rows)
    missing = [count for (_, reason), count in all_rows.refused.items() if "timestamp" in reason]
    assert [count for (_, reason), count in some_rows.refused.items() if "timestamp" in reason] == missing
