"""What a person gets who installs Onramp: the code, the catalogs, the command, and versions that were tested."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)], cwd=ROOT, check=True, capture_output=True, timeout=100
    )
    (path,) = out.glob("*.whl")
    return zipfile.ZipFile(path)


def test_every_room_of_the_checkout_ships() -> None:
    """A directory of modules that is no package of the wheel works in the checkout and is missing where it is installed."""
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert rooms == set(PACKAGES) - {"catalog"}


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                assert path.relative_to(ROOT).as_posix() in names
    assert any(name.startswith("catalog/") and name.endswith(".yaml") for name in names)
    assert {name.partition("/")[0] for name in names} == {*PACKAGES, f"onramp-{PYPROJECT['project']['version']}.dist-info"}


def test_the_wheel_installs_the_command(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert f"onramp = {PYPROJECT['project']['scripts']['onramp']}" in wheel.read(entry_points).decode()


def _pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert len(pins) == len({name for name, _ in pins}), "a package is pinned twice"
    return dict(pins)


def test_constraints_are_exact_versions_and_name_no_place() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert "://" not in text
    for line in text.splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*", line), line


def test_every_package_this_project_names_is_pinned() -> None:
    named = [
        *PYPROJECT["project"]["dependencies"],
        *(spec for specs in PYPROJECT["project"]["optional-dependencies"].values() for spec in specs),
    ]
    names = {re.split(r"[\[<>=]", spec)[0] for spec in named} - {"onramp"}
    assert names <= set(_pins())


def test_the_oldest_supported_pythons_are_pinned_for_too() -> None:
    """Python 3.11.0 to 3.11.2 (Debian 12 ships one) needs `async-timeout` for the Redis clients; newer ones do not."""
    assert "async-timeout" in _pins()
