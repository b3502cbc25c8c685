"""Every JSON type at every field with a meaning: through decode and the fold, and in everything that shows it."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.timeline import as_records
from state.decode import decode
from state.event_contract import REJECTIONS
from state.event_fields import FIELDS
from state.messages import Message
from state.person.collector import Collector
from state.person.fold import Fold
from state.plain_text import plain
from state.records.dead_letter import DeadLetter
from state.records.facts import EventFact
from tests.cli.command import onramp
from tests.cli.conftest import Inside, Ready
from tests.fuzz.event_sender import row_of
from tests.state.lives import KEYS, START, plan, signup
from tests.support.model_server import ModelServer

INPUTS: Final = Path(__file__).parents[1] / "inputs"
VALUES: Final[list[Any]] = [
    *(None, True, False, 0, 1, -7, 2.5, 1e300, 2**63 - 1, "", " ", "text", "null", "a\x00\x1b[31m\u202e", "\ud83d", "[bold]x[/bold]"),
    *([], ["region", "month"], [[{"a": [None]}]], {}, {"text": "no answer", "retry": True}, {"enabled": False}, {"start": "22:00"}),
]
"""At least one of every JSON type, and of every type within a list and an object."""

KINDS: Final[dict[str, dict[str, Any]]] = {
    "page_view": {"path": "/a"},
    "button_click": {"target": "b"},
    "form_submit": {"form": "c"},
    "error": {"code": "E1"},
    "step_completed": {"step": "invite"},
    "track": {},
    "signup": {"traits": {"persona": "analyst"}},
    "identify": {"traits": {"persona": "analyst"}},
    "recommendation_shown": {},
    "tooltip_dismiss": {},
    "preferences_changed": {},
    "identity_merged": {"previousId": "c1"},
}
TRAITS: Final = tuple(
    name for field in FIELDS if field.name.startswith("traits.") for name in field.name.removeprefix("traits.").split(", ")
)
PLACES: Final = tuple(
    (kind, path)
    for kind, payload in KINDS.items()
    for path in (
        *((name,) for name in {*payload, "label", "message", "title", "code", "target", "text", "recommendationId"}),
        *((("guidance",), ("modelText",), ("channels",), ("quietHours",)) if kind == "preferences_changed" else ()),
        *((("quietHours", "start"), ("quietHours", "end"), ("quietHours", "enabled")) if kind == "preferences_changed" else ()),
        *(("traits", trait) for trait in TRAITS if "traits" in payload),
    )
)
TOP: Final = (
    "eventId",
    "userId",
    "anonymousId",
    "tenantId",
    "sessionId",
    "eventType",
    "name",
    "timestamp",
    "payload",
    "schemaVersion",
    "context",
)


def event(number: int, user: str, kind: str, path: tuple[str, ...], value: Any, **more: Any) -> bytes:
    """A sound event but for one value."""
    payload = json.loads(json.dumps(KINDS[kind]))
    inner = payload
    for name in path[:-1]:
        inner = inner.setdefault(name, {})
    if path:
        inner[path[-1]] = value
    moment = f"2026-03-02T{9 + number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
    made = {"eventId": f"{user}-{number}", "userId": user, "eventType": kind, "timestamp": moment, "payload": payload}
    return json.dumps({**made, **more}).encode()


_anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(PLACES), st.sampled_from(VALUES) | _anything, st.none() | st.tuples(st.sampled_from(TOP), st.sampled_from(VALUES)))
def test_a_value_of_any_type_is_folded_and_shown_or_rejected_with_a_reason(
    place: tuple[str, tuple[str, ...]], value: Any, top: tuple[str, Any] | None
) -> None:
    kind, path = place
    data = event(5, "u", kind, path, value, **({top[0]: top[1]} if top else {}))
    found = decode(Message(data, None, "odd", 0, 1, START + 5_000, START + 5_000, 1))
    if isinstance(found, DeadLetter):
        assert found.reason in REJECTIONS
        return
    fold, out = Fold(plan(), KEYS), Collector("key")
    person = fold.apply(None, signup(), out)
    fold.apply(person, found, out)
    (shown,) = as_records([row_of(fact) for fact in out.rows if isinstance(fact, EventFact) and fact.event_id == found.id])
    words = shown["inWords"]
    assert all(letter.isprintable() or unicodedata.category(letter) == "Zs" for letter in words)
    if path == ("label",) and isinstance(value, list | dict) and not top:
        assert plain(json.dumps(value, ensure_ascii=False))[:50] in words


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """A run on a file with every value at every field."""
    cwd = tmp_path_factory.mktemp("odd")
    lines = [
        event(number, f"odd-{kind}", kind, path, value)
        for number, ((kind, path), value) in enumerate((p, v) for p in PLACES for v in VALUES)
    ]
    lines += [
        event(len(lines) + number, "odd-top", "track", (), None, **{name: value})
        for number, (name, value) in enumerate((name, value) for name in TOP for value in VALUES)
    ]
    data = b"\n".join(lines) + b"\n" + (INPUTS / "explain_list_in_payload.jsonl").read_bytes()
    (cwd / "events.jsonl").write_bytes(data)
    return Ready(cwd, onramp("run", "--input", "events.jsonl", "--json", cwd=cwd))


def test_a_run_takes_every_value_or_tells_why_not(odd: Ready) -> None:
    assert odd.result.code == 0, odd.result.err
    figures = odd.result.json
    assert set(figures["deadLetters"]) <= set(REJECTIONS)
    assert {"bad_payload", "placeholder_id", "bad_user_id", "bad_timestamp"} <= set(figures["deadLetters"])
    assert {"persona", "firstName", "timezone"} <= set(figures["valuesUnread"])
    assert "Values that cannot be read were ignored: " in odd.result.err
    assert "Traceback" not in odd.result.err


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("u-list", 'label ["region", "month"]'),
        ("u-obj", 'message {"text": "no answer", "retry": true}'),
        ("u-trait", 'persona ["developer", "analyst"]'),
        ("odd-preferences_changed", "guidance false"),
        ("odd-identify", "persona analyst"),
        ("odd-error", "code E1"),
    ],
)
def test_explain_shows_lists_and_objects_as_json(odd: Ready, inside: Inside, user: str, words: str) -> None:
    as_json = inside("explain", user, "--json", "--limit", 0, cwd=odd.cwd)
    assert as_json.code == 0, as_json.err
    told = [entry["inWords"] for entry in as_json.json["timeline"] if entry["kind"] == "event"]
    assert any(words in each for each in told), told[:20]
    if user.startswith("u-"):
        printed = inside("explain", user, cwd=odd.cwd)
        assert printed.code == 0, printed.err
        assert words in " ".join(printed.out.split())


def test_explain_tells_an_exposure_that_matches_nothing(odd: Ready, inside: Inside) -> None:
    told = inside("explain", "odd-recommendation_shown", "--json", "--limit", 0, cwd=odd.cwd).json["timeline"]
    ignored = [each["inWords"] for each in told if "(ignored: no recommendation of this user has that id)" in each["inWords"]]
    assert any("region" in each for each in ignored)


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain", "odd-top"],
        ["explain", "odd-error", "--limit", 0],
        ["recommend", "odd-signup"],
        ["report"],
        ["report", "--json"],
        ["review", "list"],
        ["sql", "SELECT payload, name, session_id FROM events_final"],
        ["sql", "SELECT payload, raw FROM events_final, dead_letters LIMIT 50", "--csv"],
        ["sql", "SELECT * FROM dead_letters", "--json"],
    ],
    ids=lambda arguments: " ".join(map(str, arguments)),
)
def test_no_command_dies_of_a_value(odd: Ready, inside: Inside, arguments: list[str]) -> None:
    result = inside(*arguments, cwd=odd.cwd)
    assert result.code == 0, result.err
    assert not set(result.out) & {"\x1b", "\u202e", "\x00"}
    if arguments == ["report"]:
        printed = " ".join(result.out.split())
        assert "unknown time zones, with the number of users: " in printed
        assert "exposure events were ignored: they carry a recommendationId that was not issued to that user" in printed
    if arguments == ["report", "--json"]:
        assert {"tenantId": "default", "timezone": "text", "people": 2} in result.json["unknownTimeZones"]


def test_a_model_can_be_tried_for_a_person_of_odd_values(odd: Ready, inside: Inside) -> None:
    newest = "SELECT user_id FROM decisions_final WHERE outcome = 'decided' AND user_id LIKE 'odd-%' ORDER BY decided_at DESC LIMIT 1"
    (row,) = inside("sql", newest, "--json", cwd=odd.cwd).json["rows"]
    with ModelServer() as server:
        result = inside("llm", "try", "--user", row["user_id"], "--llm", server.url, "--json", cwd=odd.cwd)
    assert result.code == 0, result.err
    assert len(server.requests) == 1
