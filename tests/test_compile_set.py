"""What the compiled build compiles (docs/adr/0015-compiled-engine.md): which modules, and what must not be in them.

``make test-compiled`` runs this and others on a compiled copy, with ``COMPILED=1``.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
import zipfile
from enum import IntEnum
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

import msgspec
import pydantic
import pytest

ROOT = Path(__file__).resolve().parent.parent
HOOK = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]
COMPILED = {path.removeprefix("/") for path in HOOK["include"]}
MODULES = {path.relative_to(ROOT).as_posix() for room in ("state", "operators") for path in (ROOT / room).rglob("*.py")}

#: Reason → modules of state/ and operators/ that are not compiled, beside those that define structs or models, whose formats would change.
NOT_COMPILED: Final = {
    "mypyc cannot compile it": """
        operators/async_map.py operators/bundle.py state/catalog/conditions.py state/event_fields.py state/lenient_json.py
    """,
    "its objects go to other processes, and a native class whose __init__ needs arguments cannot be pickled": """
        operators/estimate.py state/stuck/parameters.py
    """,
    "it does not run for each event, so there is nothing to gain": """
        operators/enrich.py operators/placement.py operators/stop_together.py state/backoff.py state/catalog/consistency.py
        state/catalog/evidence_weights.py state/catalog/set_measured.py state/catalog/wording_schema.py state/event_diagnosis.py
        state/event_schema.py state/histogram.py state/merge_patch.py state/never.py state/other_version.py state/plain_text.py
        state/quantity.py state/records/edit_letter.py state/time_zones.py state/value_complaint.py
    """,
    "it has constants only": """
        state/duration.py state/snapshot_layout.py state/vocabulary.py state/windows_zones.py
    """,
}
#: What compiled modules add up with ``sum(… for …)``. mypyc adds up by itself, and so rounds floats otherwise than Python 3.12 does.
WHOLE_NUMBERS: Final = {"len(wheel)", "slots.count", "len(value or '')", "character.isnumeric()", "each > at - DAY"}


def module_of(path: str) -> ModuleType:
    return import_module(path.removesuffix(".py").replace("/", "."))


@cache
def tree_of(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def classes_of(path: str) -> list[type]:
    """The classes that the module defines."""
    module = module_of(path)
    return [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]


def has_formats(path: str) -> bool:
    """Whether the module defines structs or models. mypyc ignores the options of a class, like ``array_like=True``."""
    return any(issubclass(each, msgspec.Struct | pydantic.BaseModel) for each in classes_of(path))


def test_every_module_is_compiled_or_named_with_a_reason() -> None:
    named = [path for text in NOT_COMPILED.values() for path in text.split()]
    assert len(named) == len(set(named))
    empty = {path for path in MODULES if path.endswith("__init__.py")}
    left = {path for path in MODULES - empty - set(named) if not has_formats(path)}
    assert left == COMPILED, "pyproject.toml compiles a module, or it stands in NOT_COMPILED"
    assert set(named) <= MODULES
    assert not [path for path in named if has_formats(path)], "structs and models are reason enough"


@pytest.mark.parametrize("path", sorted(COMPILED))
def test_a_compiled_module_has_no_class_that_native_code_would_change(path: str) -> None:
    for each in classes_of(path):
        assert not issubclass(each, msgspec.Struct | pydantic.BaseModel), f"{each}: its format would change"
        if not hasattr(each, "_fields") and not issubclass(each, IntEnum):  # both remain Python's classes
            assert not issubclass(each, list | tuple | dict | set | str | bytes | int | float), f"{each} inherits from a builtin class"


def float_tuples(tree: ast.Module, namespace: dict[str, object]) -> list[str]:
    """Constants that are ``Final`` without a type, and whose value is a tuple that begins with a float."""
    bare = [
        node.target.id
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and ast.unparse(node.annotation) == "Final"
    ]
    return [name for name in bare if isinstance(value := namespace[name], tuple) and value and isinstance(value[0], float)]


def test_no_constant_is_one_that_mypyc_says_was_not_set() -> None:
    """Of such a tuple mypyc takes the first number to tell whether it was set. ``Final[tuple[float, ...]]`` is no such tuple."""
    assert {path: found for path in COMPILED if (found := float_tuples(tree_of(path), vars(module_of(path))))} == {}
    text = "A: Final = (0.5, 1)\nB: Final[tuple[float, ...]] = (0.5,)\nC: Final = (1, 0.5)\nD: Final = 0.5"
    namespace: dict[str, object] = {"Final": Final}
    exec(text, namespace)
    assert float_tuples(ast.parse(text), namespace) == ["A"]


def test_no_compiled_module_adds_up_floats_from_a_generator() -> None:
    found = {
        ast.unparse(node.args[0].elt)
        for path in COMPILED
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "sum" and isinstance(node.args[0], ast.GeneratorExp)
    }
    assert found == WHOLE_NUMBERS, "use a list, unless these are whole numbers"


def test_modules_are_compiled_where_that_is_tested_and_nowhere_else() -> None:
    """A library beside a module wins over it: in a checkout edits would have no effect."""
    suffix = ".so" if os.environ.get("COMPILED") else ".py"
    assert [path for path in sorted(COMPILED) if not str(module_of(path).__file__).endswith(suffix)] == []
    assert [path for path in sorted(MODULES - COMPILED) if not str(module_of(path).__file__).endswith(".py")] == []


def test_a_command_that_a_test_starts_runs_the_tree_that_is_tested(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "cli", "--version"], cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60
    )
    build = "compiled" if os.environ.get("COMPILED") else "interpreted"
    assert f"({build} engine)" in done.stdout.decode()


@pytest.mark.skipif(not os.environ.get("COMPILED"), reason="only a compiled copy has such a wheel")
def test_the_compiled_wheel_has_modules_and_libraries_and_runs_by_itself(tmp_path: Path) -> None:
    (path,) = (ROOT / "dist").glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        wheel.extractall(tmp_path)
    libraries = {name.partition(".")[0] + ".py" for name in names if name.endswith(".so")}
    assert libraries == COMPILED | {"onramp__mypyc.py"}
    assert names >= MODULES

    def onramp(*words: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        command = [sys.executable, "-m", "cli", *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True, timeout=300).stdout

    assert "compiled engine" in onramp("--version")
    assert "Usage: onramp" in onramp("--help")
    assert json.loads(onramp("demo", "--users", "40", "--days", "3", "--json", "--data-dir", "data"))


@pytest.mark.parametrize("made", [".git", "editable"])
def test_a_checkout_is_never_compiled(tmp_path: Path, made: str) -> None:
    """Nor is what an editable installation imports."""
    hook = "from scripts.build_hook import NoStaleLibraries as Hook; import sys\n"
    if made == ".git":
        (tmp_path / ".git").touch()
    version = "editable" if made == "editable" else "standard"
    code = f"{hook}Hook(sys.argv[1], {{}}, None, None, '', 'wheel').initialize({version!r}, {{}})"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("The engine is compiled in a copy of the tree, never in a checkout")


def test_without_a_c_compiler_the_build_says_so(tmp_path: Path) -> None:
    code = (
        "from scripts.build_hook import NoStaleLibraries as Hook; import sys\n"
        "Hook(sys.argv[1], {}, None, None, '', 'wheel').initialize('standard', {})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT, env=os.environ | {"CC": "no-such-compiler"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (
        done.stderr == "The engine cannot be compiled, because there is no C compiler no-such-compiler: install gcc or clang, or set CC.\n"
    )


def test_the_c_compiler_gets_the_flags_of_python_and_must_not_contract(tmp_path: Path) -> None:
    code = (
        "from scripts.build_hook import NoStaleLibraries as Hook; import os, sys, sysconfig\n"
        "Hook(sys.argv[1], {}, None, None, '', 'wheel').initialize('standard', {})\n"
        "print(os.environ['CFLAGS'] == f'{sysconfig.get_config_var(\"CFLAGS\")} -ffp-contract=off')"
    )
    environment = {name: value for name, value in os.environ.items() if name not in {"CC", "CFLAGS"}}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    if "cannot be compiled" in done.stderr:
        pytest.skip(done.stderr)
    assert done.stdout == "True\n", done.stderr
