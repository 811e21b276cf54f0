"""A live worker, scraped by a real Prometheus: its metrics, the alerts and every query of the dashboard."""

import asyncio
import json
import re
import subprocess
import time
from typing import NamedTuple
from urllib.request import urlopen

import pytest
from commands import start
from conftest import deploy
from servers import HOST, PROMETHEUS, PrometheusServer, running
from workers import PATIENCE, Worker

from pipeline.cli.simulated.simulation import Market

DASHBOARD = PROMETHEUS.parent / "grafana" / "dashboards" / "cascade.json"
PANELS = [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
ALERTS = re.findall(r"- alert: (\w+)", (PROMETHEUS / "alerts.yml").read_text())
EMPTY_WHEN_ALL_IS_WELL = {"cascade_dead_letters_total"}

pytestmark = pytest.mark.prometheus


def until(condition, otherwise):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.2)
    return found


class Observed(NamedTuple):
    """Who looks on, at what, and the market that is played."""

    prometheus: PrometheusServer
    target: str
    market: subprocess.Popen


@pytest.fixture(scope="module")
def observed(broker, valkey):
    """Let a worker live through a cascade under the eyes of Prometheus."""
    settings = asyncio.run(deploy(broker, valkey))
    with Worker(settings) as worker:
        target = f"{HOST}:{worker.settings.web_port}"
        with (
            running(PrometheusServer([target])) as prometheus,
            start(settings, "simulate", "--seconds", "20") as market,
        ):
            try:
                extreme = 'cascade_signals_total{level="EXTREME"} > 0'
                until(lambda: query(prometheus, extreme), "there is no cascade")
                yield Observed(prometheus, target, market)
            finally:
                market.kill()


@pytest.fixture(scope="module")
def exposed(observed):
    """Return what the worker's /metrics says."""
    with urlopen(f"http://{observed.target}/metrics") as response:
        return response.read()


def query(prometheus, expression):
    return prometheus.get("query", query=expression)["result"]


def test_a_cascade_is_alerted_of_and_nothing_else(observed):
    prometheus = observed.prometheus
    firing = 'ALERTS{alertstate="firing"}'
    until(lambda: query(prometheus, f"{firing} and {firing[:-1]},alertname='CascadeExtreme'}}"), "no alert")
    names = {found["metric"]["alertname"] for found in query(prometheus, firing)}
    assert names <= {"CascadeExtreme", "CascadeCritical"}


def test_every_rule_can_be_evaluated(observed):
    def health():
        groups = observed.prometheus.get("rules")["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}

    until(lambda: "unknown" not in health().values(), "some rules are not evaluated")
    assert health() == dict.fromkeys(ALERTS, "ok")


def test_promtool_has_nothing_to_say_about_the_metrics(exposed):
    done = subprocess.run(["promtool", "check", "metrics"], input=exposed, check=False, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("file", ["prometheus/alerts.yml", "RUNBOOK.md"])
def test_every_metric_that_is_named_is_one_that_a_worker_has(exposed, file):
    named = set(re.findall(r"\b(?:cascade|process)_\w+", (PROMETHEUS.parent / file).read_text()))
    assert named
    found = metrics(exposed)
    assert named - found - {re.sub("_count$", "", name) for name in found} == set()


def test_every_metric_that_a_worker_has_is_on_the_dashboard(exposed):
    shown = {re.sub("_bucket$", "", name) for name in re.findall(r"\bcascade_\w+(?=\{)", " ".join(QUERIES))}
    own = {
        re.sub("_(bucket|sum|count)$", "", name) for name in metrics(exposed) if name.startswith("cascade_")
    }
    assert own - {re.sub("_count$", "", name) for name in shown} == {"cascade_build_info"}


def metrics(text):
    return set(re.findall(r"^(\w+)[{ ]", text.decode(), re.MULTILINE))


@pytest.mark.parametrize("expression", QUERIES)
def test_every_query_of_the_dashboard_can_be_answered(observed, expression):
    prometheus = observed.prometheus
    filled = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
    assert "$" not in filled
    if any(name in expression for name in EMPTY_WHEN_ALL_IS_WELL):
        assert query(prometheus, filled) == []
        filled = filled.removesuffix(" > 0")
    until(lambda: query(prometheus, filled), "no data")


def test_the_market_that_was_played_ends_and_tells_how_much_it_was(observed):
    market = Market(20)
    sent = sum(1 for _ in market.warm_up(0)) + sum(1 for _ in market.play(0))
    assert observed.market.communicate(timeout=PATIENCE) == (f"{sent:,} events were sent\n", "")
    assert observed.market.returncode == 0
