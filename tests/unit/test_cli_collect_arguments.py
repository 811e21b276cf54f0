"""Arguments of `cascade collect`: those that cannot be used, and what its end by Ctrl-C means."""

import pytest
from commands import invoke

from pipeline.cli.collect import command


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere"], "VENUE: nowhere: expected some of binance"),
        (["--topics", "trades"], "--topics: trades: expected some of liquidations"),
        ([""], "VENUE: expected at least one"),
        (["--topics", ""], "--topics: expected at least one"),
        (["--check", "--record", "/nonexistent"], "--record: cannot be used with --check"),
        (["--check", "--replay", "/nonexistent"], "--replay: cannot be used with --check"),
        (["--replay", "/nonexistent", "--web-port", "1"], "--web-port: cannot be used with --replay"),
        (["--symbols", ""], "--symbols: expected at least one"),
        (["--symbols", " , "], "--symbols: expected at least one"),
        (["--top", "3", "--symbols", "BTCUSDT"], "--top: cannot be used with --symbols"),
        (["--top", "3", "--replay", "/nonexistent"], "--top: cannot be used with --replay"),
        (["--names", "/nonexistent"], "--names: /nonexistent: [Errno 2]"),
        (["--endpoint", "x"], "--endpoint: x: expected OLD=NEW"),
        (["--replay", "/nonexistent"], "has no recordings of"),
        (["--record", "/dev/null/x"], "--record: [Errno 20] Not a directory"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused_before_anybody_is_asked(arguments, reason):
    result = invoke("collect", *arguments, PIPELINE_BROKER="nowhere:1")
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "code"), [([], 0), (["--seconds", "60"], 130), (["--check"], 130), (["--replay", "."], 130)]
)
def test_an_interruption_is_the_end_only_of_what_has_no_other(arguments, code, monkeypatch):
    monkeypatch.setattr(command, "run", interrupted)
    assert invoke("collect", *arguments).exit_code == code


def interrupted(work):
    work.close()
    raise KeyboardInterrupt
