"""What Kubernetes is given: of its form, and in step with the pipeline."""

import itertools
import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from commands import command_of

from pipeline.collect.venues import VENUES
from pipeline.settings import Settings, load_settings, variable, variables

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yml").read_text())
OBJECTS = [
    found
    for path in sorted(FOLDER.glob("*.yml"))
    if path.name != "kustomization.yml"
    for found in yaml.safe_load_all(path.read_text())
]
OF_KUBERNETES = [found for found in OBJECTS if found["kind"] != "ScaledObject"]


def the(kind, *, name=None):
    (found,) = [each for each in OBJECTS if each["kind"] == kind and name in {None, each["metadata"]["name"]}]
    return found


def settings_of_pods():
    return the("ConfigMap", name="cascade-settings")["data"]


def pods():
    return {
        found["metadata"]["name"]: found["spec"]["template"]["spec"]
        for found in OBJECTS
        if found["kind"] in {"StatefulSet", "Job", "Deployment"}
    }


def test_every_file_is_applied_but_the_form_of_the_secret():
    files = {path.name for path in FOLDER.glob("*.yml")}
    assert files - set(KUSTOMIZATION["resources"]) == {"kustomization.yml", "secret.yml"}


@pytest.mark.parametrize("found", OF_KUBERNETES, ids=lambda found: found["kind"])
def test_objects_are_of_the_form_that_kubernetes_wants(found):
    kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)


def test_the_scaling_rule_is_one_of_kubernetes_but_for_its_trigger():
    """KEDA, whose schemas are in no package, makes a HorizontalPodAutoscaler of it."""
    spec = the("ScaledObject")["spec"]
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "cascade"},
        "spec": {
            "scaleTargetRef": spec["scaleTargetRef"],
            "minReplicas": spec["minReplicaCount"],
            "maxReplicas": spec["maxReplicaCount"],
            "behavior": spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"],
        },
    }
    kubernetes_validate.validate(autoscaler, kubernetes_validate.latest_version(), strict=True)
    workers = the("StatefulSet")
    assert spec["scaleTargetRef"] == {
        "apiVersion": workers["apiVersion"],
        "kind": workers["kind"],
        "name": workers["metadata"]["name"],
    }


def test_there_are_no_more_workers_than_partitions():
    assert the("ScaledObject")["spec"]["maxReplicaCount"] == int(settings_of_pods()["PIPELINE_PARTITIONS"])


def test_the_settings_can_be_used_together(monkeypatch):
    (container,) = pods()["cascade"]["containers"]
    given = settings_of_pods() | the("Secret")["stringData"]
    given |= {each["name"]: each.get("value", "cascade-0") for each in container["env"]}
    given["PIPELINE_WEB_URL"] = given["PIPELINE_WEB_URL"].replace(
        "$(PIPELINE_GROUP_INSTANCE_ID)", "cascade-0"
    )
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.own_url == "http://cascade-0.cascade:6066"
    assert settings.group_instance_id == "cascade-0"
    # Handing over is done before the pod is killed.
    assert settings.session_timeout * 0.75 < pods()["cascade"]["terminationGracePeriodSeconds"]


def test_a_pods_address_is_one_that_the_headless_service_gives_it():
    workers, service = the("StatefulSet"), the("Service", name="cascade")
    assert workers["spec"]["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"].items() <= workers["spec"]["template"]["metadata"]["labels"].items()
    assert service["spec"]["ports"][0]["port"] == Settings.model_fields["web_port"].default


