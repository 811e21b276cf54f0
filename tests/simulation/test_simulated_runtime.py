"""Seeds of the simulation: each is one run of the runtime through crashes, delays and rebalances.

A failing seed says how to run it again, alone and exactly. They run in a process of their own, whose hash
seed is fixed: in which order Python goes over a set of strings is a part of the run.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from broken_rules import RULES

COMMAND = Path(__file__).with_name("simulated_run.py")
CHUNK = 500
USUAL = 500
MANY = 10_000


def simulate(*arguments):
    """Run seeds; return whether all is as it should be, and the lines that were said."""
    ended = subprocess.run(
        [sys.executable, COMMAND, *map(str, arguments)],
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not ended.stderr, ended.stderr
    return ended.returncode == 0, ended.stdout


def check(first):
    holds, said = simulate(first, CHUNK)
    failed = said[said.rfind("\nseed") :].strip()
    seed = re.match(r"seed (\d+)", failed)
    assert holds, f"{failed}\nto run it again: python tests/simulation/{COMMAND.name} {seed and seed[1]}"
    print(together(said))  # noqa: T201


def together(said):
    """Return what happened in all runs."""
    runs = re.findall(r"(\d+) records, .*? (\d+) messages sent (\d+) times, (\d+) lives", said)
    records, messages, sent, lives = (sum(map(int, each)) for each in zip(*runs, strict=True))
    return f"{len(runs)} seeds: {records} records, {messages} messages sent {sent} times, {lives} lives"


@pytest.mark.parametrize("first", range(0, USUAL, CHUNK))
def test_whatever_happens_nothing_is_lost_doubled_or_different(first):
    check(first)


@pytest.mark.endurance
@pytest.mark.parametrize("first", range(USUAL, MANY, CHUNK))
def test_whatever_happens_in_ten_thousand_runs_nothing_is_lost_doubled_or_different(first):
    check(first)


@pytest.fixture(scope="module")
def noticed():
    """Return for each rule what was said when it was broken."""
    _, said = simulate(0, USUAL, "--broken", *RULES)
    return dict(re.findall(r"^without (\S+): (.*?)(?=^without |\Z)", said, re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("rule", RULES)
def test_a_broken_rule_is_noticed(noticed, rule):
    assert noticed[rule].startswith("seed "), f"{noticed[rule]} without this rule: {rule}"
    assert RULES[rule].seen_as in noticed[rule]


def test_a_seed_is_the_same_run_each_time():
    first, second = simulate(0, 20), simulate(0, 20)
    assert first == second
    assert len(set(re.findall("trace .*", first[1]))) == 20
