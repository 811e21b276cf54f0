"""What the README names is there, and what is there the README names."""

import inspect
import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import msgspec
import pytest
from commands import all_commands, command_of

from pipeline import codec, contract, messages
from pipeline.collect.venues import VENUES
from pipeline.settings import Settings, variable, variables

TOP = Path(__file__).parents[2]
README = (TOP / "README.md").read_text()
PROSE = re.sub(r"```.*?```", "", README, flags=re.DOTALL)

SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
LIVES = {
    contract.key_probability("{symbol}"): contract.TTL_PROBABILITY,
    contract.key_signal_history("{symbol}"): contract.TTL_SIGNAL_HISTORY,
    contract.KEY_REGIME: contract.TTL_REGIME,
    contract.KEY_REGIME_HISTORY: None,
    contract.key_velocity("{symbol}"): contract.TTL_VELOCITY,
    contract.KEY_VOLATILITY: contract.TTL_VOLATILITY,
    contract.KEY_PRICE: contract.TTL_PRICE,
    contract.key_open_interest("{symbol}"): contract.TTL_OPEN_INTEREST,
    contract.key_funding("{symbol}"): contract.TTL_FUNDING,
}
CHANNELS = {contract.CHANNEL_SIGNALS, contract.CHANNEL_ALERTS, contract.CHANNEL_CRITICAL}
UPDATES = {
    contract.VELOCITY: messages.VelocityUpdate,
    contract.POSITIONING: messages.PositioningUpdate,
    contract.VOLATILITY: messages.VolatilityUpdate,
    contract.REGIME: messages.RegimeUpdate,
    contract.DEAD_LETTERS: messages.DeadLetter,
}


def table(heading):
    """Return the first table after a heading, as lists of cells, without its title."""
    text = README.split(f"\n{heading}\n", 1)[1]
    lines = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)[0].splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def named(cell):
    """Return what stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def settings_table():
    """Return the lines of the README's table of settings."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        value = "" if field.default is None else f"`{_shown(field.default)}`"
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        meaning = " ".join([field.description, *([f"One of {', '.join(choices)}."] if choices else [])])
        lines.append(f"| `{variable(name)}` | {value} | {meaning} |")
    return lines


def _shown(value):
    return (
        str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else value
    )


def test_the_table_of_settings_is_that_of_the_settings():
    assert table("## Settings") == [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in settings_table()[2:]
    ]


@pytest.mark.parametrize("name", variables())
def test_every_setting_is_in_the_readme(name):
    assert re.search(rf"\b{name}\b", README)


def test_every_variable_of_the_readme_is_a_setting():
    found = set(re.findall(r"\bPIPELINE_[A-Z_]*[A-Z]\b", README))
    of_the_tests = {name for name in found if name.startswith(("PIPELINE_TEST_", "PIPELINE_RECORDED_"))}
    assert found - of_the_tests <= set(variables())


def options(words):
    """Return the long options of a command, but those that every command has."""
    return {
        name
        for option in command_of(words).params
        for name in (*option.opts, *option.secondary_opts)
        if name.startswith("--")
    }


def test_the_table_of_commands_names_each_with_its_options():
    rows = {
        tuple(named(command)[0].split()[1:]): set(named(cell)) for command, cell, _ in table("## Commands")
    }
    assert rows == {words: options(words) for words in all_commands()}


def test_every_command_of_the_readme_is_one():
    beginnings = {words[:1] for words in all_commands()} | {words[:2] for words in all_commands()}
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", README, re.DOTALL))
    found = re.findall(r"\bcascade ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", code)
    groups = {words[0] for words in all_commands() if len(words) > 1}
    unknown = [
        words
        for words in found
        if (words if words[0] in groups and words[1] else words[:1]) not in beginnings
    ]
    assert unknown == []


def test_the_table_of_inputs_names_every_topic_with_its_fields():
    rows = {named(topic)[0]: (named(needed), named(rest)) for topic, needed, rest in table("### Topics in")}
    assert rows.pop(contract.CONTEXT) == ([], [])
    assert rows == {topic: _fields(kind) for topic, kind in codec.TYPES.items() if topic != contract.CONTEXT}


def _fields(kind):
    found = msgspec.structs.fields(kind)
    return (
        [field.encode_name for field in found if field.required],
        [field.encode_name for field in found if not field.required],
    )


def test_the_table_of_outputs_names_every_topic_with_its_fields():
    rows = {named(topic)[0]: named(cell) for topic, _, cell in table("### Topics out")}
    assert set(rows) == set(contract.OUTPUTS)
    for topic, kind in UPDATES.items():
        found = [name for name in rows[topic] if name not in {"utf-8", "base64"}]
        assert found == [field.name for field in msgspec.structs.fields(kind)]


def _paths(kind, prefix=""):
    for field in msgspec.structs.fields(kind):
        if inspect.isclass(field.type) and issubclass(field.type, msgspec.Struct):
            yield from _paths(field.type, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def test_the_signal_is_explained_field_by_field():
    explained = [name for row in table("## A signal, field by field") for name in named(row[0])]
    assert sorted(explained) == sorted(_paths(messages.Signal))


def test_the_table_of_redis_names_every_key_with_its_lifetime_and_every_channel():
    rows = table("### Redis")
    assert set(named(rows[0][0])) == CHANNELS
    lives = {named(key)[0]: _seconds(lives) for key, _, lives, _ in rows[1:]}
    assert lives == LIVES


def _seconds(text):
    if not text:
        return None
    number, unit = text.split()
    return int(number) * SECONDS[unit]


def test_every_topic_key_and_channel_of_the_readme_is_one():
    beginnings = r"(?:cascade|regime|velocity|volatility|btc|oi|funding)"
    found = {name for name in named(PROSE) if re.fullmatch(rf"{beginnings}:[a-z:{{}}]+", name)}
    assert found == LIVES.keys() | CHANNELS
    topics = {name for name in named(PROSE) if re.fullmatch(r"cascade\.[a-z-]+", name)}
    assert topics == {name for name in (*contract.INPUTS, *contract.OUTPUTS) if name.startswith("cascade.")}


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:pipeline|tests|deploy|\.ci)/[\w./]*)`", README)))
)
def test_every_file_of_the_readme_is_there(path):
    assert (TOP / path).exists()


def test_the_table_of_venues_says_what_each_leaves_out_as_its_check_does():
    rows = {re.match(r"\w+", venue)[0].lower(): coverage for venue, coverage, *_ in table("## Live feeds")}
    assert rows == {name: venue.COVERAGE for name, venue in VENUES.items()}


def test_every_part_of_the_package_is_on_the_map():
    tree = README.split("pipeline/           the package\n")[1].split("tests/")[0]
    shown = re.findall(r"[├└]── (\w+)", tree)
    inside = (TOP / "pipeline").iterdir()
    parts = {path.stem for path in inside if path.name != "py.typed" and not path.name.startswith("__")}
    assert sorted(shown) == sorted(parts)


def test_every_link_within_the_readme_leads_somewhere():
    headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", README)) <= anchors
