import subprocess
import sys
from importlib.metadata import version

import pytest
from commands import all_commands, invoke
from servers import free_port


def test_the_version_is_that_of_the_distribution():
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, f"{version('cascade-pipeline')}\n")


@pytest.mark.parametrize("command", all_commands(), ids=" ".join)
def test_every_command_explains_itself_and_its_options(command):
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    text, _, options = result.stdout.partition("Options:")
    assert len(text.splitlines()) > 2
    assert "--help" in options


def test_an_unknown_command_ends_with_2():
    assert invoke("fly").exit_code == 2


@pytest.mark.parametrize("command", [("topics", "check"), ("weights", "get"), ("dead-letters", "list")])
def test_without_a_broker_a_command_ends_with_1_and_says_so(command):
    result = invoke(*command, PIPELINE_BROKER=f"127.0.0.1:{free_port()}")
    assert result.exit_code == 1
    assert "PIPELINE_BROKER" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["list", "replay"])
def test_a_since_that_is_no_time_ends_with_2(command):
    result = invoke("dead-letters", command, "--since", "yesterday", PIPELINE_BROKER="nowhere:1")
    assert result.exit_code == 2
    assert "--since: expected ISO 8601 or milliseconds since 1970, found 'yesterday'" in result.stderr


@pytest.mark.parametrize("command", ["replay", "backtest", "calibrate", "optimise"])
def test_a_symbol_that_is_none_ends_with_2(command, tmp_path):
    files = ("--prices", str(tmp_path / "bars.csv"), "--out", str(tmp_path / "out.csv"))
    result = invoke(command, *files, "--symbol", "a b")
    assert result.exit_code == 2
    assert result.stderr == "symbol: no spaces, control characters, colons or braces\n"


@pytest.mark.parametrize("command", ["list", "replay"])
def test_letters_of_a_topic_that_is_not_read_are_not_asked_for(command):
    result = invoke("dead-letters", command, "--topic", "price", PIPELINE_BROKER="nowhere:1")
    assert result.exit_code == 2
    assert result.stderr.startswith("--topic price: expected one of ")


def test_the_module_is_the_command():
    command = [sys.executable, "-m", "pipeline", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == f"{version('cascade-pipeline')}\n"


def test_in_a_pipe_help_has_no_frames_or_colours():
    command = [sys.executable, "-m", "pipeline", "topics", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.isascii()
