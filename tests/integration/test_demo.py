import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "pipeline", "demo"]
PATIENCE = 120


def environment(folder, **more):
    return os.environ | {"TMPDIR": str(folder)} | more


def children(process):
    """Return the ids of a process's children."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(child) for child in found.split()]


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def start(folder, *arguments):
    return subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_it_has_children(process, count):
    deadline = time.monotonic() + PATIENCE
    while len(children(process)) < count:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return children(process)


def test_demo_ends_with_one_line_of_json_and_leaves_nothing_behind(tmp_path):
    ended = subprocess.run(
        [*COMMAND, "--seconds", "20", "--seed", "3", "--json"],
        env=environment(tmp_path, PIPELINE_SECURITY_PROTOCOL="SSL", PIPELINE_PARTITIONS="of another cluster"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    (line,) = ended.stdout.splitlines()
    summary = json.loads(line)
    assert (summary["seconds"], summary["seed"], summary["dead_letters"]) == (20, 3, 0)
    assert summary["events"] > 1_000
    assert set(summary["symbols"].values()) == {"EXTREME"}
    assert all(summary["signals"][level] > 0 for level in ("ALERT", "EXTREME"))
    for way in ("event_to_kafka", "event_to_redis"):
        assert summary[way]["count"] > 50
        assert 0 < summary[way]["p50_ms"] <= summary[way]["p99_ms"]
    assert summary["first_alert_after_onset_s"] <= summary["first_critical_after_onset_s"]
    assert summary["first_signal_s"] > 0
    assert list(tmp_path.glob("cascade-demo-*")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_stops_its_children(tmp_path, number):
    with start(tmp_path) as process:
        started = until_it_has_children(process, 3)  # broker, Valkey, worker
        assert re.fullmatch(r"dashboard http://127\.0\.0\.1:\d+/\n", process.stdout.readline())
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert not [child for child in started if lives(child)]
    assert list(tmp_path.glob("cascade-demo-*")) == []


def test_demo_whose_worker_dies_names_the_log_and_stops_the_others(tmp_path):
    with start(tmp_path, "--json") as process:
        broker, valkey, worker = until_it_has_children(process, 3)
        os.kill(worker, signal.SIGKILL)
        output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output) == (1, "")
    (folder,) = tmp_path.glob("cascade-demo-*")
    assert errors.startswith(f"the worker ended with exit code -9; its log is {folder}/worker.log")
    assert not lives(broker)
    assert not lives(valkey)


def test_demo_too_short_for_a_cascade_is_refused():
    ended = subprocess.run([*COMMAND, "--seconds", "5"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "--seconds: expected 20 to 86400, got 5" in ended.stderr
