"""Recorded market data give the same signals offline and through a running worker, whatever the batching."""

from importlib.resources import files as package_files

import pytest
from commands import as_rows, cascade, offline
from workers import Worker, differing, lag, read_signals, until_caught_up

pytestmark = pytest.mark.recorded


@pytest.fixture
def files(recorded_data):
    """The Bybit liquidations of the first quarter of 2024, with the bars and the funding of their time."""
    return [
        *("--liquidations", str(recorded_data / "liquidations/bybit_btcusdt_2024_q1.parquet")),
        *("--prices", str(recorded_data / "prices/binance_perp_btcusdt_5m_2023_2024.parquet")),
        *("--funding", str(recorded_data / "funding/binance_btcusdt_8h_2024.parquet")),
        *("--symbol", "BTCUSDT", "--from", "2024-02-12", "--to", "2024-03-31"),
    ]


@pytest.mark.parametrize("batch", [211])
async def test_a_worker_sends_what_the_offline_replay_writes(settings, files, tmp_path, batch):
    expected = await offline(settings, files, tmp_path / "signals.jsonl")
    fed = await cascade(settings, "replay", *files, "--to-kafka")
    assert fed.exit_code == 0, fed.output
    with Worker(settings, max_poll_records=batch) as worker:
        await until_caught_up(settings, workers=[worker])
        assert worker.stop() == 0
    assert len(expected) > 20_000
    assert differing(as_rows(await read_signals(settings)), expected) == []


async def test_a_worker_that_already_runs_sends_the_same(settings, files, tmp_path):
    files = [*files[:-4], "--from", "2024-03-04", "--to", "2024-03-07"]
    expected = await offline(settings, files, tmp_path / "signals.jsonl")
    with Worker(settings) as worker:
        await worker.until_ready()
        fed = await cascade(settings, "replay", *files, "--to-kafka", "--speed", "30000")
        assert fed.exit_code == 0, fed.output
        await until_caught_up(settings, workers=[worker])
        assert worker.stop() == 0
    assert differing(as_rows(await read_signals(settings)), expected) == []


async def test_habits_survive_a_kill_and_a_profile_file_gives_what_it_gave_offline(settings, files, tmp_path):
    files = [*files[:-4], "--from", "2024-02-26", "--to", "2024-03-06"]
    profile = tmp_path / "mine.toml"
    shipped = package_files("pipeline.signals").joinpath("profiles", "adaptive.toml").read_text("utf-8")
    profile.write_text(shipped.replace('name = "adaptive"', 'name = "mine"'), "utf-8")
    expected = await offline(settings, files, tmp_path / "signals.jsonl", "--profile", str(profile))
    fed = await cascade(settings, "replay", *files, "--to-kafka")
    assert fed.exit_code == 0, fed.output
    whole = await lag(settings)
    with Worker(settings, profile=str(profile), max_poll_records=20, budget_records=60) as worker:
        while (behind := await lag(settings)) == whole:
            assert worker.process.poll() is None, "the worker ended"
        assert behind, "all was done before the kill"
        worker.kill()
        worker.start()
        await until_caught_up(settings, workers=[worker])
        assert worker.stop() == 0
    found = as_rows(await read_signals(settings))
    assert {row["profile"] for row in found.values()} == {"mine"}
    assert {"NONE", "ALERT", "EXTREME"} <= {row["signal"] for row in found.values()}
    assert differing(found, expected) == []
