"""Runs the examples of the documents, so that a copied one works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from state.catalog.model import Catalog
from state.catalog.parse import CatalogError, parse
from state.catalog.plan import Plan
from state.decode import decode
from state.event import Event
from state.event_contract import REJECTIONS
from state.ids import Keys
from state.messages import Message
from state.person.collector import Collector
from state.person.fold import Fold
from state.person.person import Person
from state.person.progress import completed
from state.vocabulary import EVENT_TYPES, TRIGGERS

DOCS = Path(__file__).parents[2] / "docs"
CATALOG = (DOCS / "catalog.md").read_text(encoding="utf-8")
EVENTS = (DOCS / "events.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```\w+ complete file=(\S+)\n(.*?)^```$", CATALOG, re.MULTILINE | re.DOTALL))
NOW = 1_772_600_000_000
"""Early March 2026, when the examples happen."""


def event(line: bytes) -> Event:
    found = decode(Message(line, None, "doc", 0, 1, NOW, NOW, 0))
    assert isinstance(found, Event), found
    return found


def run(script: str, *args: str, directory: Path, stdin: str = "") -> str:
    (directory / script).write_text(FILES[script], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script, *args], cwd=directory, input=stdin, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> str:
    return run("convert.py", directory=tmp_path_factory.mktemp("convert"), stdin=FILES["clicks.csv"])


def test_the_guide_has_all_its_files() -> None:
    assert set(FILES) == {"clicks.csv", "convert.py", "invoices.yaml", "measure.py"}
    assert len(FILES["invoices.yaml"].splitlines()) <= 40
    assert (DOCS.parent / "examples" / "invoices.yaml").read_text(encoding="utf-8") == FILES["invoices.yaml"]


def test_the_converter_writes_valid_events_in_order_each_with_its_own_id(converted: str) -> None:
    events = [event(line.encode()) for line in converted.splitlines()]
    rows = FILES["clicks.csv"].splitlines()[1:]
    assert len(events) == len(rows) + 2
    assert len({each.id for each in events}) == len(events)
    assert [each.timestamp for each in events] == sorted(each.timestamp for each in events)
    assert [each.user for each in events if each.type == "signup"] == ["ana", "ben"]
    assert {each.type for each in events} == {"signup", "page_view", "button_click", "form_submit", "error", "track"}


def test_the_converter_gives_the_same_twice(converted: str, tmp_path: Path) -> None:
    assert run("convert.py", directory=tmp_path, stdin=FILES["clicks.csv"]) == converted


def test_the_smallest_catalog_understands_the_converted_log(converted: str) -> None:
    plan = Plan(parse(FILES["invoices.yaml"], "invoices.yaml"))
    fold, people = Fold(plan, Keys(b"a secret for tests")), dict[str, Person]()
    for line in converted.splitlines():
        each = event(line.encode())
        people[each.user] = fold.apply(people.get(each.user), each, Collector(each.user))
    assert list(completed(plan, "everyone", people["ana"].steps)) == ["company", "first_invoice", "send_invoice"]
    assert completed(plan, "everyone", people["ben"].steps) == {}


def test_the_measurements_name_every_step_and_signal(converted: str, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(converted, encoding="utf-8")
    shown = run("measure.py", "events.jsonl", directory=tmp_path)
    catalog = parse(FILES["invoices.yaml"], "invoices.yaml")
    assert all(f"step {step.id}, {kind} time" in shown for step in catalog.steps for kind in ("active", "calendar"))
    assert re.search(r"step send_invoice, calendar time .*p90=29\.3h", shown), "a night and more, though it takes a minute of active time"
    assert re.search(r"clicks on one target.*p50=2\.0 ", shown)
    assert re.search(r"gap between sessions .*p50=29\.2h", shown)


SMALL = FILES["invoices.yaml"]

# right, wrong: the messages that the guide promises for mistakes in its own catalog
MISTAKES = [
    ("typical: 5m", "typicall: 5m"),
    ("typical: 5m", "typical: 5"),
    ('links: ["/*"]', 'links: ["/company", "/invoices*"]'),
    ("{type: track, name: invoice_created}", "{type: track, name: invoice_created}]\n    requires: [compny"),
    ("[{type: track, name: invoice_created}]", "[{type: page_view, name: invoice_created}]"),
    ("[company, first_invoice, send_invoice]", "[send_invoice, company, first_invoice]"),
    ("[company, first_invoice, send_invoice]", "[company, first_invoice]"),
    ("send_invoice]}", "send_invoice]}\n  - {id: rest, title: Rest, match: {persona: x}, steps: [company]}"),
    ('  "stuck:errors": {', '  "stuck:errors_": {'),
    ("tone: moderate, component: sidebar_hint", "tone: passive, component: sidebar_hint"),
    ("Welcome to {product}", "Welcome to {name}"),
    ('moderate: "Done! Next: {step}."', "moderate: {step}"),
    ("version: 1", "version: 1\nholdout: 10%"),
    ("version: 1", "version: 1\nwording: {prompts: [{version: nudge-1}], languages: [english]}"),
    ("version: 1", "version: 1\nwording: {prompts: [{version: nudge-1}], languages: [en, ja], review_languages: [jp]}"),
    ("version: 1", "version: 1\nwording: {prompts: [{version: nudge-1}], forbidden: ['(unclosed']}"),
    ("version: 1", "version: 1\nwording: {prompts: [{version: nudge-1}], forbidden: ['(?!not )free']}"),
    ("    title: send it", "\ttitle: send it"),
    ("title: send it", "title: send it: now"),
]


@pytest.mark.parametrize(("right", "wrong"), MISTAKES, ids=[wrong[:40] for _, wrong in MISTAKES])
def test_a_promised_message_is_the_one_that_is_given(right: str, wrong: str) -> None:
    assert right in SMALL
    text = SMALL.replace(right, wrong, 1)
    if wrong.startswith("links"):
        text = text.replace("link: /company", "link: /z")
    elif "errors_" in wrong:
        text = re.sub(r'^  "stuck:errors_".*\n', "", text, flags=re.MULTILINE)
    elif "{step}" in wrong:
        text = text.replace("step_completed", "signup_", 1).replace("  signup: {", "  step_completed: {", 1).replace("signup_", "signup", 1)
    with pytest.raises(CatalogError) as caught:
        parse(text, "mine.yaml")
    promised = re.findall(r"^\| `([^`]+)` \|", CATALOG, re.MULTILINE)
    given = [f"{fault.field}: {fault.message}".removeprefix(": ") for fault in caught.value.faults]
    assert any(message in promised for message in given), given


def test_the_guide_explains_every_field_and_trigger() -> None:
    schema = Catalog.model_json_schema()
    for name in {name for part in [schema, *schema["$defs"].values()] for name in part.get("properties", {})}:
        assert f"`{name}`" in CATALOG or f"`{name}:" in CATALOG, name
    for trigger in TRIGGERS:
        assert f"| `{trigger}` |" in CATALOG


def test_the_contract_shows_every_type_and_each_line_is_valid() -> None:
    (block,) = re.findall(r"^```jsonl complete\n(.*?)^```$", EVENTS, re.MULTILINE | re.DOTALL)
    shown = [event(line.encode()) for line in block.splitlines()]
    assert {each.type for each in shown} == EVENT_TYPES
    assert len({each.id for each in shown}) == len(shown)
    first, second = re.findall(r"^```json\n(.*?)^```$", EVENTS, re.MULTILINE | re.DOTALL)
    assert event(second.encode()).payload == {"traits": {"persona": "analyst"}}, "of version 2"
    assert event(first.encode()).name == "dashboard_created"
    for kind in EVENT_TYPES:
        assert f"| `{kind}` |" in EVENTS


def test_the_contract_lists_the_reasons_for_rejection() -> None:
    section = EVENTS[EVENTS.index("## Rejected messages") :]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(REJECTIONS)
