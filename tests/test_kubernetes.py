"""The Kubernetes manifests, as far as they can be judged without a cluster: the API's own schema, and what the files promise each other.

``tests/inputs/kubernetes_1.33_schema.json.gz`` has the kinds used here, from the OpenAPI description of Kubernetes 1.33 (Apache-2.0). It is
strict: a field that the API does not know is an error.
"""

from __future__ import annotations

import copy
import gzip
import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from flows.settings import Settings, known_variables, load_settings
from gateway.keys import KeyStore, KeyStoreError
from local.data_dir import DataDir
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / "deploy" / "kubernetes"
SCHEMA = json.loads(gzip.decompress((ROOT / "tests" / "inputs" / "kubernetes_1.33_schema.json.gz").read_bytes()))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
NAME, PART = "app.kubernetes.io/name", "app.kubernetes.io/part-of"
MADE_BY_HAND = {"onramp-secrets", "onramp-gateway-keys", "onramp-catalog"}
"""Secrets and the catalog, which docs/kubernetes.md says how to make."""
WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 and shutil.which("setpriv") else []
"""Before a command of a pod: for root, who may write every file otherwise. A pod drops all capabilities."""
TEST_SECRETS = {"redis-url": "redis://redis:6379/0", "clickhouse-url": "http://clickhouse:8123", "secret": "a secret for the tests"}

Object = dict[str, Any]


def read(path: Path) -> list[Object]:
    return list(YAML(typ="safe", pure=True).load_all(path))


OBJECTS: list[Object] = [each for path in sorted(DIRECTORY.glob("*.yaml")) for each in read(path)]


