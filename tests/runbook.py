"""The commands of the runbook, as they stand in its blocks."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

RUNBOOK = (Path(__file__).parents[1] / "deploy" / "RUNBOOK.md").read_text()
BLOCKS = re.findall(r"```console\n(.*?)```", RUNBOOK, re.DOTALL)
COMMANDS = list(dict.fromkeys(re.findall(r"^\s*\$ (.+)$", "\n".join(BLOCKS), re.MULTILINE)))


def commands_of(program: str) -> list[list[str]]:
    """Return the arguments of every command of a program."""
    split = [shlex.split(command) for command in COMMANDS]
    return [words[1:] for words in split if words[0] == program]
