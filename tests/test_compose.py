"""The production-like stack, as far as it can be judged without a container engine: the file's shape and its promises.

Where the compose plugin is installed, its own parser judges the file too; it needs no running engine for that.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from ruamel.yaml import YAML

from cli.app import _COMMANDS
from flows.settings import known_variables, load_settings
from tests.cli.command import onramp, start
from tests.support.dockerfile import parse
from tests.support.ports import port_of, reserve
from tests.support.shown_commands import in_markdown
from tests.support.tansu import run_tansu
from tests.support.valkey import run_valkey
from tests.support.waiting import running, wait_until

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = ROOT / "docker-compose.yml"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
ONE_SHOT = frozenset({"kafka-topics"})
STORES = {name: f"{name}-data" for name in ("kafka", "valkey", "clickhouse", "job", "gateway", "prometheus", "grafana")}
PROFILES = {"prometheus": ["observability"], "grafana": ["observability"], "archive": ["archive"]}
"""Start only with a profile."""

#: The keys of the compose schema that this file uses. Compose refuses unknown keys; a misspelt `healthcheck` must not wait for that.
SERVICE_KEYS = frozenset(
    "build cap_drop command depends_on entrypoint environment healthcheck hostname image init logging mem_limit ports profiles read_only"
    " restart security_opt stop_grace_period stop_signal tmpfs ulimits volumes".split()
)
HEALTH_KEYS = frozenset({"test", "interval", "timeout", "retries", "start_period"})
CONDITIONS = frozenset({"service_healthy", "service_completed_successfully"})


@pytest.fixture(scope="module")
def stack() -> dict[str, Any]:
    parsed: dict[str, Any] = YAML(typ="safe", pure=True).load(COMPOSE)
    return parsed


@pytest.fixture(scope="module")
def services(stack: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = stack["services"]
    return found


def test_the_stack_is_kafka_valkey_clickhouse_the_job_and_the_gateway(stack: dict[str, Any], services: dict[str, dict[str, Any]]) -> None:
    assert set(stack) == {"name", "services", "volumes"}
    assert set(services) == {*STORES, *ONE_SHOT, "archive"}
    for name, service in services.items():
        assert set(service) <= SERVICE_KEYS, name
        assert service.get("profiles") == PROFILES.get(name), name


def test_images_are_pinned_to_an_exact_release(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        tag = service["image"].rpartition(":")[2]
        assert re.fullmatch(r"v?\d+\.\d+\.\d+(\.\d+)?(-\w+)?", tag), f"{name}: {service['image']}"
    stages = parse((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    base = {stage.base for stage in stages} - {stage.name for stage in stages}
    assert all(re.fullmatch(r"python:3\.(11|12)\.\d+-[\w-]+", image) for image in base), base
    assert base


@pytest.mark.parametrize("name", ["job", "gateway", "archive"])
def test_our_image_runs_without_root_and_writes_to_its_volume_and_tmp_only(services: dict[str, dict[str, Any]], name: str) -> None:
    """The other images are not ours: some of their entrypoints need root, to give it up."""
    service, (*_, last) = services[name], parse((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    assert (service["read_only"], service["tmpfs"], service["cap_drop"]) == (True, ["/tmp"], ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    (user,) = (each.text for each in last.instructions if each.keyword == "USER")
    assert int(user) >= 1000, "a number, so that Kubernetes can see that it is not root's"
    (volume,) = (each.text for each in last.instructions if each.keyword == "VOLUME")
    assert [each.rpartition(":")[2] for each in service["volumes"] if not each.endswith(":ro")] == [volume]


def test_every_lasting_service_is_watched_restarted_and_capped(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["mem_limit"], name
        if name in ONE_SHOT:
            assert service["restart"].startswith("on-failure"), name
            continue
        assert service["restart"] == "unless-stopped", name
        health = service["healthcheck"]
        assert set(health) == HEALTH_KEYS, name
        assert health["test"][0] in {"CMD", "CMD-SHELL"}, name
        assert _seconds(health["timeout"]) <= _seconds(health["interval"]), name


def test_the_log_of_every_service_has_a_limit(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        options = service["logging"]["options"]
        assert (service["logging"]["driver"], options["max-size"], int(options["max-file"])) == ("json-file", "20m", 5), name


def test_whatever_must_survive_a_container_is_on_a_named_volume(stack: dict[str, Any], services: dict[str, dict[str, Any]]) -> None:
    assert set(stack["volumes"]) == set(STORES.values())
    for name, volume in STORES.items():
        assert any(mount.startswith(f"{volume}:/") for mount in services[name]["volumes"]), name


def test_mounted_files_exist(services: dict[str, dict[str, Any]]) -> None:
    mounts = [mount for service in services.values() for mount in service.get("volumes", []) if mount.startswith(".")]
    assert mounts
    for mount in mounts:
        source, _, rest = mount.partition(":")
        assert (ROOT / source).is_file(), mount
        assert rest.endswith(":ro"), mount


def test_ports_are_published_on_loopback_only(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_nothing_starts_before_what_it_needs(services: dict[str, dict[str, Any]]) -> None:
    needs = {name: {on: how["condition"] for on, how in service.get("depends_on", {}).items()} for name, service in services.items()}
    assert needs["job"] == {"kafka-topics": "service_completed_successfully", "valkey": "service_healthy", "clickhouse": "service_healthy"}
    assert needs["gateway"] == {"kafka-topics": "service_completed_successfully", "valkey": "service_healthy"}, (
        "not the job: it takes events"
    )
    assert needs["kafka-topics"] == {"kafka": "service_healthy"}
    assert {condition for on in needs.values() for condition in on.values()} <= CONDITIONS


def test_the_topics_are_those_of_the_contract(services: dict[str, dict[str, Any]]) -> None:
    script = services["kafka-topics"]["command"][0]
    created = dict(re.findall(r"--create --if-not-exists --topic (\S+) --partitions (\d+)", script))
    assert created == {"onboarding.events": "6", "onboarding.events.dlq": "1"}
    assert services["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_kafka_is_one_kraft_node_whose_listeners_agree(services: dict[str, dict[str, Any]]) -> None:
    env = services["kafka"]["environment"]
    assert set(env["KAFKA_PROCESS_ROLES"].split(",")) == {"broker", "controller"}
    listeners = {entry.partition("://")[0] for entry in env["KAFKA_LISTENERS"].split(",")}
    advertised = {entry.partition("://")[0] for entry in env["KAFKA_ADVERTISED_LISTENERS"].split(",")}
    protocols = {entry.partition(":")[0] for entry in env["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")}
    controller = env["KAFKA_CONTROLLER_LISTENER_NAMES"]
    assert listeners == protocols == {*advertised, controller}
    assert controller not in advertised
    assert env["KAFKA_INTER_BROKER_LISTENER_NAME"] in advertised
    port = re.search(rf"{controller}://[^,]*:(\d+)", env["KAFKA_LISTENERS"])
    assert port
    assert env["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"{env['KAFKA_NODE_ID']}@{services['kafka']['hostname']}:{port[1]}"
    assert f"INTERNAL://{services['job']['environment']['ONRAMP_KAFKA_BROKERS']}" in env["KAFKA_ADVERTISED_LISTENERS"]


def test_the_job_is_pointed_at_the_services_and_given_its_secret(services: dict[str, dict[str, Any]]) -> None:
    env = services["job"]["environment"]
    assert {"ONRAMP_KAFKA_BROKERS", "ONRAMP_REDIS_URL", "ONRAMP_CLICKHOUSE_URL", "ONRAMP_SECRET", "ONRAMP_DATA_DIR"} <= set(env)
    assert env["ONRAMP_REDIS_URL"].startswith("redis://valkey:")
    assert "@clickhouse:8123" in env["ONRAMP_CLICKHOUSE_URL"]
    assert services["job"]["stop_signal"] == services["gateway"]["stop_signal"] == "SIGTERM"
    assert any(mount == f"job-data:{env['ONRAMP_DATA_DIR']}" for mount in services["job"]["volumes"])
    ours = {name.removeprefix("ONRAMP_").lower(): value for name, value in env.items() if name.startswith("ONRAMP_")}
    given = {name: re.sub(r"\$\{\w+:\?[^}]*\}", "a-value-of-sixteen", re.sub(r"\$\{\w+:-\}", "", value)) for name, value in ours.items()}
    load_settings(**{name: value for name, value in given.items() if value})


def test_every_setting_that_the_runbook_names_reaches_its_container(services: dict[str, dict[str, Any]]) -> None:
    """A setting in .env alone does nothing: compose passes what a service names."""
    named = set(re.findall(r"\bONRAMP_[A-Z0-9_]*[A-Z0-9]\b", RUNBOOK))
    of_other_jobs = {name for name in named if name.startswith("ONRAMP_EVENT_LOG")} | {"ONRAMP_PROCESS_ADDRESSES"}
    of_the_file = {"ONRAMP_WORKERS", "ONRAMP_JOB_VOLUME"}
    assert of_the_file <= set(re.findall(r"\$\{(\w+)", COMPOSE.read_text(encoding="utf-8")))
    passed = {name: set(services[name]["environment"]) for name in ("job", "gateway", "archive")}
    wanted = named - of_other_jobs - of_the_file
    of_the_archive = {name for name in wanted if name.startswith("ONRAMP_ARCHIVE_")}
    assert wanted - of_the_archive <= passed["job"]
    assert of_the_archive <= passed["archive"]
    assert {"ONRAMP_CLICKHOUSE_DATABASE"} <= passed["gateway"], "it reads what the job writes"
    for name, service in passed.items():
        for setting in service & (wanted - {"ONRAMP_SECRET", "ONRAMP_CATALOG", "ONRAMP_DATA_DIR"}):
            assert services[name]["environment"][setting] == f"${{{setting}:-}}", setting


def test_what_the_runbook_runs_with_compose_fits_the_file(services: dict[str, dict[str, Any]]) -> None:
    shown = [*in_markdown(RUNBOOK), *re.findall(r"`(docker compose run [^`]+)`", RUNBOOK)]
    words = [shlex.split(command) for command in shown if "docker compose" in command]
    runs = [each[each.index("run") + 1 :] for each in words if "run" in each]
    assert len(runs) >= 5
    seen = set[str]()
    for each in runs:
        given = argparse.ArgumentParser(exit_on_error=False)
        for flag in ("--rm", "--no-deps"):
            given.add_argument(flag, action="store_true", required=True)
        given.add_argument("--entrypoint", required=True)
        given.add_argument("--volume", action="append", default=[])
        given.add_argument("service")
        given.add_argument("arguments", nargs=argparse.REMAINDER)
        found = given.parse_args(each)
        assert found.service in services
        assert found.entrypoint in {"onramp", "sh"}, "not the job itself, which would be a second one"
        assert all(volume.startswith("/backups:/backups") for volume in found.volume)
        if found.entrypoint == "onramp" and found.arguments:
            seen.add(found.arguments[0])
    assert {"backup", "restore", "doctor"} <= seen
    assert seen <= set(_COMMANDS)
    for each in words:
        assert each[each.index("compose") + 1] in {"run", "up", "stop", "build", "logs", "exec"}


def test_a_restored_backup_gets_a_volume_of_its_own(stack: dict[str, Any], services: dict[str, dict[str, Any]]) -> None:
    """The data directory is the root of the volume, and a restore takes an empty directory only. The old name is the default."""
    volume = stack["volumes"]["job-data"]["name"]
    assert volume == "${ONRAMP_JOB_VOLUME:-${COMPOSE_PROJECT_NAME}_job-data}"
    assert "export ONRAMP_JOB_VOLUME=" in RUNBOOK
    assert f"--into {services['job']['environment']['ONRAMP_DATA_DIR']}\n" in RUNBOOK


def test_the_gateway_has_what_the_job_has(services: dict[str, dict[str, Any]]) -> None:
    job, gateway = services["job"]["environment"], services["gateway"]["environment"]
    shared = {"ONRAMP_KAFKA_BROKERS", "ONRAMP_REDIS_URL", "ONRAMP_CLICKHOUSE_URL", "ONRAMP_SECRET", "ONRAMP_CATALOG", "ONRAMP_DATA_DIR"}
    assert {name: job[name] for name in shared} == {name: gateway[name] for name in shared}
    assert services["gateway"]["image"] == services["job"]["image"]
    catalogs = [mount for mount in services["job"]["volumes"] if mount.endswith(":/etc/onramp:ro")]
    assert catalogs == [mount for mount in services["gateway"]["volumes"] if mount.endswith(":/etc/onramp:ro")]
    assert f"gateway-data:{gateway['ONRAMP_DATA_DIR']}" in services["gateway"]["volumes"]


def test_the_archive_is_in_the_data_directory_of_the_job(services: dict[str, dict[str, Any]]) -> None:
    """`onramp forget` in the container of the job must find it."""
    job, archive = services["job"], services["archive"]
    s3 = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL")
    for name in ("ONRAMP_KAFKA_BROKERS", "ONRAMP_DATA_DIR", "ONRAMP_ARCHIVE_DIR", *s3):
        assert archive["environment"][name] == job["environment"][name]
    assert archive["image"] == job["image"]
    assert set(archive["volumes"]) == {each for each in job["volumes"] if not each.endswith(":ro")}
    given = {name: value for name, value in archive["environment"].items() if name.startswith("ONRAMP_") and not value.startswith("$")}
    settings = load_settings(**{name.removeprefix("ONRAMP_").lower(): value for name, value in given.items()})
    _, _, port = str(settings.archive_metrics_address).rpartition(":")
    assert f"127.0.0.1:{port}:{port}" in archive["ports"]
    assert f":{port}/health" in archive["healthcheck"]["test"][-1]
    prometheus = YAML(typ="safe", pure=True).load(ROOT / "docker" / "observability" / "prometheus.yml")
    (targets,) = (each["static_configs"][0]["targets"] for each in prometheus["scrape_configs"] if each["job_name"] == "onramp-archive")
    assert targets == [f"archive:{port}"]


@pytest.mark.timing
def test_the_gateway_that_the_file_starts_takes_events(services: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """From the sources, on a port of this machine, with a broker and a Valkey of the tests."""
    service = services["gateway"]
    held = reserve()
    port = port_of(held)
    with held, run_tansu() as broker, run_valkey(tmp_path) as valkey:
        broker.create_topic("onboarding.events", 1)
        there = {
            "ONRAMP_KAFKA_BROKERS": broker.brokers,
            "ONRAMP_REDIS_URL": valkey.url,
            "ONRAMP_SECRET": "a-value-of-sixteen",
            "ONRAMP_CATALOG": "saas",
            "ONRAMP_DATA_DIR": str(tmp_path / "data"),
        }
        unset = {name: re.sub(r"\$\{\w+:-\}", "", value) for name, value in service["environment"].items()}
        given = {**unset, **there, "ONRAMP_GATEWAY_PORT": str(port)}
        given["ONRAMP_CLICKHOUSE_URL"] = "http://127.0.0.1:1"  # nobody: it is asked only while Valkey is away
        program, *arguments = service["entrypoint"]
        assert program == "onramp"
        (key,) = re.findall(r"sk_\w+", onramp("keys", "create", "server", cwd=tmp_path, **given).out)
        program, *words = service["healthcheck"]["test"][1:]
        assert program == "python"
        assert "127.0.0.1:8080/" in words[-1]
        health = [sys.executable, *(word.replace(":8080/", f":{port}/") for word in words)]

        def healthy() -> bool:
            return subprocess.run(health, capture_output=True, check=False, timeout=60).returncode == 0

        with running(start(*arguments, cwd=tmp_path, **given)) as process:
            wait_until(healthy, "a healthy gateway", process=process, every=0.2)
            event = {"eventId": "e1", "userId": "u", "eventType": "signup", "timestamp": datetime.now(UTC).isoformat()}
            headers = {"authorization": f"Bearer {key}"}
            asked = urllib.request.Request(f"http://127.0.0.1:{port}/v1/events", json.dumps(event).encode(), headers)
            with urllib.request.urlopen(asked, timeout=60) as answer:
                assert (answer.status, json.load(answer)) == (202, {"stored": ["e1"]})
            process.send_signal(signal.Signals[service["stop_signal"]])
            process.communicate(timeout=60)
            assert process.returncode == 0


def test_every_variable_that_is_named_is_a_setting() -> None:
    """Settings that do not exist are ignored, so a misspelt one in an example would do nothing and say nothing."""
    known = set(known_variables())
    compose_only = {
        "ONRAMP_CATALOG_DIR",
        "ONRAMP_CLICKHOUSE_PASSWORD",
        "ONRAMP_JOB_VOLUME",
        "ONRAMP_WORKERS",
    }  # stand in docker-compose.yml, which puts them elsewhere
    assert compose_only <= set(re.findall(r"\$\{(\w+)", COMPOSE.read_text(encoding="utf-8")))
    for path in [COMPOSE, ROOT / "Dockerfile", ROOT / "README.md", *(ROOT / "docker").rglob("*.*"), *(ROOT / "docs").rglob("*.md")]:
        named = set(re.findall(r"\bONRAMP_[A-Z0-9_]*[A-Z0-9]\b(?![_*])", path.read_text(encoding="utf-8")))
        assert named <= known | compose_only, f"{path.relative_to(ROOT)}: {named - known - compose_only}"


def test_the_job_starts_on_a_recovery_store_made_once(tmp_path: Path) -> None:
    """The script hands over to Bytewax with the store that `onramp run` would use; a second start keeps it."""
    shown = tmp_path / "bin" / "python"
    shown.parent.mkdir()
    shown.write_text(
        f'#!/bin/sh\nif [ "$1 $2" = "-m bytewax.run" ]; then shift 2; printf "%s\\n" "$@"; else exec {sys.executable} "$@"; fi\n'
    )
    shown.chmod(0o755)
    data = tmp_path / "with a space"
    env = {
        "PATH": f"{shown.parent}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "ONRAMP_DATA_DIR": str(data),
        "ONRAMP_RECOVERY_PARTITIONS": "3",
    }

    def start() -> list[str]:
        script = str(ROOT / "docker" / "run-job.sh")
        done = subprocess.run([script, "--workers-per-process", "2"], env=env, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    handed_over = start()
    assert handed_over[0] == "flows.main:flow()"
    options = dict(zip(handed_over[1::2], handed_over[2::2], strict=True))
    assert options["--recovery-directory"] == str(data / "state")
    assert options["--snapshot-interval"] == "5"
    assert options["--workers-per-process"] == "2"
    assert options["--backup-interval"] == "1000000000000", "Bytewax keeps old snapshots, which Onramp removes"
    store = sorted((data / "state").iterdir())
    assert len(store) == 3
    made = [path.stat().st_mtime_ns for path in store]
    assert start() == handed_over
    assert [path.stat().st_mtime_ns for path in store] == made


def test_a_setting_the_job_cannot_use_is_one_sentence(tmp_path: Path) -> None:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "ONRAMP_REDIS_URL": "nonsense"}
    done = subprocess.run(
        [str(ROOT / "docker" / "run-job.sh")], env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.startswith("onramp: ONRAMP_REDIS_URL cannot be used")
    assert len(done.stderr.splitlines()) == 1


def test_no_secret_has_a_default_and_each_is_asked_for_in_the_example() -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    wanted = set(re.findall(r"\$\{(\w+):\?", text))
    optional = set(re.findall(r"\$\{(\w+):-", text))
    assert set(re.findall(r"\$\{(\w+)", text)) == wanted | optional | {"COMPOSE_PROJECT_NAME"}  # which compose itself sets
    assert wanted == {"ONRAMP_SECRET", "ONRAMP_CLICKHOUSE_PASSWORD", "ONRAMP_CATALOG"}
    example = (ROOT / "docker" / "example.env").read_text(encoding="utf-8").splitlines()
    ours = {name for name in optional if name.startswith("ONRAMP_LLM_")}
    assert {line.removesuffix("=") for line in example if line.endswith("=")} == wanted | ours


def test_clickhouse_keeps_its_own_logs_for_days_and_its_memory_under_the_cap(services: dict[str, dict[str, Any]]) -> None:
    config = ET.parse(ROOT / "docker" / "clickhouse" / "config.xml").getroot()
    logs = {element.tag: element for element in config if element.tag.endswith("_log")}
    removed = {tag for tag, element in logs.items() if element.get("remove")}
    # The ones that fill small disks with nobody looking.
    assert {"trace_log", "text_log", "metric_log", "asynchronous_metric_log", "query_thread_log", "processors_profile_log"} <= removed
    for tag, element in logs.items():
        if tag not in removed:
            # Replaced whole: merged into a default that has an <engine>, a <ttl> would keep the server from starting.
            assert element.get("replace"), tag
            assert re.fullmatch(r"event_date \+ INTERVAL \d DAY DELETE", element.findtext("ttl") or ""), tag
    users = ET.parse(ROOT / "docker" / "clickhouse" / "users.xml").getroot()
    server = int(config.findtext("max_server_memory_usage") or 0)
    query = int(users.findtext("profiles/default/max_memory_usage") or 0)
    assert 0 < query < server < _bytes(services["clickhouse"]["mem_limit"])


@pytest.mark.parametrize("script", ["docker/run-job.sh", "scripts/setup.sh", "scripts/under_load.sh", "scripts/prometheus.sh", ".ci/run"])
def test_shell_scripts_are_executable_and_parse(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    shell = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("#!").split()[-1].rpartition("/")[2]
    subprocess.run([shell, "-n", str(path)], check=True, timeout=60)


def _has_compose() -> bool:
    docker = shutil.which("docker")
    return (
        docker is not None and subprocess.run([docker, "compose", "version"], capture_output=True, check=False, timeout=60).returncode == 0
    )


@pytest.mark.skipif(not _has_compose(), reason="the compose plugin is not installed")
def test_compose_itself_accepts_the_file() -> None:
    env = {**os.environ, "ONRAMP_SECRET": "x", "ONRAMP_CLICKHOUSE_PASSWORD": "x"}
    done = subprocess.run(
        ["docker", "compose", "-f", str(COMPOSE), "config", "--quiet"], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def _seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


def _bytes(size: str) -> int:
    return int(size[:-1]) * {"m": 2**20, "g": 2**30}[size[-1]]
