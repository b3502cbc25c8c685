"""Mutated catalogs: each is accepted, and then survives a small run, or rejected with faults that name the place.

``FUZZ=50`` in the environment makes 50 times 500 examples; without it there are 200. An example depends on its number only.
"""

from __future__ import annotations

import copy
import json
import os
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from evaluation.offline_runner import OfflineRunner
from flows.catalogs import CatalogFileError, load_catalog
from state.catalog import yaml_text
from state.catalog.model import Catalog
from state.catalog.parse import CatalogError, parse
from state.catalog.plan import Plan
from state.duration import DAY, HOUR, MINUTE
from state.ids import Keys
from state.messages import Message
from state.vocabulary import EVENT_TYPES
from tests.state.lives import SMALL
from tests.support.waiting import uses_at_most

EXAMPLES: Final = 50 * int(os.environ["FUZZ"]) if "FUZZ" in os.environ else 20
"""Of each of ten parts."""
LONGEST: Final = 1.0  # CPU seconds of a catalog, on average
"""Seconds of computing time for one example, on a slow machine."""
NOW: Final = 1_772_600_000_000

INPUTS = Path(__file__).parents[1] / "inputs"
TEXTS = [
    (INPUTS / "catalog_change_after.yaml").read_text(encoding="utf-8"),
    SMALL.replace("HOLDOUT", "0.1").replace("COOLDOWN", "6h").replace("CAP", "3"),
]
WORDING = """
wording: {prompts: [{version: nudge-1}], template_share: 0.2, languages: [en, de], forbidden: ["is free"], emoji: ["🎉"],
  review_languages: [de]}
automatic: [{type: track, name: heartbeat}, {type: page_view, where: {path: {prefix: /live}}}]
rules: 0.1
learning: {half_life: 7d}
"""


class Raw(str):  # noqa: SLOT000  a few dozen of them
    """YAML as it stands, not to be quoted."""


def _deep(opening: str, depth: int, closing: str) -> Raw:
    return Raw(opening * depth + closing * depth)


ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 10**299, 0.0, -0.0, 0.1, 1.0, 1.5, 1e308, 5e-324, 1e300, "", " ", "0", "none",
    "x" * 70,
    "x" * 600, "a|b", "a@b", "é", "ßtep", "日本", "🎉", "\u202e", "\u2028", "\ufeff", "{", "}", "{step", "{}", "{step}{step}", "{0}",
    "{step!r}",
    "{step.title}", "%s", "*", "/", "/*", "//x", "\\", "(", "[a-", "(a+)+$", "a{1000}{1000}", "(?P<x>a)", "\\1", "1h", "0h", "0.0001ms",
    "-5m", "5",
    "1e3h", "99999999999d", "24H", "1h30m", "٣h", "١", "signup", "stuck:errors", "track", "page_view", "aggressive", "tooltip", "email",
    "email_trigger",
    "2026-03-01", "9999-12-31T23:59:59Z", "0001-01-01", "2026-02-30", "2026-03-01T00:00:00+25:00", "connect", "company", "first_invoice",
    "explore",
    [], [[]], [None], [0], [""], ["x"], ["connect"], ["company"], ["in_app", "email"], ["in_app"] * 3, list(range(200)), {}, {"": None},
    {"x": "y"},
    {"eq": None}, {"in": []}, {"gt": 1, "lt": 0}, {"exists": False}, {"prefix": ""}, {"eq": 10**299}, {"not_in": [True, 1, "1"]},
    {"contains": "x"},
    {"enabled": False}, {"type": "track"}, {"moderate": "x"}, {"a.b..c": "x"}, {".": 1}, {"aggressive": "{step}"},
    Raw(".nan"), Raw(".inf"), Raw("-.inf"), Raw("NaN"), Raw("1e400"), Raw("-1e400"), Raw("0o17"), Raw("017"), Raw("0x1F"), Raw("0b1"),
    Raw("1_000"),
    Raw("12:30:45"), Raw("~"), Raw("yes"), Raw("no"), Raw("ON"), Raw("2001-12-14t21:59:43.10-05:00"), Raw("=" ), Raw("!!str 5"),
    Raw("!!python/name:os.system"),
    Raw("!!binary aGk="), Raw("!x y"), Raw("&a [*a]"), Raw("*nobody"), Raw("&a x"), Raw("{<<: *nobody}"), Raw("{<<: [1]}"),
    Raw("{<<: {id: merged}}"),
    Raw("{? [a]: b}"), Raw("{1: 2}"), Raw("{true: 1, True: 2}"), Raw("{null: 1}"), Raw("{x: 1, x: 2}"), Raw("1" * 301), Raw("9" * 300),
    Raw("'\\ud800'"),
    Raw('"\\ud800"'), Raw('"\\uDC00\\uD800"'), Raw('"\\x00"'), Raw('"\\u0085"'), Raw("|"), Raw(">-"), Raw("- x"), Raw("@x"), Raw("`x`"),
    Raw("%x"), Raw("#"),
    _deep("[", 25, "]"), _deep("[", 40, "]"), _deep("[", 900, "]"), _deep("[", 5000, "]"), _deep("{a: ", 40, "}"), _deep("{a: ", 2000, "}"),
    Raw("&a [x,x,x,x,x,x,x,x,x]"),
]  # fmt: skip

