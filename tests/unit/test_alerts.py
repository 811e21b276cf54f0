"""What Prometheus is to alert of: rules that come when they should, and that lead to what to do."""

import re
import subprocess

import pytest
import yaml
from servers import PROMETHEUS

from pipeline.collect.observed import Figures
from pipeline.collect.outbox import Outbox

RUNBOOK = PROMETHEUS.parent / "RUNBOOK.md"
RULES = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]


@pytest.mark.prometheus
@pytest.mark.parametrize(
    "check",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_finds_nothing_wrong(check):
    done = subprocess.run(["promtool", *check], cwd=PROMETHEUS, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_with_its_value_for_whom_and_where_help_is(rule):
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["labels"]["team"] in {"operations", "desk"}
    assert rule["annotations"]["summary"]
    assert "$value" in rule["annotations"]["description"]
    path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert path == "deploy/RUNBOOK.md"
    headings = re.findall(r"^#+ (.+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_alert_is_tested_to_come_and_not_to_come():
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in RULES}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names


@pytest.mark.parametrize("path", ["deploy/prometheus/alerts.yml", "deploy/RUNBOOK.md", "README.md"])
def test_every_metric_of_collectors_that_is_named_is_one(path):
    named = set(re.findall(r"\bcollect_\w+", (PROMETHEUS.parents[1] / path).read_text()))
    figures = Figures([], Outbox(None)).collect()
    assert named
    assert named <= {each.name + "_total" * (each.type == "counter") for each in figures}
