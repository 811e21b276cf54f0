import json
import logging

import pytest
import structlog

from pipeline.cli import app
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


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_requests_to_kafka_are_never_logged_for_one_holds_the_password(capsys, level):
    configure_log("console", level)
    logging.getLogger("aiokafka.conn").debug("Request: %s", SECRET)
    assert SECRET not in capsys.readouterr().err


def test_a_commands_own_traceback_shows_no_variables():
    assert not app.pretty_exceptions_enable
