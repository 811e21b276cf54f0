"""What the runbook names is there: commands, services, objects, topics, settings, log lines and headings."""

import itertools
import re
from pathlib import Path

import pytest
import yaml
from commands import all_commands, command_of
from runbook import BLOCKS, COMMANDS, RUNBOOK, commands_of

from pipeline import contract
from pipeline.runtime.topic_plan import changelog_topic
from pipeline.settings import variables

TOP = Path(__file__).parents[2]
SOURCE = "".join(path.read_text() for path in sorted((TOP / "pipeline").rglob("*.py")))
PROGRAMS = {
    *("cascade", "curl", "docker", "export", "kubectl", "valkey-cli"),
    *("./kafka-topics.sh", "./kafka-consumer-groups.sh", "./kafka-console-consumer.sh"),
}
SAID = (
    *("ready", "no snapshot of this version", "its state is lost", "it ends at offset"),
    *("handed over", "handed over before the last checkpoint was done", "no heartbeat was confirmed"),
    *("the topics are not as they have to be", "a partition is full", "PIPELINE_BROKER says where it is"),
    "the input topics' partitions were not assigned together",
    *("Redis is not updated, Kafka keeps the rest", "Redis is updated again"),
    *("the broker does not confirm what was sent", "the broker did not take what was sent"),
)


def test_every_command_is_of_a_program_that_is_looked_at_here():
    assert {command.split()[0] for command in COMMANDS} == PROGRAMS


@pytest.mark.parametrize("words", commands_of("cascade"), ids=" ".join)
def test_every_cascade_command_can_be_parsed(words):
    name = next(known for known in all_commands() if tuple(words[: len(known)]) == known)
    command = command_of(name)
    command.make_context(name[-1], words[len(name) :])


def test_every_cascade_command_in_the_text_is_one():
    found = re.findall(r"`cascade ([a-z-]+)(?: ([a-z]+))?", RUNBOOK)
    assert found
    assert [words for words in found if not {words, words[:1]} & set(all_commands())] == []


def test_docker_names_services_of_compose():
    services = yaml.safe_load((TOP / "docker-compose.yml").read_text())["services"]
    for words in commands_of("docker"):
        assert words[:2] in (["compose", "stop"], ["compose", "run"], ["compose", "exec"])
        assert services.keys() & set(words[2:])
        if words[1] == "stop":
            assert set(words[2:]) <= set(services)


def test_what_a_shell_would_take_for_its_own_is_quoted():
    bare = [command for command in COMMANDS if re.search(r"[?*&|();<>]", re.sub(r"'[^']*'", "", command))]
    assert bare == []


def test_kubectl_names_objects_that_are_applied():
    files = (TOP / "deploy" / "kubernetes").glob("*.yml")
    objects = [found for path in files for found in yaml.safe_load_all(path.read_text())]
    names = {f"{each['kind'].lower()}/{each['metadata']['name']}" for each in objects if "metadata" in each}
    pods = {"pod/cascade-0"}
    for words in commands_of("kubectl"):
        if words[0] == "apply":
            assert (TOP / words[2]).exists(), words
        else:
            assert words[:2] == ["-n", "cascade"], words
        named = {word for word in words if re.fullmatch(r"[a-z]+/cascade[\w-]*", word)}
        assert named <= names | pods, words


def test_keda_is_paused_before_workers_are_scaled_by_hand_and_starts_before_them():
    blocks = [block for block in BLOCKS if "scale statefulset/cascade" in block]
    assert len(blocks) == 5
    for block in blocks:
        first, then = re.findall(r"paused-replicas(?:=\d+|-)|--replicas=\d+", block)
        assert first.split("=")[-1] == then.split("=")[-1] or first == "paused-replicas-", block


def test_a_job_is_deleted_before_it_is_applied_again():
    applied = [block for block in BLOCKS if "apply -k" in block]
    assert applied
    assert [block for block in applied if "delete job/cascade-topics" not in block.split("apply -k")[0]] == []


def test_kafkas_and_redis_tools_are_used_as_their_pod_has_them():
    (tools,) = [
        found
        for found in yaml.safe_load_all((TOP / "deploy" / "kubernetes" / "tools.yml").read_text())
        if found["kind"] == "Deployment"
    ]
    containers = {each["name"]: each for each in tools["spec"]["template"]["spec"]["containers"]}
    entered = {words[words.index("-c") + 1] for words in commands_of("kubectl") if "-c" in words}
    assert entered == set(containers)
    mounts = {each["name"]: each["mountPath"] for each in containers["kafka"]["volumeMounts"]}
    for program in PROGRAMS:
        for words in commands_of(program) if program.startswith("./") else []:
            assert words[:2] == ["--bootstrap-server", "$PIPELINE_BROKER"]
            assert words[2] == ("--consumer.config" if "consumer.sh" in program else "--command-config")
            assert words[3] == f"{mounts['client']}/client.properties"
    assert containers["kafka"]["workingDir"] == "/opt/kafka/bin"


def test_kafkas_tools_name_topics_and_the_group_of_the_pipeline():
    topics = {*contract.INPUTS, *contract.OUTPUTS}
    changelogs = {changelog_topic("cascade", table) for table in contract.TABLES}
    for program in PROGRAMS:
        for words in commands_of(program) if program.startswith("./kafka-") else []:
            named = dict(itertools.pairwise(words))
            assert named.get("--group", "cascade") == "cascade"
            if (topic := named.get("--topic")) and "--delete" in words:
                assert {name for name in topics | changelogs if re.fullmatch(topic, name)} == changelogs
            elif topic:
                assert topic in topics


def test_every_variable_is_a_setting():
    assert set(re.findall(r"\bPIPELINE_[A-Z_]*[A-Z]\b", RUNBOOK)) <= set(variables())


@pytest.mark.parametrize("line", SAID)
def test_what_a_worker_is_said_to_say_it_says(line):
    assert f"`{line}`" in RUNBOOK
    assert line in re.sub(r'"\s+f?"', "", SOURCE)


def test_every_link_leads_somewhere():
    headings = re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", RUNBOOK)) <= anchors
