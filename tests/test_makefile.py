"""The Makefile and its scripts, most of which no other test runs: what they import exists, and no recipe hides a failure."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKEFILE = ROOT / "Makefile"
OURS = {path.parent.name for path in ROOT.glob("*/__init__.py")}


def exists(module: str) -> bool:
    """Whether there is a module of this name."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor is there the package
        return False


def missing(source: str) -> list[str]:
    """What a piece of Python imports of our packages that they do not have."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names if each.name.split(".")[0] in OURS and not exists(each.name)]
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.module.split(".")[0] in OURS:
            for each in node.names:
                whole = f"{node.module}.{each.name}"
                if not exists(whole) and not (exists(node.module) and hasattr(import_module(node.module), each.name)):
                    found.append(whole)
    return found


@pytest.mark.parametrize("script", [MAKEFILE, *sorted(ROOT.glob("scripts/*.sh"))], ids=lambda path: path.name)
def test_every_module_that_a_script_names_exists(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    run = [each for each in re.findall(r"python[\d.]*\"? -m ([a-z_.]+)", text) if each.split(".")[0] in OURS]
    imported = [each for source in re.findall(r"python[\d.]*\"?(?: -[IBS])* -c '([^']+)'", text) for each in missing(source)]
    assert [*(each for each in run if not exists(each)), *imported] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from llm import local; import os", ["llm.local"]),
        ("from llm.client import local_model; local_model.weights()", []),
        ("from llm.client.local_model import weights, nothing", ["llm.client.local_model.nothing"]),
        ("import llm.client.local", ["llm.client.local"]),
        ("from llm.nothing import here", ["llm.nothing.here"]),
    ],
)
def test_the_check_knows_what_is_not_there(source: str, found: list[str]) -> None:
    assert missing(source) == found


def test_no_recipe_takes_the_status_of_tee_for_that_of_the_command_before_it() -> None:
    """``sh`` has no ``pipefail``: after ``measure | tee file || exit 1`` a recipe goes on whatever happened."""
    assert "| tee" not in MAKEFILE.read_text(encoding="utf-8")
