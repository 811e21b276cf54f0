"""What deploys the pipeline is in step with it."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from commands import all_commands
from packaging.requirements import Requirement

from pipeline.settings import variables

TOP = Path(__file__).parents[2]
REQUIREMENTS = (TOP / "deploy" / "requirements.txt").read_text()
DOCKERFILE = (TOP / "deploy" / "Dockerfile").read_text()
DEPENDENCIES = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["dependencies"]


@pytest.fixture
def services():
    return yaml.safe_load((TOP / "docker-compose.yml").read_text())["services"]


def pins():
    """Return each pinned requirement by name, and its hashes."""
    blocks = re.split(
        r"\n(?=\S)", "\n".join(line for line in REQUIREMENTS.splitlines() if "# via" not in line)
    )
    found = {}
    for block in blocks:
        requirement = Requirement(block.split("\\")[0])
        found[requirement.name] = requirement, re.findall(r"--hash=sha256:([0-9a-f]{64})", block)
    return found


def test_every_requirement_is_one_version_with_its_hashes():
    for requirement, hashes in pins().values():
        assert [specifier.operator for specifier in requirement.specifier] == ["=="]
        assert hashes


def test_requirements_name_no_host():
    assert not re.search(r"://|--index-url|--find-links", REQUIREMENTS)


@pytest.mark.parametrize("line", DEPENDENCIES)
def test_requirements_hold_what_the_project_asks_for(line):
    asked = Requirement(line)
    requirement, _ = pins()[asked.name]
    (pin,) = requirement.specifier
    assert asked.specifier.contains(pin.version)


def run(*command):
    done = subprocess.run(command, cwd=TOP, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_is_of_the_form_that_compose_files_have():
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")


def test_compose_is_a_whole_system(services):
    servers, workers = {"kafka", "valkey"}, {"worker-1", "worker-2"}
    assert set(services) == {*servers, *workers, "topics", "feed", "collect", "prometheus", "grafana"}
    for name in servers:
        assert services[name]["healthcheck"]["test"]
    for name in (*workers, "feed"):
        assert services[name]["depends_on"]["topics"]["condition"] == "service_completed_successfully"
    scrapes = yaml.safe_load((TOP / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    assert scrapes[0]["static_configs"][0]["targets"] == [f"{name}:6066" for name in sorted(workers)]


def test_compose_runs_commands_that_there_are(services):
    own = [service for service in services.values() if service["image"] == "cascade-pipeline"]
    commands = [service.get("command", ["worker"]) for service in own]
    assert all({tuple(each[:1]), tuple(each[:2])} & set(all_commands()) for each in commands)


def test_compose_builds_the_image_once_before_others_use_it(services):
    own = {name: each for name, each in services.items() if each["image"] == "cascade-pipeline"}
    assert {name for name, each in own.items() if "build" in each} == {"topics"}
    assert {name for name, each in own.items() if "topics" in each["depends_on"]} == own.keys() - {"topics"}


def test_compose_opens_ports_on_this_machine_alone(services):
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len({port.split(":")[1] for port in ports}) == len(ports)


def test_compose_mounts_what_is_there(services):
    mounts = [volume for service in services.values() for volume in service.get("volumes", [])]
    files = [volume.split(":")[0] for volume in mounts if volume.startswith("./")]
    assert len(files) == 3
    assert all((TOP / path).is_dir() for path in files)


def test_compose_sets_only_settings_that_there_are(services):
    names = {name for service in services.values() for name in service.get("environment", {})}
    assert {name for name in names if name.startswith("PIPELINE_")} <= set(variables())


def test_each_worker_has_a_name_and_an_address_of_its_own(services):
    for name in ("worker-1", "worker-2"):
        environment = services[name]["environment"]
        assert environment["PIPELINE_GROUP_INSTANCE_ID"] == name
        assert environment["PIPELINE_WEB_URL"] == f"http://{name}:6066"


def test_hadolint_has_nothing_to_say_about_the_image():
    run("hadolint", "deploy/Dockerfile")


def test_the_image_is_built_from_files_that_there_are(services):
    build = services["topics"]["build"]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = [source for line in copied for source in line.split()]
    assert (TOP / build["context"] / build["dockerfile"]).read_text() == DOCKERFILE
    assert sources
    assert all((TOP / source).exists() for source in sources)
    sent = (TOP / ".dockerignore").read_text().splitlines()
    assert all(f"!{source.rstrip('/')}" in sent for source in sources)


def test_the_image_runs_without_root_and_without_pip():
    assert re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)[-1] != "0"
    assert DOCKERFILE.count("pip uninstall --yes pip") == 2


def test_the_images_variables_are_settings():
    names = set(re.findall(r"\bPIPELINE_\w+", DOCKERFILE))
    assert names
    assert names <= set(variables())
