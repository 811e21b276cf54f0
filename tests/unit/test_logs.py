import json
import logging
import os
import pty
import subprocess
import sys
from types import SimpleNamespace

import pytest
import structlog

from pipeline.cli import app
from pipeline.runtime import logs
from pipeline.runtime.logs import configure_log, log_to_stderr

pytestmark = pytest.mark.usefixtures("log_as_it_was")
SECRET = "not-to-be-shown"  # noqa: S105 - it opens nothing


def fail(log, password=SECRET):
    try:
        return len(password) / 0
    except ZeroDivisionError:
        log.exception("it failed")


@pytest.mark.parametrize("get_logger", [structlog.get_logger, logging.getLogger])
def test_as_json_an_exception_is_one_line_with_its_traceback_and_no_variables(capsys, get_logger):
    configure_log("json", "INFO")
    fail(get_logger("of.a.test"))
    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"], event["logger"]) == ("it failed", "error", "of.a.test")
    assert event["exception"].startswith("Traceback (most recent call last):\n")
    assert event["exception"].endswith("ZeroDivisionError: division by zero")
    assert SECRET not in line


@pytest.mark.parametrize("configure", [lambda: configure_log("console", "INFO"), log_to_stderr])
def test_for_people_a_traceback_shows_no_variables(capsys, configure):
    configure()
    fail(structlog.get_logger("of.a.test"))
    shown = capsys.readouterr()
    assert "ZeroDivisionError: division by zero" in shown.err
    assert "it failed" in shown.err
    assert SECRET not in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("configure", [lambda: configure_log("console", "INFO"), log_to_stderr])
def test_for_people_what_others_wrote_commands_no_terminal(capsys, configure):
    configure()
    structlog.get_logger("of.a.test").warning("it says \x1b[2J\nof", key="\x1b[31mred\x9b\u202e", partition=3)
    shown = capsys.readouterr().err
    assert r"it says \x1b[2J" in shown
    assert r"key=\x1b[31mred\x9b\u202e partition=3" in shown
    assert shown.count("\n") == 2


@pytest.mark.parametrize("get_logger", [structlog.get_logger, logging.getLogger])
def test_for_people_an_exception_commands_no_terminal(capsys, get_logger):
    configure_log("console", "INFO")
    get_logger("of.a.test").error("it failed", exc_info=ValueError("\x1b[2J"))
    assert capsys.readouterr().err.endswith("\nValueError: \\x1b[2J\n")


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_requests_to_kafka_are_never_logged_for_one_holds_the_password(capsys, level):
    configure_log("console", level)
    logging.getLogger("aiokafka.conn").debug("Request: %s", SECRET)
    assert SECRET not in capsys.readouterr().err


def test_a_commands_own_traceback_shows_no_variables():
    assert not app.pretty_exceptions_enable


def test_what_a_client_says_again_and_again_is_said_once_in_a_while(capsys, monkeypatch):
    """Without a broker aiokafka logs the same error many times a second; the worker's own lines all stay."""
    now = 0.0
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=lambda: now))
    configure_log("json", "INFO")
    for now in (0.0, 1.0, 9.9, 10.0, 10.1):  # noqa: B007 - the clock reads it
        logging.getLogger("aiokafka").error("Unable connect to node with id %s", 1)
        logging.getLogger("aiokafka.cluster").error("Unable connect to node with id %s", 2)
        structlog.get_logger("of.a.test").warning("of its own")
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    said = [event["event"] for event in events if event["logger"] == "aiokafka"]
    assert said == [
        "Unable connect to node with id 1",
        "Unable connect to node with id 1 (and 2 more like it)",
    ]
    assert [event["logger"] for event in events].count("of.a.test") == 5


def test_a_timer_that_a_slow_broker_holds_up_says_so_once_in_a_while(capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=lambda: now))
    configure_log("json", "INFO")
    for now in (0.0, 3.0, 6.0, 9.0, 12.0):  # noqa: B007 - the clock reads it
        logging.getLogger("mode.timers").warning("Timer %s is overlapping (runtime=%r)", "commit", 2.0)
    said = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    first = "Timer commit is overlapping (runtime=2.0)"
    assert said == [first, f"{first} (and 3 more like it)"]


@pytest.mark.parametrize(
    ("variable", "value", "coloured"),
    [("TERM", "xterm", True), ("TERM", "dumb", False), ("NO_COLOR", "1", False)],
)
def test_a_terminal_that_shows_no_colours_gets_none(variable, value, coloured):
    said = (
        "import structlog; from pipeline.runtime.logs import log_to_stderr; log_to_stderr();"
        " structlog.get_logger().warning('said')"
    )
    reading, writing = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", said],
        stderr=writing,
        check=True,
        env=os.environ | {"TERM": "xterm", variable: value},
    )
    os.close(writing)
    assert (b"\x1b" in os.read(reading, 100_000)) == coloured
    os.close(reading)
