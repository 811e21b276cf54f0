"""What deploys the pipeline is in step with it."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from pipeline.settings import variables

TOP = Path(__file__).parents[2]
REQUIREMENTS = (TOP / "deploy" / "requirements.txt").read_text()
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


def test_compose_starts_kafka_valkey_the_topics_and_two_workers(services):
    assert set(services) == {"kafka", "valkey", "topics", "worker-1", "worker-2"}
    for name in ("kafka", "valkey"):
        assert services[name]["healthcheck"]["test"]
    for name in ("worker-1", "worker-2"):
        assert services[name]["depends_on"]["topics"]["condition"] == "service_completed_successfully"


def test_compose_sets_only_settings_that_there_are(services):
    names = {name for service in services.values() for name in service.get("environment", {})}
    assert {name for name in names if name.startswith("PIPELINE_")} <= set(variables())


def test_the_image_is_built_from_files_that_there_are(services):
    build = services["topics"]["build"]
    dockerfile = (TOP / build["context"] / build["dockerfile"]).read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    sources = [source for line in copied for source in line.split()]
    assert sources
    assert all((TOP / source).exists() for source in sources)


def test_the_image_runs_without_root():
    dockerfile = (TOP / "deploy" / "Dockerfile").read_text()
    assert re.findall(r"^USER (\d+)$", dockerfile, re.MULTILINE)[-1] != "0"
