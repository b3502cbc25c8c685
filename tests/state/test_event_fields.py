"""The fields with a meaning: what is read, what is refused in words, and that no refusal and no earlier value is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state import counters
from state.catalog.plan import Plan
from state.decision.messages import DecisionRequest
from state.decode import decode
from state.event import Event
from state.event_fields import (
    NO_HOURS,
    UnreadableError,
    fault_of,
    read_channels,
    read_consent,
    read_preferences,
    read_quiet_hours,
    read_text,
    read_trait,
)
from state.messages import Message
from state.person.collector import Collector
from state.person.fold import Fold
from state.person.person import Person
from state.records.dead_letter import DeadLetter
from state.records.facts import DecisionFact
from state.time_zones import read_zone
from state.times import MINUTES_A_DAY, minute_of_day, within_hours
from state.windows_zones import IANA_ZONE
from tests.state.lives import KEYS, START, catalog

INPUTS = Path(__file__).parents[1] / "inputs"
JULY = 1_783_987_200_000
"""2026-07-14T00:00:00Z."""


def unread(reads: Any, value: Any) -> str:
    """What is said about a value that cannot be read."""
    with pytest.raises(UnreadableError) as caught:
        reads(value)
    return str(caught.value)


# consent

NO = [False, 0, 0.0, *"false FALSE False off no n 0 never none disabled opt-out unsubscribed".split(), "No ", "opted out"]
YES = [True, 1, 1.0, *"true on yes Y 1 enabled granted opt_in".split()]
NEITHER = [None, "", " ", "maybe", 2, -1, 0.5, [], {}, [False], ["no"], {"value": False}, {"enabled": None}, {"enabled": {"enabled": 0}}]


@pytest.mark.parametrize("value", NO, ids=repr)
def test_a_refusal_is_read_however_it_is_written(value: Any) -> None:
    assert read_consent(value) is False
    assert read_consent({"enabled": value, "since": 2}) is False


@pytest.mark.parametrize("value", YES, ids=repr)
def test_a_consent_is_read_however_it_is_written(value: Any) -> None:
    assert read_consent(value) is True
    assert read_consent({"enabled": value}) is True


@pytest.mark.parametrize("value", NEITHER, ids=repr)
def test_what_is_neither_is_never_taken_for_a_consent(value: Any) -> None:
    assert "send true or false" in unread(read_consent, value)
    for name in ("guidance", "modelText"):
        assert fault_of("preferences_changed", {name: value}).startswith(f"{name} is ")
        assert not fault_of("preferences_changed", {name: False, "quietHours": value})


@given(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.booleans()))
def test_only_the_words_for_it_are_a_consent(value: Any) -> None:
    try:
        read = read_consent(value)
    except UnreadableError:
        return
    assert not read or value == 1 or value.strip().lower() in ("yes", "y", "t", "on", "true", "1")


@pytest.mark.parametrize("value", [None, "", "  ", 5, 0, [1], [None], {}, {"email": "maybe"}, "carrier pigeon"], ids=repr)
def test_channels_that_cannot_be_read_are_refused_in_words(value: Any) -> None:
    assert "send the list" in unread(read_channels, value)


def test_all_speaks_of_every_channel_that_is_not_named() -> None:
    assert read_channels({"all": False, "email": True}) == {"in_app": False, "email": True}
    assert read_channels({"email": False}) == {"email": False}


def test_a_refusal_counts_beside_what_cannot_be_read_which_then_is_one_too() -> None:
    found = read_preferences({"modelText": "off", "guidance": None, "channels": 5, "quietHours": {"start": "25:00"}})
    assert (found.guidance, found.model_text, found.channels, found.quiet) == (False, False, {"in_app": False, "email": False}, None)
    assert set(found.unread) == {"guidance", "channels", "quietHours"}
    alone = read_preferences({"guidance": None, "modelText": True})
    assert (alone.guidance, alone.model_text, set(alone.unread)) == (None, True, {"guidance"})


@pytest.mark.parametrize("name", ["model_text", "ModelText", "modeltext", "quiet_hours", "quiet-hours", "Guidance", "CHANNELS"])
def test_a_preference_by_another_name_is_refused_with_the_right_one(name: str) -> None:
    fault = fault_of("preferences_changed", {name: False})
    assert fault.endswith(f"not {name}")
    assert fault.split()[3].strip(",") in ("modelText", "quietHours", "guidance", "channels")
    assert not fault_of("preferences_changed", {"theme": "dark", "guidanceStyle": 7})


# quiet hours

HOURS = [
    ("22:00", "07:00", (1320, 420)),
    ("22:00:00", "07:00:00", (1320, 420)),
    ("22:00:00.000", "07:00:00", (1320, 420)),
    ("9:00", "7:00", (540, 420)),
    ("22:00", "24:00", (1320, 1440)),
    ("00:00", "24:00", (0, 1440)),
    ("00:00:00", "23:59:59", (0, 1440)),
    ("00:00", "23:59", (0, 1439)),
    ("24:00", "07:00", (0, 420)),
    ("10pm", "7am", (1320, 420)),
    ("10:00 PM", "7:00 AM", (1320, 420)),
    ("10:30 p.m.", "12 am", (1350, 0)),
    ("12pm", "12:30 PM", (720, 750)),
    (" 22:00 ", "07:00", (1320, 420)),
]
NO_TIMES: list[Any] = [
    *"24:01 25:00 12:60 12:00:60 0700 2200 -1:00 aa:bb 0am 22h00 22:00Z 22:00+02:00 ²²:²² evening".split(),
    *("13 pm", "", None, 22, 22.5, True, ["22:00"], {"hour": 22}),
]


@pytest.mark.parametrize(("start", "end", "hours"), HOURS)
def test_hours_are_read_where_they_mean_one_thing(start: str, end: str, hours: tuple[int, int]) -> None:
    assert read_quiet_hours({"start": start, "end": end}) == hours


@pytest.mark.parametrize("time", NO_TIMES, ids=repr)
def test_other_hours_are_refused_in_words(time: Any) -> None:
    assert "has the start" in unread(read_quiet_hours, {"start": time, "end": "07:00"})
    assert "has the end" in unread(read_quiet_hours, {"start": "07:00", "end": time})


@pytest.mark.parametrize("hours", [[["22:00", "07:00"]], {"from": "22:00", "to": "07:00"}, {}, "22-7", 7, False, {"enabled": "perhaps"}])
def test_what_are_no_hours_is_refused_in_words(hours: Any) -> None:
    assert unread(read_quiet_hours, hours)


@pytest.mark.parametrize(("start", "end"), [("00:00", "00:00"), ("9:00", "09:00:00"), ("24:00", "00:00"), ("24:00", "24:00")])
def test_equal_times_could_be_all_day_or_never(start: str, end: str) -> None:
    assert "same time" in unread(read_quiet_hours, {"start": start, "end": end})


def test_null_and_a_switch_end_quiet_hours() -> None:
    assert read_quiet_hours(None) == NO_HOURS
    assert read_quiet_hours({"enabled": False, "start": "22:00", "end": "07:00"}) == NO_HOURS
    assert read_quiet_hours({"enabled": True, "start": "22:00", "end": "07:00"}) == (1320, 420)


@given(st.integers(0, MINUTES_A_DAY - 1), st.integers(0, MINUTES_A_DAY - 1))
def test_every_minute_is_read_as_it_is_written(start: int, end: int) -> None:
    if start != end:
        told = {"start": f"{start // 60:02d}:{start % 60:02d}", "end": f"{end // 60:02d}:{end % 60:02d}"}
        assert read_quiet_hours(told) == (start, end)


# time zones

ZONES = {
    120: "Europe/Berlin europe/berlin EUROPE/BERLIN CET Etc/GMT-2 +02:00 +0200 +02 +2 UTC+2 GMT+2".split(),
    0: "UTC utc GMT Z z +00:00 UTC-0".split(),
    -240: ["America/New_York", "-4", " America/New_York "],
    -210: ["-03:30", "\u221203:30", "gmt-3:30"],
    345: ["UTC+05:45", "Asia/Kathmandu", "Nepal Standard Time"],
    840: ["+14:00"],
    540: ["Tokyo Standard Time", "tokyo standard time", "Asia/Tokyo"],
}
NO_ZONES = [
    *"America Berlin ../../../etc/passwd /etc/passwd zone.tab tzdata.zi posix/Europe/Berlin localtime Factory Mars/Base".split(),
    *"+15:00 +14:01 +2:60 120 2 + UTC+ IST EDT Europe/Berlin; +٢".split(),
    *("\x00", "\x00Europe/Berlin", "x" * 500),
]


@pytest.mark.parametrize(("name", "minutes"), [(name, minutes) for minutes, names in ZONES.items() for name in names])
def test_a_zone_is_known_by_every_usual_name(name: str, minutes: int) -> None:
    assert minute_of_day(JULY, name) == minutes % MINUTES_A_DAY
    assert read_trait("timezone", name) == name


@pytest.mark.parametrize("name", NO_ZONES, ids=ascii)
def test_an_unknown_zone_is_none_and_no_file_is_opened_for_it(name: str) -> None:
    assert read_zone(name) is None
    assert minute_of_day(JULY, name) == 0
    unread(lambda value: read_trait("timezone", value), name)


def test_every_windows_name_means_a_zone() -> None:
    assert all(read_zone(name) is not None for name in IANA_ZONE)


# traits


@pytest.mark.parametrize(
    "name",
    [
        *"null undefined %FNAME% {{first_name}} N/A 12345 - None ${x} *|FNAME|* anonymous".split(),
        *("[object Object]", "  ", 5, True, ["Ana"], {"first": "Ana"}, "x" * 129),
    ],
)
def test_what_is_no_name_is_not_kept_as_one(name: Any) -> None:
    unread(lambda value: read_trait("firstName", value), name)


@pytest.mark.parametrize("name", ["Ana", "Ana 2", "Nil", "Null-Smith", "李", "محمد", "O'Brien", "X Æ A-12", ""])
def test_names_are_kept(name: str) -> None:
    assert read_trait("firstName", name) == name


@pytest.mark.parametrize("value", ["analyst", "none", "N/A", "51-200", "", 5, 5.5, True, None])
def test_other_traits_are_scalars(value: Any) -> None:
    assert read_trait("persona", value) == value


@pytest.mark.parametrize("value", [["analyst"], {}, "undefined", "[object Object]", "{{persona}}", "x" * 129])
def test_what_an_app_prints_for_nothing_is_no_trait(value: Any) -> None:
    unread(lambda given: read_trait("persona", given), value)


@pytest.mark.parametrize("traits", [[], ["a"], "{}", 5, True, ""])
def test_traits_are_an_object(traits: Any) -> None:
    assert "send an object" in fault_of("signup", {"traits": traits})
    assert "send an object" in fault_of("identify", {"traits": traits})


def test_without_traits_a_person_signs_up_too() -> None:
    assert not fault_of("signup", {}) + fault_of("signup", {"traits": None}) + fault_of("identify", {"traits": {"persona": []}})


@pytest.mark.parametrize(("value", "text"), [("no", "no"), (5, "5"), (None, ""), (True, ""), ({"text": "no"}, ""), (["a"], "")])
def test_a_text_is_a_text_or_a_number(value: Any, text: str) -> None:
    assert read_text(value) == text


# the inputs


def told(name: str) -> tuple[dict[str, Person], list[DeadLetter], dict[str, list[Any]], dict[str, int]]:
    """Run an input through decode and fold: people, dead letters, each person's outputs, and what was counted."""
    fold = Fold(Plan(catalog(change=lambda text: text.replace("title: Pros, match: {pro: true}", "title: Pros"))), KEYS)
    people: dict[str, Person] = {}
    letters: list[DeadLetter] = []
    outputs: dict[str, list[Any]] = {}
    counted: dict[str, int] = {}
    for number, line in enumerate((INPUTS / name).read_bytes().splitlines()):
        found = decode(Message(line, None, name, 0, number, START + 40 * 86_400_000, START + 40 * 86_400_000, number))
        if isinstance(found, DeadLetter):
            letters.append(found)
            continue
        out = Collector("key")
        event = Event(**{**{field: getattr(found, field) for field in Event.__struct_fields__}, "log_time": found.timestamp})
        people[event.user] = fold.apply(people.get(event.user), event, out)
        outputs.setdefault(event.user, []).extend([*out.requests, *out.rows])
        counters.add(counted, out.counts)
    return people, letters, outputs, counted