def complaints(manifest: Object) -> list[str]:
    """What the API would say against an object."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    group = {"": "core", "networking.k8s.io": "networking"}.get(group, group)
    schema = {**SCHEMA, "$ref": f"#/$defs/io.k8s.api.{group}.{version}.{manifest['kind']}"}
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(manifest)]


def one(kind: str, name: str) -> Object:
    (found,) = (each for each in OBJECTS if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


ARCHIVE_OBJECTS = read(DIRECTORY / "archive" / "archive.yaml")
"""Optional, so `kubectl apply -f deploy/kubernetes/` must not take it."""
(ARCHIVE,) = (each for each in ARCHIVE_OBJECTS if each["kind"] == "Deployment")
JOB, GATEWAY = one("StatefulSet", "onramp-job"), one("Deployment", "onramp-gateway")
WORKLOADS = [pytest.param(each, id=each["metadata"]["name"]) for each in (JOB, GATEWAY)]
ALL_WORKLOADS = [*WORKLOADS, pytest.param(ARCHIVE, id="onramp-archive")]


def pod(workload: Object) -> Object:
    found: Object = workload["spec"]["template"]["spec"]
    return found


def containers(workload: Object) -> list[Object]:
    return [*pod(workload).get("initContainers", []), *pod(workload)["containers"]]


def test_the_directory_holds_the_job_the_gateway_and_their_settings() -> None:
    kinds = sorted((each["kind"], each["metadata"]["name"]) for each in OBJECTS)
    around = ("NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount")
    assert kinds == sorted(
        [("ConfigMap", "onramp-settings"), ("Deployment", "onramp-gateway"), ("StatefulSet", "onramp-job")]
        + [(kind, name) for kind in around for name in ("onramp-gateway", "onramp-job")]
    )


@pytest.mark.parametrize(
    "manifest", [pytest.param(each, id=f"{each['kind']}-{each['metadata']['name']}") for each in [*OBJECTS, *ARCHIVE_OBJECTS]]
)
def test_the_api_takes_it(manifest: Object) -> None:
    assert complaints(manifest) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.podManagementPolicie", "Parallel"),
        ("spec.replicas", "two"),
        ("spec.template.spec.containers.0.livenessprobe", {}),
        ("spec.template.spec.containers.0.ports.0.containerPort", None),
        ("spec.template.spec.securityContext.runAsNonRoot", "yes"),
    ],
)
def test_the_schema_refuses_what_the_api_would_refuse(path: str, value: object) -> None:
    """A check that cannot fail protects nothing."""
    broken = copy.deepcopy(JOB)
    *way, last = path.split(".")
    place: Any = broken
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    assert complaints(broken)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_labels_services_budgets_and_policies_mean_the_same_pods(workload: Object) -> None:
    name = workload["metadata"]["name"]
    labels = {NAME: name, PART: "onramp"}
    assert workload["spec"]["template"]["metadata"]["labels"] == labels
    assert workload["spec"]["selector"]["matchLabels"] == {NAME: name}
    assert one("Service", name)["spec"]["selector"] == {NAME: name}
    assert one("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"] == {NAME: name}
    assert one("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"] == {NAME: name}
    assert pod(workload)["serviceAccountName"] == name
    assert pod(workload)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] == {NAME: name}
    for each in OBJECTS:
        assert each["metadata"]["labels"][PART] == "onramp"


@pytest.mark.parametrize("workload", ALL_WORKLOADS)
def test_nothing_runs_as_root_or_writes_to_the_image(workload: Object) -> None:
    spec = pod(workload)
    assert spec["securityContext"].items() >= {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001}.items()
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in containers(workload):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["image"] == f"onramp:{VERSION}"
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
    writable = {each["mountPath"] for each in spec["containers"][0]["volumeMounts"] if not each.get("readOnly")}
    assert writable == {"/var/lib/onramp", "/tmp"}


@pytest.mark.parametrize("workload", ALL_WORKLOADS)
def test_every_volume_is_there_and_every_mount_has_one(workload: Object) -> None:
    spec = pod(workload)
    there = {each["name"] for each in (*spec["volumes"], *(one["metadata"] for one in workload["spec"].get("volumeClaimTemplates", ())))}
    assert there == {mount["name"] for container in containers(workload) for mount in container.get("volumeMounts", ())}
    named = {each["secret"]["secretName"] for each in spec["volumes"] if "secret" in each}
    named |= {each["configMap"]["name"] for each in spec["volumes"] if "configMap" in each}
    page = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    assert named <= MADE_BY_HAND
    assert all(f" {name} " in page for name in named)
    assert all(each["secret"]["defaultMode"] == 0o440 for each in spec["volumes"] if "secret" in each)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_probes_ask_what_the_program_answers(workload: Object) -> None:
    (container,) = pod(workload)["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    health, ready = ("/health", "/ready") if workload is JOB else ("/healthz", "/readyz")
    asked = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: each["path"] for name, each in asked.items()} == {"startup": health, "liveness": health, "readiness": ready}
    assert all(each["port"] in ports for each in asked.values())
    program = ROOT / ("flows/metrics/server.py" if workload is JOB else "gateway/app.py")
    assert all(f'"{path}"' in program.read_text(encoding="utf-8") for path in (health, ready))
    taken = {port for rule in one("NetworkPolicy", workload["metadata"]["name"])["spec"]["ingress"] for port in ports_of(rule)}
    assert taken == set(ports.values())


def ports_of(rule: Object) -> Iterator[int]:
    yield from (each["port"] for each in rule["ports"])


def settings_of(workload: Object, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """The settings as the program reads them in the pod ``name``, with secrets of the tests."""
    (container,) = pod(workload)["containers"]
    environment = dict(one("ConfigMap", "onramp-settings")["data"])
    for each in container["env"]:
        environment[each["name"]] = each.get("value", name)
    for variable, value in environment.items():
        if variable.endswith("_FILE"):
            file = tmp_path / Path(value).name
            file.write_text(TEST_SECRETS[file.name])
            environment[variable] = str(file)
        assert variable in known_variables() or not variable.startswith("ONRAMP_")
        monkeypatch.setenv(variable, environment[variable])
    return load_settings()


def test_one_archive_runs_and_never_without_a_place_that_lasts() -> None:
    (container,) = pod(ARCHIVE)["containers"]
    assert (ARCHIVE["spec"]["replicas"], ARCHIVE["spec"]["strategy"]) == (1, {"type": "Recreate"})
    assert container["command"] == ["onramp", "archive"]
    places = {each["name"]: each for each in container["env"]}
    assert places["ONRAMP_ARCHIVE_DIR"]["valueFrom"] == {"configMapKeyRef": {"name": "onramp-settings", "key": "ONRAMP_ARCHIVE_DIR"}}
    assert set(places) <= set(known_variables())
    ((name, port),) = ((each["name"], each["containerPort"]) for each in container["ports"])
    assert places["ONRAMP_ARCHIVE_METRICS_ADDRESS"]["value"].endswith(f":{port}")
    assert {container[f"{probe}Probe"]["httpGet"]["port"] for probe in ("startup", "liveness", "readiness")} == {name}
    policy = next(each for each in ARCHIVE_OBJECTS if each["kind"] == "NetworkPolicy")
    assert policy["spec"]["podSelector"]["matchLabels"] == ARCHIVE["spec"]["selector"]["matchLabels"]
    assert [port] == [each for rule in policy["spec"]["ingress"] for each in ports_of(rule)]
    text = (DIRECTORY / "settings.yaml").read_text(encoding="utf-8")
    assert "# ONRAMP_ARCHIVE_DIR: s3://" in text, "the archive's manifest says that it is set there"


@pytest.mark.parametrize("number", range(JOB["spec"]["replicas"]))
def test_the_pods_of_the_job_are_its_processes(number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = settings_of(JOB, f"onramp-job-{number}", monkeypatch, tmp_path).processes()
    service = one("Service", "onramp-job")["spec"]
    (port,) = (each["port"] for each in service["ports"] if each["name"] == "cluster")
    assert JOB["spec"]["serviceName"] == "onramp-job"
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is True
    assert found.number == number
    assert found.addresses == tuple(f"onramp-job-{each}.onramp-job:{port}" for each in range(JOB["spec"]["replicas"]))


def test_the_computation_can_begin_and_never_mixes_versions() -> None:
    """A pod that waited for the one before to be ready would wait for ever; one that is updated alone would meet the others' old code."""
    assert JOB["spec"]["podManagementPolicy"] == "Parallel"
    assert JOB["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert JOB["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_only_the_job_reaches_the_port_that_takes_python_objects() -> None:
    rules = [rule for rule in one("NetworkPolicy", "onramp-job")["spec"]["ingress"] if 2101 in ports_of(rule)]
    assert rules == [{"from": [{"podSelector": {"matchLabels": {NAME: "onramp-job"}}}], "ports": [{"protocol": "TCP", "port": 2101}]}]


def test_the_gateway_reads_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = settings_of(GATEWAY, "onramp-gateway-1", monkeypatch, tmp_path)
    assert (found.gateway_host, found.gateway_port, found.process_addresses) == ("0.0.0.0", 8080, ())


def test_gateways_follow_the_secret_with_the_keys(tmp_path: Path) -> None:
    """A revoked key ends with the Secret that no longer has it in force, in every pod and without a restart."""
    laptop, mounted, data = KeyStore(tmp_path / "laptop" / "keys.json"), tmp_path / "mounted", tmp_path / "data"
    for directory in (tmp_path / "laptop", mounted, data):
        directory.mkdir()
    key, text = laptop.create("server")

    def update_secret(version: str) -> None:
        """Do what the kubelet does with a mounted Secret: make a directory, and swap the link to it."""
        (mounted / version).mkdir()
        for name, content in (("keys.json", (tmp_path / "laptop" / "keys.json").read_text()), ("FORMAT", "onramp-data 1\n")):
            (mounted / version / name).write_text(content)
            (mounted / version / name).chmod(0o440)  # as the kubelet mounts it with an fsGroup
        (mounted / "..new").symlink_to(version)
        (mounted / "..new").replace(mounted / "..data")

    update_secret("..1")
    for name in ("keys.json", "FORMAT"):
        (mounted / name).symlink_to(f"..data/{name}")
    (prepare,) = pod(GATEWAY)["initContainers"]
    script = prepare["command"][-1].replace("/etc/onramp/keys", str(mounted)).replace("/var/lib/onramp", str(data))
    for _ in range(2):  # a pod whose sandbox is made again prepares its volume again
        subprocess.run([*WITHOUT_RIGHTS, *prepare["command"][:-1], script], check=True, timeout=PATIENCE)

    in_pod = KeyStore(DataDir.open(data).keys, reload_seconds=0)
    assert in_pod.ring().find(text) is not None
    laptop.revoke(key.id)
    update_secret("..2")
    assert in_pod.ring().find(text) is None
    with pytest.raises(KeyStoreError, match="is a link"):  # it would hold in this pod only, and end with it
        in_pod.create("server")
    assert in_pod.ring().keys == KeyStore(tmp_path / "laptop" / "keys.json").all_keys()


def test_the_gateway_has_the_secret_where_its_keys_link_to() -> None:
    for container in containers(GATEWAY):
        (mount,) = (each for each in container["volumeMounts"] if each["name"] == "keys")
        assert mount == {"name": "keys", "mountPath": "/etc/onramp/keys", "readOnly": True}, "with subPath it would never be updated"


def test_a_pod_has_the_time_to_end_in_order() -> None:
    compose = YAML(typ="safe", pure=True).load(ROOT / "docker-compose.yml")["services"]
    for service, workload in (("job", JOB), ("gateway", GATEWAY)):
        needed = int(re.fullmatch(r"(\d+)s", compose[service]["stop_grace_period"])[1])  # type: ignore[index]
        assert pod(workload)["terminationGracePeriodSeconds"] >= needed


def test_prompts_are_mounted_where_the_job_looks_for_them() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    shown = pod(YAML(typ="safe", pure=True).load(block))
    job = copy.deepcopy(JOB)
    (container,), (added,) = pod(job)["containers"], shown["containers"]
    (catalog,) = (each for each in container["volumeMounts"] if each["name"] == "catalog")
    (mount,), (volume,) = added["volumeMounts"], shown["volumes"]
    assert (added["name"], mount["name"]) == (container["name"], volume["name"])
    assert mount["mountPath"] == f"{catalog['mountPath']}/prompts"
    container["volumeMounts"].append(mount)
    pod(job)["volumes"].append(volume)
    assert complaints(job) == []
