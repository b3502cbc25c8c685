"""The Makefile and its scripts, most of which no other test runs: what they import exists, and no recipe hides a failure."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKEFILE = ROOT / "Makefile"
OURS = {path.parent.name for path in ROOT.glob("*/__init__.py")}


def modules(source: str) -> set[str]:
    """The modules that a piece of Python imports, and those that it takes from a package of ours."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module)
            if node.module.split(".")[0] in OURS and not hasattr(__import__(node.module, fromlist=["*"]), node.names[0].name):
                found |= {f"{node.module}.{each.name}" for each in node.names}
    return found


@pytest.mark.parametrize("script", [MAKEFILE, *sorted(ROOT.glob("scripts/*.sh"))], ids=lambda path: path.name)
def test_every_module_that_a_script_names_exists(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    named = {each for each in re.findall(r"python[\d.]*\"? -m ([a-z_.]+)", text) if each.split(".")[0] in OURS}
    for source in re.findall(r"python[\d.]*\"?(?: -[IBS])* -c '([^']+)'", text):
        named |= {each for each in modules(source) if each.split(".")[0] in OURS}
    assert not [each for each in sorted(named) if find_spec(each) is None]


def test_the_check_knows_a_module_that_is_not_there() -> None:
    assert modules("from llm import nothing_of_this_name; import os") == {"llm", "llm.nothing_of_this_name", "os"}
    assert modules("from llm.client import local_model") == {"llm.client", "llm.client.local_model"}


def test_no_recipe_takes_the_status_of_tee_for_that_of_the_command_before_it() -> None:
    """``sh`` has no ``pipefail``: after ``measure | tee file || exit 1`` a recipe goes on whatever happened."""
    assert "| tee" not in MAKEFILE.read_text(encoding="utf-8")
