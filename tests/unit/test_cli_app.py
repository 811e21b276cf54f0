import os
import pty
import signal
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import pytest
from aiokafka.errors import InvalidTimestampError, PolicyViolationError
from commands import all_commands, command_of, invoke
from servers import free_port
from typer import Typer
from typer.testing import CliRunner

from pipeline.cli import COMMANDS, output
from pipeline.cli.output import Commands


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
    assert [param.name for param in command_of(command).params if not getattr(param, "help", None)] == []


def test_an_interruption_that_nobody_else_takes_ends_without_a_traceback():
    code = """
import pipeline.cli
def app(): raise KeyboardInterrupt
pipeline.cli.app = app
from pipeline.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["pipeline.contract", "pipeline.backtest.labels"])
def test_a_command_that_is_stopped_while_it_is_imported_ends_without_a_traceback(module, number):
    command = [sys.executable, "-X", "importtime", "-m", "pipeline", "backtest", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while module not in (line := process.stderr.readline()):
            assert line
        process.send_signal(number)
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in errors


def test_an_unknown_command_ends_with_2_and_a_misspelt_one_is_suggested():
    assert invoke("fly").exit_code == 2
    result = invoke("weigths", "get")
    assert result.exit_code == 2
    assert "Did you mean 'weights'?" in result.stderr


def test_a_command_imports_nothing_that_only_others_need():
    program = "import sys\nfrom pipeline.cli import app\napp(['config', 'check'], standalone_mode=False)"
    names = "*(name for name in sys.modules if name.startswith(('pipeline.', 'faust', 'numpy')))"
    found = subprocess.run(
        [sys.executable, "-c", f"{program}\nprint('loaded:', {names})"],
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = found.stdout.partition("loaded:")[2].split()
    assert "pipeline.cli.config" in loaded
    assert [name for name in loaded if name.startswith(("faust", "numpy", "pipeline.cli.backtest"))] == []


@pytest.mark.parametrize("command", [("topics", "check"), ("weights", "get"), ("dead-letters", "list")])
def test_without_a_broker_a_command_ends_with_1_and_says_so(command):
    result = invoke(*command, PIPELINE_BROKER=f"127.0.0.1:{free_port()}")
    assert result.exit_code == 1
    assert "PIPELINE_BROKER" in result.stderr
    assert "Traceback" not in result.output


@pytest.fixture
def closing_port():
    """Where connections are taken and closed again."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def close_all():
            with suppress(OSError):
                while True:
                    server.accept()[0].close()

        closing = threading.Thread(target=close_all)
        closing.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        closing.join()


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_a_connection_that_breaks_off_is_not_only_blamed_on_the_address(closing_port, protocol):
    environment = {"PIPELINE_BROKER": f"127.0.0.1:{closing_port}", "PIPELINE_SECURITY_PROTOCOL": protocol}
    result = invoke("topics", "plan", **environment)
    assert result.exit_code == 1
    assert "look at PIPELINE_SECURITY_PROTOCOL" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            ssl.SSLError(1, "[SSL: SSLV3_ALERT_BAD_CERTIFICATE] sslv3 alert bad certificate"),
            "PIPELINE_SSL_CERT_FILE if it asks for a certificate",
        ),
        (InvalidTimestampError(), "(set this machine's clock, or the broker's)"),
        (PolicyViolationError(), "(look at the broker's log)"),
    ],
)
def test_what_kafka_and_its_client_refuse_is_told_in_one_line_with_advice(error, advice):
    refusing = Typer(cls=Commands)
    refusing.callback()(lambda: None)

    @refusing.command()
    def ask():
        raise error

    result = CliRunner().invoke(refusing, ["ask"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Kafka: ")
    assert advice in result.stderr


@pytest.mark.parametrize("command", ["list", "replay"])
def test_a_since_that_is_no_time_ends_with_2(command):
    result = invoke("dead-letters", command, "--since", "yesterday", PIPELINE_BROKER="nowhere:1")
    assert result.exit_code == 2
    assert "--since: expected ISO 8601 or milliseconds since 1970, found 'yesterday'" in result.stderr


@pytest.mark.parametrize(
    ("command", "out"),
    [("replay", "out.csv"), ("backtest", "out"), ("calibrate", "out.toml"), ("optimise", "out.toml")],
)
def test_a_symbol_that_is_none_ends_with_2(command, out, tmp_path):
    files = ("--prices", str(tmp_path / "bars.csv"), "--out", str(tmp_path / out))
    result = invoke(command, *files, "--symbol", "a b")
    assert result.exit_code == 2
    assert result.stderr == "symbol: no spaces, control characters, colons or braces\n"


def test_a_symbol_that_is_none_is_not_watched_for():
    result = invoke("watch", "--symbol", "a b", PIPELINE_BROKER="nowhere:1")
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


@pytest.mark.parametrize("group", [(), ("topics",), ("weights",), ("dead-letters",), ("config",)])
def test_a_list_of_commands_cuts_no_sentence_off(group):
    assert "..." not in invoke(*group, "--help").stdout.partition("Commands:")[2]


def test_a_shell_that_completes_gets_one_line_a_command():
    """Fish takes each line for a candidate: a longer help, wrapped, would be several."""
    asked = {"_CASCADE_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    lines = invoke(**asked, _TYPER_COMPLETE_ARGS="cascade ", COLUMNS="80").stdout.splitlines()
    assert [line.partition("\t")[0] for line in lines] == list(COMMANDS)


def test_output_that_finds_no_room_ends_with_1_and_one_line():
    command = [sys.executable, "-m", "pipeline", "config", "check"]
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (result.returncode, result.stderr) == (1, "output: No space left on device\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_without_stdout_or_stderr_does_its_work(closed):
    """As a supervisor may start it: with that descriptor closed, Python has no such file at all."""
    command = ["/bin/sh", "-c", f'"$0" -m pipeline config check {closed}', sys.executable]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(("terminal", "drawn"), [("xterm", True), ("dumb", False)])
def test_a_terminal_that_cannot_be_drawn_on_gets_what_a_pipe_gets(terminal, drawn):
    reading, writing = pty.openpty()
    command = [sys.executable, "-m", "pipeline", "topics", "--help"]
    subprocess.run(command, stdout=writing, check=True, env=os.environ | {"TERM": terminal})
    os.close(writing)
    assert os.read(reading, 100_000).isascii() != drawn
    os.close(reading)


def test_a_table_on_a_terminal_leaves_nothing_out_however_narrow_it_is(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    output.show_table(("topic", "settings"), [("control", "min.compaction.lag.ms=86400000")])
    shown = capsys.readouterr().out.partition("control")[2]
    assert "".join(shown.split()) == "min.compaction.lag.ms=86400000"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_table_shows_what_others_wrote_and_obeys_none_of_it(monkeypatch, capsys, terminal):
    monkeypatch.setattr(output, "on_terminal", lambda: terminal)
    output.show_table(("key", "reason"), [("\x1b[2J\tX\n", "[/bold] [red]ж")])
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == ["key", "reason"]
    assert line.split() == ["\\x1b[2J\\tX\\n", "[/bold]", "[red]ж"]
