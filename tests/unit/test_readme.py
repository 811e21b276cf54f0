"""What the README names is there, and what is there the README names."""

import re
from pathlib import Path

import pytest
from commands import all_commands

from pipeline import contract
from pipeline.settings import variables

README = (Path(__file__).parents[2] / "README.md").read_text()
REDIS_NAMES = [
    *(contract.CHANNEL_SIGNALS, contract.CHANNEL_ALERTS, contract.CHANNEL_CRITICAL),
    *(contract.KEY_REGIME, contract.KEY_REGIME_HISTORY, contract.KEY_VOLATILITY, contract.KEY_PRICE),
    *(contract.key_probability("{symbol}"), contract.key_signal_history("{symbol}")),
    *(contract.key_velocity("{symbol}"), contract.key_open_interest("{symbol}")),
    contract.key_funding("{symbol}"),
]


@pytest.mark.parametrize("variable", variables())
def test_every_setting_is_in_the_readme(variable):
    assert re.search(rf"\b{variable}\b", README)


def test_every_variable_of_the_readme_is_a_setting():
    named = set(re.findall(r"\bPIPELINE_[A-Z_]*[A-Z]\b", README))
    of_the_tests = {name for name in named if name.startswith(("PIPELINE_TEST_", "PIPELINE_RECORDED_"))}
    assert named - of_the_tests <= set(variables())


@pytest.mark.parametrize("command", [" ".join(words) for words in all_commands()])
def test_every_command_is_in_the_readme(command):
    assert f"cascade {command}" in README


def test_every_command_of_the_readme_is_one():
    beginnings = {words[:1] for words in all_commands()} | {words[:2] for words in all_commands()}
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", README, re.DOTALL))
    named = re.findall(r"\bcascade ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", code)
    groups = {words[0] for words in all_commands() if len(words) > 1}
    unknown = [
        words
        for words in named
        if (words if words[0] in groups and words[1] else words[:1]) not in beginnings
    ]
    assert unknown == []


@pytest.mark.parametrize("topic", sorted({*contract.INPUTS, *contract.OUTPUTS}))
def test_every_topic_is_in_the_readme(topic):
    assert f"`{topic}`" in README


@pytest.mark.parametrize("name", REDIS_NAMES)
def test_every_redis_key_and_channel_is_in_the_readme(name):
    assert f"`{name}`" in README