@pytest.mark.parametrize("name", pods())
def test_pods_run_without_root_on_a_root_that_nobody_writes_to(name):
    pod = pods()[name]
    assert pod["securityContext"]["runAsNonRoot"]
    assert f"USER {pod['securityContext']['runAsUser']}" in (FOLDER.parent / "Dockerfile").read_text()
    assert not pod["automountServiceAccountToken"]
    assert not pod["enableServiceLinks"]
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        written = [mount for mount in container["volumeMounts"] if not mount.get("readOnly")]
        assert written == [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108


def test_pods_name_settings_and_objects_that_there_are():
    secret = the("Secret")
    names = {"cascade-settings", secret["metadata"]["name"]}
    for pod in pods().values():
        for container in pod["containers"]:
            sources = itertools.chain.from_iterable(each.values() for each in container["envFrom"])
            assert {source["name"] for source in sources} == names
            own = {each["name"]: each for each in container.get("env", [])}
            if password := own.pop("REDISCLI_AUTH", None):
                reference = password["valueFrom"]["secretKeyRef"]
                assert reference == {"name": secret["metadata"]["name"], "key": variable("redis_password")}
            assert set(own) <= set(variables())
    assert set(settings_of_pods()) <= set(variables())
    assert {variable("sasl_password"), variable("redis_password")} < set(secret["stringData"])


def test_kafkas_scripts_get_in_as_the_workers_do():
    client = the("ConfigMap", name="cascade-client")["data"]["client.properties"]
    protocol, mechanism = (variable(name) for name in ("security_protocol", "sasl_mechanism"))
    assert f"security.protocol={settings_of_pods()[protocol]}\n" in client
    used = settings_of_pods().get(mechanism, Settings.model_fields["sasl_mechanism"].default)
    assert f"sasl.mechanism={used}\n" in client
    named = set(re.findall(r"\$\{env:(\w+)\}", client))
    assert named == {variable("sasl_username"), variable("sasl_password")}
    assert named <= settings_of_pods().keys() | the("Secret")["stringData"].keys()
    (volume,) = [each["configMap"] for each in pods()["cascade-tools"]["volumes"] if "configMap" in each]
    assert volume == {"name": "cascade-client"}


def test_tools_are_of_the_versions_that_compose_runs():
    services = yaml.safe_load((FOLDER.parents[1] / "docker-compose.yml").read_text())["services"]
    images = {each["name"]: each["image"] for each in pods()["cascade-tools"]["containers"]}
    used = {"cascade": "topics", "kafka": "kafka", "redis": "valkey"}
    assert images == {tool: services[service]["image"] for tool, service in used.items()}


def test_browsers_reach_a_worker_that_is_ready_and_from_outside_by_an_ingress_with_a_login():
    service, workers = the("Service", name="cascade-dashboard"), the("StatefulSet")
    assert service["spec"]["selector"].items() <= workers["spec"]["template"]["metadata"]["labels"].items()
    assert not service["spec"].get("publishNotReadyAddresses")
    left_out = (FOLDER / "dashboard.yml").read_text().split("# ---\n")[1]
    ingress = yaml.safe_load(re.sub("^# ", "", left_out, flags=re.MULTILINE))
    kubernetes_validate.validate(ingress, kubernetes_validate.latest_version(), strict=True)
    assert "nginx.ingress.kubernetes.io/auth-url" in ingress["metadata"]["annotations"]
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    backend, (port,) = path["backend"]["service"], service["spec"]["ports"]
    assert (backend["name"], backend["port"]["name"]) == (service["metadata"]["name"], port["name"])


def test_the_network_lets_through_what_the_settings_name():
    policy, settings = the("NetworkPolicy", name="cascade")["spec"], settings_of_pods()
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert int(settings["PIPELINE_BROKER"].rpartition(":")[2]) in ports
    assert int(settings["PIPELINE_REDIS_URL"].rpartition(":")[2].partition("/")[0]) in ports


def test_a_collector_serves_what_it_is_asked_for_and_may_ask_exchanges():
    (container,) = pods()["cascade-collect"]["containers"]
    name, *arguments = container["args"]
    context = command_of((name,)).make_context(name, arguments)
    assert {context.params["web_port"]} == {port["containerPort"] for port in container["ports"]}
    assert set(context.params["venues"]) <= set(VENUES)
    annotations = the("Deployment", name="cascade-collect")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(context.params["web_port"])
    policy = the("NetworkPolicy", name="cascade-collect")["spec"]
    assert [port["port"] for rule in policy["egress"] for port in rule["ports"]] == [443]
    assert policy["podSelector"]["matchLabels"]["part"] == "collect"
