"""A backtest that is interrupted, or of which a process dies: all of it ends, at once and in order."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from backtest_cases import made_market, write_files


@pytest.fixture
def running(tmp_path):
    """A backtest whose first runs have begun to write, in a process group of its own."""
    files = write_files(made_market(days=12), tmp_path)
    command = (sys.executable, "-m", "pipeline", "backtest", *files, "--jobs", "2", "--out", tmp_path / "out")
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        while len(unfinished(tmp_path)) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def unfinished(folder):
    return list((folder / "out").glob("*.unfinished"))


@pytest.mark.parametrize("to_all", [True, False], ids=["Ctrl-C", "SIGTERM"])
def test_an_interruption_ends_all_processes_and_leaves_nothing_behind(running, tmp_path, to_all):
    if to_all:
        os.killpg(running.pid, signal.SIGINT)
    else:
        running.terminate()
    _, complaints = running.communicate(timeout=30)  # until the last process is gone
    assert (running.returncode, complaints) == (130, "")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_process_that_dies_ends_a_backtest_in_one_line(running, tmp_path):
    _, pid, _ = unfinished(tmp_path)[0].name.rsplit(".", 2)
    os.kill(int(pid), signal.SIGKILL)
    _, complaints = running.communicate(timeout=30)
    assert running.returncode == 1
    assert complaints.startswith("a process was ended from outside")
    assert complaints.count("\n") == 1
