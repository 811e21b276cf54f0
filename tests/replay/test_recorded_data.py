from itertools import pairwise

import pytest

from pipeline import contract
from pipeline.cli.recorded.recordings import Recording, Recordings

pytestmark = pytest.mark.recorded

TOPICS = {
    "liquidations": contract.LIQUIDATIONS,
    "prices": contract.PRICES,
    "trades": contract.PRICES,
    "open_interest": contract.OPEN_INTEREST,
    "funding": contract.FUNDING,
}


@pytest.mark.parametrize("folder", TOPICS)
def test_every_row_of_every_file_is_used(recorded_data, folder):
    files = sorted((recorded_data / folder).glob("*.parquet"))
    assert files
    for path in files:
        recordings = Recordings([Recording(TOPICS[folder], path, "BTCUSDT")])
        times = [recorded.time_ms for recorded in recordings]
        assert (len(times), recordings.refused) == (recordings.size, {})
        assert all(before <= after for before, after in pairwise(times))


def test_hourly_sums_are_refused_as_no_single_liquidations(recorded_data):
    (path,) = (recorded_data / "liquidations_hourly").glob("*.parquet")
    recordings = Recordings([Recording(contract.LIQUIDATIONS, path, "BTCUSDT")])
    assert list(recordings) == []
    assert list(recordings.refused.values()) == [1_266]


def test_1418_of_the_2566_raw_rows_are_usable_the_others_are_repeats_but_three_garbled_ones(recorded_data):
    files = sorted((recorded_data / "raw").glob("*/*.csv"))
    recordings = Recordings([Recording(contract.LIQUIDATIONS, path) for path in files])
    found = list(recordings)
    repeats = sum(count for (_, reason), count in recordings.refused.items() if reason.startswith("repeats"))
    assert (recordings.size, len(found), repeats) == (2_566, 1_418, 1_145)
    assert recordings.done == recordings.size
    assert {recorded.message.exchange for recorded in found} == {"binance"}
    assert sum(recorded.message.side == "long" for recorded in found) == 502