BOMB = "bomb: [" + ", ".join([f"&b{level} [{', '.join([f'*b{level - 1}' if level else 'x'] * 9)}]" for level in range(9)]) + "]\n"

KEYS: list[Any] = [
    "id", "version", "product", "holdout", "rules", "delivers", "segment_by", "slots", "links", "limits", "learning", "triggers", "arms",
    "templates",
    "steps", "paths", "wording", "automatic", "bot_detection", "title", "link", "typical", "usual", "requires", "complete", "activity",
    "facts", "match",
    "activated_by", "type", "name", "where", "times", "tone", "component", "from", "in", "not_in", "exists", "eq", "gt", "trait",
    "default", "after",
    "count", "within", "stuck:errors", "precision", "", " ", "x", "Id", "é", "a.b", "__class__", "model_config", "in_", "from_",
    "x" * 300, Raw("1"),
    Raw("null"), Raw("true"), Raw("<<"), Raw("? x"), Raw("*a"), Raw("&k x"), Raw("[x]"), Raw("1.0"),
]  # fmt: skip


def written(value: Any) -> str:
    """As YAML in flow style."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(key)}: {written(inside)}" for key, inside in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inside for place in places(each, (*path, key)))]


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def reshaped(rng: Random, data: Any) -> Any:
    """Change the data at one place."""
    path = rng.choice(places(data)[1:] or [()])
    if not path:
        return data
    holder, key = at(data, path[:-1]), path[-1]
    match rng.randrange(8):
        case 0:
            del holder[key]
        case 1:
            holder[key] = copy.deepcopy(at(data, rng.choice(places(data))))
        case 2 if isinstance(holder, dict):
            holder[rng.choice(KEYS)] = holder.pop(key)
        case 3 if isinstance(holder, dict):
            holder[rng.choice(KEYS)] = copy.deepcopy(rng.choice(ODD))
        case 4 if isinstance(holder, list):
            holder.insert(rng.randrange(len(holder) + 1), copy.deepcopy(rng.choice(holder)))
        case 5 if isinstance(holder, list):
            rng.shuffle(holder)
        case _:
            holder[key] = copy.deepcopy(rng.choice(ODD))
    return data


SPLINTERS = [
    "\t", "\ufeff", "\x00", "\x07", "\x85", "\u2028", "\u200b", "\ud800", "\udfff", "\U0010ffff", "\uffff", "é", "🎉", "\r", "\r\n",
    "\n\n", "---\n", "...\n", "%YAML 1.1\n",
    "%TAG ! x\n", "# x\n", " #", ": ", ":", "- ", "? ", "| ", "> ", "& ", "*", "!", "!!", "{", "}", "[", "]", ",", "'", '"', "\\",
    "<<: ", "  ", "\n  ", "&a ", "*a", "@", "`",
    "0" * 400, "[" * 3000, "{a: " * 1000, "- " * 2000, "x" * 70_000, "\n" * 3000, "? " * 500,
]  # fmt: skip


def splintered(rng: Random, text: str) -> str:
    """Change the text at one place."""
    lines = text.split("\n")
    line, place = rng.randrange(len(lines)), rng.randrange(len(text) + 1)
    match rng.randrange(8):
        case 0:
            return text[:place] + rng.choice(SPLINTERS) + text[place:]
        case 1:
            return text[:place]
        case 2:
            return text[:place] + text[place + rng.randrange(1, 30) :]
        case 3:
            lines[line] = rng.choice(["  ", " ", "\t", "\u00a0"]) + lines[line]
        case 4:
            lines.insert(line, rng.choice(lines))
        case 5:
            lines[line] = lines[line].lstrip()
        case 6:
            del lines[line]
        case _:
            return text.replace(
                rng.choice([": ", "\n", "{", '"', "  ", ","]), rng.choice([":", "\n\n", "\t", "'", "  ", "", ", "]), rng.randrange(1, 4)
            )
    return "\n".join(lines)


@lru_cache
def read(text: str) -> Any:
    return yaml_text.read(text).data


def example(number: int) -> str:
    """The mutated catalog of this number."""
    rng = Random(number)
    text = rng.choice(TEXTS) + (WORDING if rng.random() < 0.3 else "")
    kind = rng.random()
    if kind < 0.03:
        return rng.choice(
            [text + BOMB, BOMB, "", "\ufeff" + text, "- x\n", "null", "x", "&a *a", "{}", "[]", "\x00", "--- \n" + text + "\n---\n" + text]
        )
    if kind < 0.35:
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            text = splintered(rng, text)
        return text
    data = copy.deepcopy(read(text))
    for _ in range(rng.choice([1, 1, 1, 1, 2, 5])):
        data = reshaped(rng, data)
    return written(data) if isinstance(data, Raw) or rng.random() < 0.9 else splintered(rng, written(data))


def accepted(text: str) -> Catalog | None:
    """The catalog, or None where it was rejected as it should be."""
    try:
        return parse(text, "mine.yaml")
    except CatalogError as error:
        faults = error.faults
    assert faults
    for fault in faults:
        assert fault.line >= 1
        assert fault.message.strip()
        assert len(str(fault)) < 4_000, str(fault)[:200]
        assert fault.field or fault.message.startswith(("not valid YAML", "a catalog is a YAML mapping")), str(fault)
        assert not any(word in fault.message for word in ("Traceback", "pydantic", "Value error", "object at 0x", "NoneType")), str(fault)
    return None


def events(catalog: Catalog) -> list[dict[str, Any]]:
    """A little of everything, and what completes the first steps."""
    values = {"path": "/", "target": "t", "form": "f", "code": "c", "traits": {"persona": "analyst"}, "previousId": "cookie", "text": "x"}
    found: list[dict[str, Any]] = [
        {"eventType": kind, "name": "x" if kind == "track" else "", "payload": dict(values)}
        for kind in sorted(EVENT_TYPES - {"user_deleted"})
    ]
    for step in catalog.steps[:3]:
        for completion in step.complete[:2]:
            payload = dict(values)
            for name, condition in completion.where.items():
                if isinstance(condition.eq, str | int | float | bool):
                    payload[name] = condition.eq  # type: ignore[assignment]
            found += [
                {"eventType": completion.type, "name": completion.name or ("x" if completion.type == "track" else ""), "payload": payload}
            ] * 2
    return found


def survives(catalog: Catalog) -> None:
    """A small run: one person, everything the catalog can do to them, and time passing."""
    Plan(catalog, wording=True)
    job = OfflineRunner(Plan(catalog), Keys(b"a secret for tests"))
    when = NOW
    for number, made in enumerate([{"eventType": "signup", "payload": {"traits": {"persona": "analyst", "pro": True}}}, *events(catalog)]):
        when += 3 * MINUTE
        line = json.dumps({"eventId": f"e{number}", "userId": "ana", "timestamp": when, **made})
        job.message(Message(line.encode(), None, "fuzz", 0, number, when, when + DAY, 2 * number))
    for hours in (1, 7, 30, 80):
        job.tick(when + hours * HOUR, 2 * number + 1)
    assert job.events or job.dead_letters


@pytest.mark.parametrize("part", range(10))
def test_every_catalog_is_accepted_and_works_or_rejected_with_the_place(part: int, tmp_path: Path) -> None:
    with uses_at_most(LONGEST * EXAMPLES, f"{EXAMPLES} catalogs"):
        for number in range(part, 10 * EXAMPLES, 10):
            text = example(number)
            try:
                catalog = accepted(text)
                if catalog is not None:
                    survives(catalog)
                if number % 7 == part % 7:
                    _from_a_file(tmp_path / "mine.yaml", text, catalog)
            except Exception as error:
                raise AssertionError(f"example {number}: {error!r}\n{text[:3000]!r}") from error


def _from_a_file(path: Path, text: str, catalog: Catalog | None) -> None:
    """The same as a file, in which a lone surrogate is no UTF-8, and a line end is one character."""
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    found: Catalog | CatalogError | CatalogFileError
    try:
        found = load_catalog(str(path))
    except (CatalogError, CatalogFileError) as error:
        found = error
    if isinstance(found, CatalogFileError):
        assert str(found).endswith(".")
    elif not set(text) & {"\r", "\ufeff"}:
        assert isinstance(found, CatalogError) if catalog is None else found == catalog


def test_the_examples_reach_both_ends() -> None:
    """Many are accepted, and many kinds of fault are found: a fuzzer whose every example fails at the first check finds nothing."""
    good, messages = 0, set[str]()
    for number in range(100):
        try:
            parse(example(number), "mine.yaml")
            good += 1
        except CatalogError as error:
            messages |= {fault.message[:25] for fault in error.faults}
    assert (good >= 7, len(messages) >= 30) == (True, True), (good, len(messages))