def test_every_opt_out_is_a_refusal_or_a_dead_letter() -> None:
    people, letters, outputs, _ = told("opt_out_wrong_type.jsonl")
    assert [(letter.reason, json.loads(letter.raw)["userId"]) for letter in letters] == [("bad_payload", "o4")]
    assert "guidance is null; send true or false" in letters[0].detail
    for user, person in people.items():
        guided = any(isinstance(each, DecisionRequest) or getattr(each, "outcome", "") == "decided" for each in outputs[user])
        assert (person.guidance, guided) == ((True, guided) if user == "o4" else (False, False)), user


READ = {f"q{number:02d}": (1320, 420) for number in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 19)} | {
    "q10": (540, 420), "q11": (1320, 1440), "q12": (0, 1440), "q14": (0, 1439),
}  # fmt: skip
REFUSED = {"q13", "q15", "q17", "q18"}
UNKNOWN_ZONE = {"q06", "q07", "q08", "q19"}


def test_all_twenty_spellings_of_quiet_hours_are_read_or_told() -> None:
    people, letters, outputs, counted = told("quiet_hours_unread.jsonl")
    assert {json.loads(letter.raw)["userId"]: letter.reason for letter in letters} == dict.fromkeys(REFUSED, "bad_payload")
    assert set(READ) | REFUSED == set(people)
    for user, person in people.items():
        assert (person.quiet_from, person.quiet_to) == READ.get(user, NO_HOURS), user
        assert ("timezone" in person.traits) is (user not in UNKNOWN_ZONE), user
    assert counted["values_unread|timezone"] == 2 * len(UNKNOWN_ZONE)
    quiet = {user for user, rows in outputs.items() for row in rows if isinstance(row, DecisionFact) and row.reason == "quiet_hours"}
    minutes = dict.fromkeys(people, 22 * 60 + 30) | dict.fromkeys(UNKNOWN_ZONE, 20 * 60 + 30)
    assert quiet == {user for user, hours in READ.items() if within_hours(minutes[user], *hours)}


def test_valid_json_is_not_called_anything_else() -> None:
    _, letters, outputs, _ = told("valid_json_called_not_json.jsonl")
    assert [(letter.reason, letter.detail) for letter in letters] == [
        ("bad_payload", "payload holds a number beyond 64 bits, 1e400; send it as a string")
    ]
    texts = [json.loads(row.payload).get("text") for row in outputs["u"] if hasattr(row, "payload")]
    assert texts == ["love it \ufffd", "ok \U0001f600", None]
