"""The documents agree with the tree: files exist, the picture is the graph, the tables are the rules, the terms are in order."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from bytewax.dataflow import Operator
from bytewax.testing import TestingSink, TestingSource

from flows.catalogs import load_catalog
from flows.onboarding import FlowParts, build
from operators.enrich import Wording
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.ids import Keys
from tests.support.doc_pages import FENCE, anchors, text_of
from tests.support.rooms import ENGINE_ROOMS, MAY_IMPORT
from tests.support.shown_commands import in_markdown

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MADE = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()}
"""What commands make beside the project: a page names `.onramp/…`, and whether it is there depends on what ran before."""
TOP = {path.name for path in ROOT.iterdir() if path.is_dir()} - MADE
SUFFIXES = {".cfg", ".ini", ".json", ".jsonl", ".md", ".py", ".sh", ".sql", ".svg", ".toml", ".txt", ".yaml", ".yml"}

CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def table(page: str, first_column: str) -> list[list[str]]:
    """The rows of the table whose first column has this heading."""
    lines = iter(text_of(ROOT / "docs" / page).splitlines())
    next(line for line in lines if line.startswith(f"| {first_column} |"))
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


# ------------------------------------------------------------------------------------------------------------------------- files


def paths_in(text: str) -> set[str]:
    """What reads like a file or a directory of this tree: ``room/…`` in backquotes, a test's name after it or not."""
    found = set()
    for code in CODE.findall(FENCE.sub("", text)):
        for word in code.split():
            path = word.partition("::")[0]
            known = path.partition("/")[0] in TOP and "/" in path
            if known and "*" not in path and "<" not in path and (path.endswith("/") or Path(path).suffix in SUFFIXES):
                found.add(path)
    return found


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in LINK.findall(FENCE.sub("", text_of(page))):
        if re.match(r"https?:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    missing = sorted(path for path in paths_in(text_of(page)) if not (ROOT / path).exists())
    assert not missing
    assert not broken_links(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_and_target_that_a_page_runs_exists(page: Path) -> None:
    text = text_of(page)
    modules = {name.replace(".", "/") for name in re.findall(r"python -m ([\w.]+)", text) if name.partition(".")[0] in TOP}
    assert not [name for name in sorted(modules) if not (ROOT / f"{name}.py").exists() and not (ROOT / name / "__main__.py").exists()]
    shown = [f"`{command}" for command in in_markdown(text)]
    targets = set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", "\n".join([text, *shown]), re.MULTILINE))
    assert targets <= set(re.findall(r"^([a-z-]+):.*## ", text_of(ROOT / "Makefile"), re.MULTILINE))


def test_what_commands_have_made_is_no_part_of_the_project() -> None:
    assert {".venv", ".onramp"} <= MADE
    assert not TOP & MADE
    assert "state" in TOP


def test_a_file_that_is_not_there_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n`state/no_such_file.py` and `state/decode.py`, [a](gone.md), [b](#a-page), [c](#nowhere)\n", encoding="utf-8"
    )
    assert paths_in(text_of(page)) == {"state/no_such_file.py", "state/decode.py"}
    assert broken_links(page) == ["gone.md", "#nowhere"]


def test_the_index_names_every_page() -> None:
    index = text_of(ROOT / "docs" / "README.md")
    linked = {(ROOT / "docs" / link.partition("#")[0]).resolve() for link in LINK.findall(index)}
    assert {page.resolve() for page in (ROOT / "docs").rglob("*.md")} - {(ROOT / "docs" / "README.md").resolve()} <= linked


# ----------------------------------------------------------------------------------------------------------------------- picture


def steps_in_code() -> set[str]:
    """The steps that flows/onboarding.py names: ``decode_step("decode", …)``, and the input and outputs of the graph."""
    tree = ast.parse((ROOT / "flows" / "onboarding.py").read_text(encoding="utf-8"))
    steps = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(name := node.args[0], ast.Constant):
            called = ast.unparse(node.func)
            if called.endswith("_step") or called in {"op.input", "op.output"}:
                steps.add(str(name.value))
    return steps


def steps_in_picture() -> set[str]:
    """Nodes of the README's picture, without those in double round brackets: people and servers outside of the job."""
    (picture,) = re.findall(r"^```mermaid\nflowchart LR\n(.*?)^```$", text_of(ROOT / "README.md"), re.MULTILINE | re.DOTALL)
    plain = re.sub(r"-- [^\n]*? -->|-\. [^\n]*? \.->|<?-\.->", "-->", picture)
    outside = set(re.findall(r"(\w+)\(\(", plain))
    nodes = re.sub(r"\(\(.*?\)\)|\[\(.*?\)\]", "", plain)
    return set(re.findall(r"\w+", nodes)) - outside


def test_the_picture_has_the_steps_of_the_graph_and_no_others() -> None:
    assert steps_in_code() == steps_in_picture()


def test_the_table_of_steps_has_each_step_with_its_file() -> None:
    rows = table("architecture.md", "step")
    outer = {"messages", "recommendations", "clickhouse", "dead_letters"}
    assert {row[0].strip("`") for row in rows} == steps_in_code() - outer
    for step, _, _, file in rows:
        source = (ROOT / file.strip("`")).read_text(encoding="utf-8")
        assert f"def {step.strip('`')}_step(" in source


def operators_of(substeps: Sequence[Operator]) -> Iterator[str]:
    for each in substeps:
        yield type(each).__name__
        yield from operators_of(each.substeps)


@pytest.mark.parametrize(("with_a_model", "told"), [(False, "33 operators"), (True, "40 instead of 49 with a model")])
def test_the_graph_has_as_many_operators_as_record_12_says(with_a_model: bool, told: str) -> None:
    sink: Any = TestingSink([])
    wording: Any = Wording(calls=None, forget=None, counters=None) if with_a_model else None  # type: ignore[arg-type]
    parts = FlowParts(
        source=TestingSource([]),
        recommendations=sink,
        facts=sink,
        dead_letters=sink,
        plans=ByTenant(Plan(load_catalog("saas"))),
        keys=Keys(b"a secret for tests"),
        wording=wording,
    )
    operators = Counter(operators_of(build(parts).substeps))
    assert told in " ".join(text_of(ROOT / "docs" / "adr" / "0012-named-outputs.md").split())
    assert operators.total() == int(told.split(maxsplit=1)[0])


# ------------------------------------------------------------------------------------------------------------------------- rooms


def test_the_table_of_rooms_is_the_import_rule() -> None:
    rows = table("architecture.md", "room")
    assert {room.strip("`/"): set(CODE.findall(imports)) for room, _, imports in rows} == {
        room: set(allowed) for room, allowed in MAY_IMPORT.items()
    }


def test_the_rooms_that_may_import_the_engine_are_named() -> None:
    (named,) = re.findall(r"Only (.*?) import Bytewax", text_of(ROOT / "docs" / "architecture.md"))
    assert {room.strip("/") for room in CODE.findall(named)} == ENGINE_ROOMS


# ------------------------------------------------------------------------------------------------------------------------- terms


def test_the_terms_of_the_glossary_are_in_order_each_with_its_file() -> None:
    rows = table("glossary.md", "term")
    terms = [term.lower() for term, _, _ in rows]
    assert terms == sorted(set(terms))
    for term, meaning, file in rows:
        assert meaning, term
        assert (ROOT / file.strip("`")).is_file(), term


STANDARD = """
arm; attribution window; censoring; circuit breaker; consumer group; dead letter; drain; episode; epoch; exploration floor; exposure;
holdout; horizon; input guardrails; intention to treat; log time; offset; outcome; output guardrails; posterior; propensity; recovery store;
single flight; snapshot; spool; tombstone; trigger; watermark; wording request
"""


def test_the_glossary_has_the_field_s_standard_terms() -> None:
    assert {term.strip() for term in STANDARD.split(";")} <= {row[0] for row in table("glossary.md", "term")}


READERS = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name != "measurements.md")]
"""measurements.md repeats what benchmarks print."""


@pytest.mark.parametrize("page", READERS, ids=lambda page: page.name)
def test_who_uses_the_product_is_called_a_user(page: Path) -> None:
    """`person` and `people` are names in code and tables. In prose three words for one thing make a reader look for the difference."""
    prose = CODE.sub("", FENCE.sub("", text_of(page)))
    found = re.findall(r"[^.|]*\b(?:[Pp]eople|[Pp]ersons?)\b[^.|]*", prose)
    assert [each.strip() for each in found] == (["person"] if page.name == "glossary.md" else [])
