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
CHUNK = 200
USUAL = 1_000
MANY = 10_000


def simulate(*arguments):
    """Run seeds; return whether all of them hold, and what was said."""
    ended = subprocess.run(
        [sys.executable, COMMAND, *map(str, arguments)],
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0 or ended.stdout.startswith("seed "), ended.stderr
    return ended.returncode == 0, ended.stdout


def check(first):
    holds, said = simulate(first, CHUNK)
    seed = re.match(r"seed (\d+)", said)
    assert holds, f"{said}\nto run it again: python tests/simulation/{COMMAND.name} {seed and seed[1]}"


@pytest.mark.parametrize("first", range(0, USUAL, CHUNK))
def test_whatever_happens_nothing_is_lost_doubled_or_different(first):
    check(first)


@pytest.mark.endurance
@pytest.mark.parametrize("first", range(USUAL, MANY, CHUNK))
def test_whatever_happens_in_ten_thousand_runs_nothing_is_lost_doubled_or_different(first):
    check(first)


@pytest.mark.parametrize("rule", RULES)
def test_a_broken_rule_is_noticed(rule):
    first, count = RULES[rule].seeds
    holds, said = simulate(first, count, "--broken", rule)
    assert not holds, f"{count} seeds hold without this rule: {rule}"
    assert RULES[rule].seen_as in said


@pytest.mark.parametrize("seed", [7, 10])
def test_a_seed_is_the_same_run_each_time(seed):
    first, second = simulate(seed), simulate(seed)
    assert first == second
    assert "trace" in first[1]
