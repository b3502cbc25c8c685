"""What a release consists of: one version, a recipe that refuses what does not fit, and the workflows that run it and the tests."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
WORKFLOWS = {path.name: path for path in (ROOT / ".github" / "workflows").glob("*.yml")}


def workflow(name: str) -> dict[str, Any]:
    read: dict[str, Any] = YAML(typ="safe", pure=True).load(WORKFLOWS[name])
    return read


WORKFLOW = workflow("ci.yml")
RUNS = [step["run"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "run" in step]


def test_the_version_is_in_pyproject_and_tags_of_the_image_follow_it() -> None:
    """After a change of the version this names the files that still have the old one."""
    pattern = re.compile(r"\bonramp:(\d[\w.]*)")
    files = [ROOT / "docker-compose.yml", *(ROOT / "deploy").rglob("*.yaml"), *(ROOT / ".github").rglob("*.yml")]
    tagged = {path.relative_to(ROOT).as_posix(): set(pattern.findall(path.read_text(encoding="utf-8"))) for path in files}
    assert {name: found for name, found in tagged.items() if found - {VERSION}} == {}
    assert sum(found == {VERSION} for found in tagged.values()) >= 4
    code = [path for room in ("flows", "cli", "gateway", "local", "state", "sinks") for path in (ROOT / room).rglob("*.py")]
    assert not [path for path in code if f'"{VERSION}"' in path.read_text(encoding="utf-8")]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the recipe, version 1.2.3, and a tag of it; v1.2.4 is a tag of the same."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "release.sh", tmp_path / "scripts")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "onramp"\nversion = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n")
    for words in (
        ["init", "--quiet"],
        ["add", "pyproject.toml", "CHANGELOG.md"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "one"],
        ["tag", "v1.2.3"],
        ["tag", "v1.2.4"],
    ):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    return tmp_path


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("v9", "There is no tag v9"),
        ("v1.2.4", "pyproject.toml of its commit has version 1.2.3"),
        ("v1.2.3", "CHANGELOG.md of the tag has no section [1.2.3]"),
    ],
)
def test_the_recipe_refuses_a_tag_that_does_not_fit(repository: Path, tag: str, said: str) -> None:
    done = subprocess.run(["sh", "scripts/release.sh", tag], cwd=repository, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert not (repository / "dist").exists()


def test_the_workflow_runs_what_is_here() -> None:
    text = "\n".join(RUNS)
    assert ".ci/run" in RUNS
    assert (ROOT / ".ci" / "run").exists()
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"\bmake ([\w-]+)", text)
    assert targets == ["release"]
    assert all(f"\n{target}:" in makefile for target in targets)
    example = (ROOT / "docker" / "example.env").read_text(encoding="utf-8")
    filled = set(re.findall(r"\^(ONRAMP_\w+)=\$", text))
    needed = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    assert filled == needed
    assert all(re.search(rf"^{name}=$", example, re.MULTILINE) for name in filled)
    for words in ("config --quiet", "docker compose build", "--read-only", "up --detach --wait"):
        assert words in text


def test_every_night_what_is_too_long_for_each_push_runs() -> None:
    nightly = workflow("nightly.yml")
    commands = nightly["jobs"]["long"]["strategy"]["matrix"]["run"]
    assert [step["run"] for step in nightly["jobs"]["long"]["steps"] if "run" in step] == ["${{ matrix.run }}"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(f"\n{command.split()[1]}:" in makefile for command in commands)
    assert {"make test-all", "make real-kafka", "make cluster-demo"} <= set(commands)


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_a_workflow_may_only_read(name: str) -> None:
    read = workflow(name)
    assert read["permissions"] == {"contents": "read"}
    assert not [job for job in read["jobs"].values() if "permissions" in job or "timeout-minutes" not in job]
    used = [step for job in read["jobs"].values() for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in used)
    checkouts = [step for step in used if step["uses"].startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert "secrets." not in WORKFLOWS[name].read_text(encoding="utf-8")


def test_the_workflow_releases_what_was_tested() -> None:
    assert WORKFLOW["jobs"]["release"]["needs"] == ["tests", "stack"]
    assert WORKFLOW["jobs"]["release"]["if"] == "github.ref_type == 'tag'"


@pytest.mark.parametrize("run", RUNS)
def test_a_step_of_the_workflow_is_a_shell_script(run: str) -> None:
    plain = re.sub(r"\$\{\{.*?\}\}", "x", run)
    done = subprocess.run(["bash", "-n"], input=plain, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
