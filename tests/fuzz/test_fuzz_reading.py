"""Inputs that libFuzzer makes of hostile records, by what they cover of the reader, break nothing either."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hostile import TOPICS, Hostile

TARGET = Path(__file__).parent / "fuzz_reading.py"
LARGEST = 4_096

pytestmark = pytest.mark.skipif(
    find_spec("atheris") is None, reason="atheris has wheels for Linux on x86-64 alone"
)


def write_corpus(folder, number):
    folder.mkdir()
    for record in Hostile(seed=5, symbols=("BTCUSDT",)).records(number):
        if record.value is not None and len(record.value) < LARGEST - 2:
            chosen = bytes([TOPICS.index(record.topic), 0])
            (folder / str(record.offset)).write_bytes(chosen + record.value)


@pytest.mark.parametrize("runs", [5_000, pytest.param(1_000_000, marks=pytest.mark.endurance)])
def test_fuzzed_records_are_read_as_the_contract_says(tmp_path, runs):
    write_corpus(tmp_path / "corpus", 300)
    limits = [f"-runs={runs}", f"-max_len={LARGEST}", "-seed=1", "-timeout=60"]
    found = subprocess.run(
        [sys.executable, str(TARGET), str(tmp_path / "corpus"), f"-artifact_prefix={tmp_path}/", *limits],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert found.returncode == 0, found.stdout[-3_000:] + found.stderr[-3_000:]
    assert f"Done {runs} runs" in found.stderr
