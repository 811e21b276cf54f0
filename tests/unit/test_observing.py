import resource
from pathlib import Path

import pytest
import typer
from backtest_cases import START, made_market, write_files
from commands import invoke

from pipeline import contract
from pipeline.cli.fit import calibrate
from pipeline.cli.fit.observing import observe, open_feed
from pipeline.cli.recorded.recordings import Period, Source
from pipeline.runtime.profiles import load_profile

ADAPTIVE = load_profile("adaptive")


def feed_of(folder, **symbols):
    """Return made markets, each in files of its own, as something to learn from."""
    files = []
    for symbol, market in symbols.items():
        _, liquidations, _, prices = write_files(market, folder, symbol)
        files += [
            Source(contract.LIQUIDATIONS, folder / liquidations),
            Source(contract.PRICES, folder / prices),
        ]
    return open_feed(files, Period())


def silenced(market):
    """Return a market of which prices alone are told."""
    return market._replace(liquidated_ms=market.liquidated_ms[:0], usd=market.usd[:0])


def test_each_signal_is_observed_once_though_an_alert_goes_to_three_topics(tmp_path, three_crashes):
    (seen,) = observe(feed_of(tmp_path, BTCUSDT=three_crashes), ADAPTIVE)
    series = seen.series
    assert series.level.max() >= 2
    assert len(series.times_ms) == len(set(zip(series.times_ms, series.probability, strict=True)))


def test_a_symbol_is_observed_as_if_it_were_alone(tmp_path):
    market, other = (
        made_market(days=2, crashes=(1.2, 1.5, 1.8)),
        made_market(days=2, crashes=(1.3, 1.7), seed=2),
    )
    (alone,) = observe(feed_of(tmp_path, BTCUSDT=silenced(other), ETHUSDT=market), ADAPTIVE)
    both = observe(feed_of(tmp_path, BTCUSDT=other, ETHUSDT=market), ADAPTIVE)
    assert [len(each.labels.onsets) for each in both] == [2, 3]
    assert all((one == two).all() for one, two in zip(alone.series, both[1].series, strict=True))


def test_a_symbol_that_cannot_be_learnt_from_is_left_out(tmp_path, three_crashes, capsys):
    silent = silenced(made_market(days=4, crashes=()))
    assert list(feed_of(tmp_path, BTCUSDT=silent, ETHUSDT=three_crashes).markets) == ["ETHUSDT"]
    assert "BTCUSDT: left out: no liquidations\n" in capsys.readouterr().err


def test_symbols_without_prices_are_left_out_by_name(tmp_path, three_crashes, capsys):
    write_files(three_crashes, tmp_path)
    for symbol in ("ETHUSDT", "SOLUSDT"):
        write_files(three_crashes, tmp_path, symbol)
    files = [
        *(Source(contract.LIQUIDATIONS, path) for path in sorted(tmp_path.glob("*-liquidations.csv"))),
        Source(contract.PRICES, tmp_path / "BTCUSDT-bars.csv"),
    ]
    assert list(open_feed(files, Period()).markets) == ["BTCUSDT"]
    assert "ETHUSDT, SOLUSDT: left out: no events without prices" in capsys.readouterr().err


def test_rows_that_cannot_be_used_are_told(tmp_path, three_crashes, capsys):
    _, liquidations, _, prices = write_files(three_crashes, tmp_path)
    with Path(prices).open("a") as file:
        file.write("1700352000000,BTCUSDT,binance,-1,1\n")
    files = [Source(contract.LIQUIDATIONS, Path(liquidations)), Source(contract.PRICES, Path(prices))]
    assert list(open_feed(files, Period()).markets) == ["BTCUSDT"]
    assert "refused: BTCUSDT-bars.csv: price: Expected `float` > 0.0: 1" in capsys.readouterr().err


def test_where_nothing_can_be_fitted_it_says_why(tmp_path, three_crashes, capsys):
    _, liquidations, _, prices = map(Path, write_files(three_crashes, tmp_path))
    files = [Source(contract.LIQUIDATIONS, liquidations), Source(contract.PRICES, prices)]
    wanted = "no row that can be used: give --liquidations and --prices"
    for given, end_ms, why in (
        (files[:1], float("inf"), "BTCUSDT: no events without prices: give bars of 1, 3 or 5 minutes"),
        (files[1:], float("inf"), "BTCUSDT: no liquidations"),
        (files, START, wanted),
        ([], float("inf"), wanted),
    ):
        with pytest.raises(typer.Exit):
            open_feed(given, Period(end_ms=end_ms))
        assert capsys.readouterr().err.splitlines()[-1] == f"nothing to fit: {why}"


@pytest.mark.parametrize("command", ["calibrate", "optimise"])
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--out", "no/mine.toml"), "--out: no: No such file or directory"),
        (("--out", "/proc/mine.toml"), "--out: /proc: No such file or directory"),
        (("--out", "mine.json"), "--out: mine.json: expected .toml"),
        (("--out", "mine.toml", "--name", 'a", "reference": "ETHUSDT'), "--profile, --name: name: Expected"),
        (("--out", "mine.toml", "--name", "seed"), "--name: `seed` is the name of a profile that comes"),
        (("--out", "mine.toml", "--name", "adaptive"), "--name: `adaptive` is the name of a profile"),
        (("--out", "mine.toml", "--false-alarms", "1,2,3,4"), "--false-alarms: expected four falling"),
    ],
)
def test_impossible_arguments_are_refused_before_anything_is_read(
    command, arguments, why, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    result = invoke(command, "--prices", "nowhere.csv", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(why)


def test_an_older_profile_stays_where_the_disk_takes_no_other(tmp_path, capsys):
    out = tmp_path / "mine.toml"
    out.write_text("older")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(typer.Exit) as end:
            calibrate.write(load_profile("adaptive"), out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (end.value.exit_code, capsys.readouterr().err) == (1, f"--out: {out}: File too large\n")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(out.name, "older")]


@pytest.fixture
def three_crashes():
    return made_market(days=4, crashes=(1.6, 2.4, 3.3))
