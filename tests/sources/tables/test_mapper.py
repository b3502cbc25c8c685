"""A row becomes an event that the job accepts, or is rejected with its reason; the mapping says which."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.tables.mapper import Cells, Mapped, Mapper, Rejected
from sources.tables.mapping import MappingError, parse_mapping
from state.decode import decode
from state.event import Event
from state.messages import Message

NOW = 1_790_000_000_000
SMALL = "userId: u\ntimestamp: t\nevent: {type: track, name: x}\n"
AT = "2026-03-02T09:00:00Z"


def mapper(text: str) -> Mapper:
    return Mapper(parse_mapping(text, "m.yaml"), now=NOW)


def event(text: str, **row: Any) -> dict[str, Any]:
    found = mapper(text)({"u": "ana", "t": AT, **row})
    assert isinstance(found, Mapped), found
    loaded = json.loads(found.line)
    assert isinstance(loaded, dict)
    return loaded


def rejected(text: str, **row: Any) -> Rejected:
    found = mapper(text)({"u": "ana", "t": AT, **row})
    assert isinstance(found, Rejected), found
    return found


# values

VALUES = """
event: {column: what, otherwise: skip, values: {a: page_view, 1: {type: track, name: one}, 'true': {type: track}, c: reject}}
userId: u
timestamp: t
payload: {path: {value: /x}}
"""


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("a", ("page_view", None)),
        (" a ", ("page_view", None)),
        (1, ("track", "one")),
        (1.0, ("track", "one")),
        ("1", ("track", "one")),
        (True, ("track", "true")),
        ("z", None),
        (None, None),
    ],
)
def test_the_value_of_a_column_decides_what_the_event_is(what: object, found: tuple[str, str | None] | None) -> None:
    got = mapper(VALUES)({"u": "ana", "t": AT, "what": what})
    if found is None:
        assert got is None
    else:
        assert isinstance(got, Mapped)
        sent = json.loads(got.line)
        assert (sent["eventType"], sent.get("name")) == found


def test_a_value_that_the_mapping_does_not_name_is_rejected_by_default() -> None:
    assert rejected(VALUES, what="c").reason == "unknown_value"
    text = SMALL.replace("{type: track, name: x}", "{column: what}")
    assert rejected(text, what="checkout").reason == rejected(text, what="").reason == "unknown_value"
    assert event(text + "payload: {path: p}", what="page_view", p="/a")["eventType"] == "page_view"
    named = SMALL.replace("{type: track, name: x}", "{column: what, name_column: n}")
    assert event(named, what="track", n="sent")["name"] == "sent"


@pytest.mark.parametrize(
    ("given", "wanted", "found"),
    [
        ("1.5", "number", 1.5),
        (" 7 ", "number", 7),
        ("1e3", "integer", 1000),
        (Decimal("2.50"), "number", 2.5),
        ("yes", "boolean", True),
        (0, "boolean", False),
        ('{"a": [1, null]}', "json", {"a": [1, None]}),
        (7, "text", "7"),
        (" kept ", "text", " kept "),
        (date(2026, 3, 2), None, "2026-03-02"),
        (timedelta(seconds=90), None, 90.0),
        (UUID(int=7), None, str(UUID(int=7))),
        (b"abc", None, "abc"),
        ("\ud83d", None, "\ufffd"),
        ({"a": float("nan"), "b": (1, 2)}, None, {"a": None, "b": [1, 2]}),
    ],
)
def test_payload_values_are_read_as_the_type_that_is_asked_for(given: object, wanted: str | None, found: object) -> None:
    how = f"{{column: v, type: {wanted}}}" if wanted else "v"
    assert event(f"{SMALL}payload: {{a.b: {how}}}", v=given)["payload"] == {"a": {"b": found}}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("12,5", "number"),
        ("1_000", "number"),
        ("inf", "number"),
        (True, "number"),
        ("1.5", "integer"),
        ("maybe", "boolean"),
        ("{", "json"),
        (b"\xff", "text"),
        ([1], "number"),
    ],
)
def test_a_value_of_another_type_rejects_the_row_and_names_the_column(given: object, wanted: str) -> None:
    found = rejected(f"{SMALL}payload: {{a: {{column: v, type: {wanted}}}}}", v=given)
    assert (found.reason, found.column) == ("bad_value", "v")


@pytest.mark.parametrize(
    ("decimal", "given", "found"),
    [
        (",", "1.234,50", 1234.5),
        (",", "12,5", 12.5),
        (",", " -1 234 567,5 ", -1234567.5),
        (",", "1\xa0234\u202f567,5", 1234567.5),
        (",", "1.234", 1234),
        (",", "12", 12),
        (",", 1.5, 1.5),
        (",", "1e3", 1000),
        (".", "1,234.50", 1234.5),
        (".", "1'234.5", 1234.5),
        (".", "1.5", 1.5),
    ],
)
def test_a_decimal_sign_of_the_file_is_that_of_its_numbers(decimal: str, given: object, found: float) -> None:
    text = f"{SMALL}file: {{decimal: '{decimal}'}}\npayload: {{a: {{column: v, type: number}}}}"
    assert event(text, v=given)["payload"] == {"a": found}
    kept = mapper(f"{SMALL}file: {{decimal: '{decimal}'}}\nwhere: {{v: {{gte: {found}}}}}")
    assert isinstance(kept({"u": "ana", "t": AT, "v": given}), Mapped)


@pytest.mark.parametrize(
    ("decimal", "given"), [(",", "1.5"), (",", "1.23.456"), (",", "1,234,5"), (".", "1,5"), (",", "1_000,5"), (".", "1,234,5")]
)
def test_a_number_with_another_decimal_sign_is_not_guessed(decimal: str, given: str) -> None:
    found = rejected(f"{SMALL}file: {{decimal: '{decimal}'}}\npayload: {{a: {{column: v, type: number}}}}", v=given)
    assert (found.reason, found.column) == ("bad_value", "v")


@pytest.mark.parametrize("given", ["twelve", "1.1" * 200_000, "1 " * 200_000 + "x"])
def test_what_is_no_number_at_all_is_not_taken_for_one(given: str) -> None:
    found = rejected(f"{SMALL}payload: {{a: {{column: v, type: number}}}}", v=given)
    assert found.detail.endswith("not a number")


@pytest.mark.parametrize("given", ["1.234,50", "1,234.50", "12,5", "1 234,5"])
def test_a_number_whose_decimal_sign_is_not_known_is_rejected_with_the_way_out(given: str) -> None:
    found = rejected(f"{SMALL}payload: {{a: {{column: v, type: number}}}}", v=given)
    assert found.detail.endswith("not a number; set file.decimal in the mapping to its decimal sign, or leave out type to keep the text")


@pytest.mark.parametrize("nothing", [None, float("nan"), "", "  "])
def test_a_value_that_is_not_there_leaves_its_field_out(nothing: object) -> None:
    text = f"{SMALL}tenantId: v\nsessionId: v\npayload: {{a: {{column: v, type: number}}}}"
    assert set(event(text, v=nothing)) == {"eventId", "userId", "eventType", "name", "timestamp", "payload"}
    assert event(text, v=nothing)["payload"] == {}


def test_an_object_becomes_the_payload_and_single_fields_lie_over_it() -> None:
    text = f"{SMALL}payload_from: p\npayload: {{b: n.deep.x, k: {{value: 7}}}}"
    assert event(text, p='{"a": 1, "b": 2}', n={"deep": {"x": 3}})["payload"] == {"a": 1, "b": 3, "k": 7}
    assert event(text, p={"a": 1}, n=None)["payload"] == {"a": 1, "k": 7}
    assert rejected(text, p="[1]", n=None).column == "p"


NESTED = """
userId: u
timestamp: t
event: {column: e, otherwise: track, values: {view: {type: page_view, payload: {path: properties.$pathname}}, none: skip}}
payload: {traits.tier: properties.plan, total: {column: properties.order.total, type: number}}
"""


def test_a_dotted_name_leads_into_json_text_too() -> None:
    text = '{"$pathname": "/welcome", "plan": "free", "order": {"total": "12.5"}}'
    found = event(NESTED, e="view", properties=text)
    assert found["payload"] == {"path": "/welcome", "traits": {"tier": "free"}, "total": 12.5}
    assert event(NESTED, e="view", properties=json.loads(text))["payload"] == found["payload"]
    for nothing in ("", "  ", None, "null", "{}"):
        assert event(NESTED, e="x", properties=nothing)["payload"] == {}
    whole = event(f"{NESTED}payload_from: properties\n", e="x", properties=text)["payload"]
    assert whole == {"$pathname": "/welcome", "plan": "free", "order": {"total": "12.5"}, "traits": {"tier": "free"}, "total": 12.5}
    assert event(NESTED, e="x", properties=text.encode())["payload"]["total"] == 12.5


@pytest.mark.parametrize(
    "text",
    [
        '{"plan": ',
        ' \n{"plan": free}',
        b"{\xff}",
        "{\udcff}",
        '{"plan":' * 100_000,
        "{" + '"a":{' * 100_000 + "}" * 100_001,
        '{"plan": ' + "9" * 500_000 + "}",
    ],
)
def test_damaged_json_of_an_object_rejects_the_row(text: Any) -> None:
    for more in ("", "payload_from: properties\n"):
        assert "which is not JSON" in refusal(NESTED + more, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("what", "is 'what', which is not JSON"),
        ("n/a", "is 'n/a', which is not JSON"),
        ("[1]", "is [1], not an object"),
        ('[{"plan": "free"}]', "not an object"),
        ("12", "is 12, not an object"),
        ('"{}"', "is '{}', not an object"),
        ("[" * 500_000, "which is not JSON"),
        ("\udcff", "which is not JSON"),
        (b"\xff", "which is not JSON"),
    ],
)
def test_text_that_is_no_object_has_no_value_at_a_dotted_name_and_is_no_payload(text: Any, said: str) -> None:
    assert event(NESTED, e="x", properties=text)["payload"] == {}
    assert said in refusal(f"{NESTED}payload_from: properties\n", text)


def refusal(text: str, properties: Any) -> str:
    """Why ``properties`` rejects a row that reads them; a row that does not read them is not rejected."""
    found = rejected(text, e="view", properties=properties)
    assert (found.reason, found.column) == ("bad_value", "properties")
    assert found.detail.startswith("the column properties is ")
    assert len(found.detail) < 200
    assert mapper(text)({"u": "ana", "t": AT, "e": "none", "properties": properties}) is None
    return found.detail


def test_a_condition_at_a_dotted_name_leaves_rows_with_other_text_out() -> None:
    found = mapper(f"{SMALL}where: {{v.kind: human}}")
    kinds: list[Any] = [{"kind": "human"}, '{"kind": "human"}', '{"kind": "robot"}', "system", ""]
    assert [found({"u": "ana", "t": AT, "v": kind}) is not None for kind in kinds] == [True, True, False, False, False]
    assert isinstance(found({"u": "ana", "t": AT, "v": "{kind"}), Rejected)


def test_json_text_is_read_once_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []

    def counted(text: str) -> Any:
        read.append(text)
        if text == "{broken":
            raise ValueError
        return json.loads(text)

    monkeypatch.setattr("sources.tables.values.parse_json", counted)
    found = mapper(f"{NESTED}payload_from: properties\n")
    texts = ["{broken", '{"$pathname": "/"}', '{"$pathname": "/", "plan": "free"}']
    for text in texts:
        assert isinstance(found({"u": "ana", "t": AT, "e": "view", "properties": text}), Rejected if text == "{broken" else Mapped)
    assert read == texts


def test_the_id_of_a_row_does_not_depend_on_how_its_text_is_read() -> None:
    row = {"e": "x", "properties": '{"a": 1}'}
    plain = NESTED.replace("properties.", "other.")
    assert event(NESTED, **row)["eventId"] == event(plain, **row)["eventId"]


@pytest.mark.parametrize(
    ("given", "found"), [(17, "17"), (17.0, "17"), (" a ", "a"), (Decimal(5), "5"), (b"x", "x"), (UUID(int=1), str(UUID(int=1)))]
)
def test_ids_are_texts(given: object, found: str) -> None:
    assert event(SMALL, u=given)["userId"] == found


@pytest.mark.parametrize("given", [1.5, 1e30, True, [1], {"a": 1}, float("inf"), b"\xff"])
def test_what_is_no_id_is_rejected(given: object) -> None:
    assert rejected(SMALL, u=given).reason == "bad_value"


@pytest.mark.parametrize(("given", "reason"), [("undefined", "placeholder_id"), (None, "missing_user"), ("a\u202eb", "bad_user_id")])
def test_the_contract_judges_every_event(given: object, reason: str) -> None:
    assert rejected(SMALL, u=given).reason == reason


# event ids


def test_equal_rows_have_equal_ids_and_others_have_others() -> None:
    ids = {event(SMALL, a=a)["eventId"] for a in (1, 2, "1", None)}
    assert len(ids) == 4
    assert event(SMALL, a=1, b=2)["eventId"] == event(SMALL, b=2, a=1)["eventId"]
    assert event(SMALL, a=b"\xff")["eventId"] != event(SMALL, a=b"\xfe")["eventId"]
    other = SMALL.replace("name: x", "name: y")
    assert event(other, a=1)["eventId"] not in ids, "one table may hold two kinds of events"


def test_several_columns_make_an_id_without_running_together() -> None:
    text = SMALL + "eventId: [a, b]"
    assert event(text, a="1", b="23")["eventId"] != event(text, a="12", b="3")["eventId"]
    assert event(SMALL + "eventId: a", a=5)["eventId"] == event(SMALL + "eventId: {column: a}", a=5)["eventId"] == "5"
    assert (
        event(SMALL + "eventId: [{value: signup}, a]", a=5)["eventId"] == event(SMALL + "eventId: [{value: signup}, a]", a="5")["eventId"]
    )
    assert rejected(text, a="1", b=None).reason == rejected(SMALL + "eventId: a", a="").reason == "missing_event_id"


def test_a_list_of_columns_gives_the_events_of_each_mapping_of_a_table_ids_of_their_own() -> None:
    named = SMALL.replace("event: {type: track, name: x}", "event: {type: track, name: y}")
    typed = SMALL.replace("event: {type: track, name: x}", "event: {type: signup}")
    assert len({SMALL, named, typed}) == 3
    for columns, row in (("[a]", {"a": 1}), ("[a, b]", {"a": 1, "b": 2})):
        assert len({event(f"{text}eventId: {columns}", **row)["eventId"] for text in (SMALL, named, typed)}) == 3
    assert event(SMALL + "eventId: [a]", a=5)["eventId"].startswith("row-")


# times


def moment(how: str, value: object) -> str:
    sent = event(SMALL.replace("timestamp: t", f"timestamp: {how}"), t=value)["timestamp"]
    assert isinstance(sent, str)
    return sent


BERLIN = "{column: t, zone: Europe/Berlin}"


@pytest.mark.parametrize(
    ("how", "value", "found"),
    [
        ("t", "2026-03-02T09:00:00+02:00", "2026-03-02T07:00:00.000Z"),
        ("t", "2026-03-02 09:00:00.1234567 +0200", "2026-03-02T07:00:00.123Z"),
        ("t", "2026-03-02 09:00:00 UTC", "2026-03-02T09:00:00.000Z"),
        ("t", "2026-03-02t09:00:00z", "2026-03-02T09:00:00.000Z"),
        ("t", datetime(2026, 3, 2, 9, tzinfo=timezone(timedelta(hours=2))), "2026-03-02T07:00:00.000Z"),
        (BERLIN, "2026-07-02 09:00:00", "2026-07-02T07:00:00.000Z"),
        (BERLIN, "2026-03-02T09:00:00Z", "2026-03-02T09:00:00.000Z"),
        (BERLIN, datetime(2026, 3, 2, 9), "2026-03-02T08:00:00.000Z"),  # noqa: DTZ001
        (BERLIN, "2025-10-26 02:30:00", "2025-10-26T00:30:00.000Z"),
        (BERLIN, "2026-03-29 01:59:59", "2026-03-29T00:59:59.000Z"),
        (BERLIN, "2026-03-29 03:00:00", "2026-03-29T01:00:00.000Z"),
        ("{column: t, zone: Asia/Beirut, time_of_day: '00:00'}", "2026-03-29", "2026-03-28T22:00:00.000Z"),
        ("{column: t, zone: UTC, time_of_day: '12:00'}", "2026-03-02", "2026-03-02T12:00:00.000Z"),
        ("{column: t, zone: UTC, time_of_day: '12:00'}", "20260302", "2026-03-02T12:00:00.000Z"),
        ("{column: t, zone: UTC, time_of_day: '12:00'}", date(2026, 3, 2), "2026-03-02T12:00:00.000Z"),
        ("{column: t, zone: UTC, format: ['%d.%m.%Y %H:%M', '%d/%m/%y %H:%M']}", "02/03/26 09:05", "2026-03-02T09:05:00.000Z"),
        ("{column: t, unit: s}", 1772442000, "2026-03-02T09:00:00.000Z"),
        ("{column: t, unit: s}", "1772442000.25", "2026-03-02T09:00:00.250Z"),
        ("{column: t, unit: ms}", 1772442000001.0, "2026-03-02T09:00:00.001Z"),
        ("{column: t, unit: ns}", "1772442000123456789", "2026-03-02T09:00:00.123Z"),
        ("{column: t, unit: s}", AT, "2026-03-02T09:00:00.000Z"),
    ],
)
def test_times_are_read_in_many_forms(how: str, value: object, found: str) -> None:
    assert moment(how, value) == found


@pytest.mark.parametrize(
    ("how", "value", "reason", "said"),
    [
        ("t", "2026-03-02 09:00:00", "bad_value", "zone"),
        ("t", "2026-03-02", "bad_value", "time_of_day"),
        ("t", "1772442000", "bad_value", "unit"),
        ("t", 1772442000, "bad_value", "unit"),
        ("t", "yesterday", "bad_value", "format"),
        ("{column: t, zone: UTC, format: '%d.%m.%Y'}", "02.03.2026", "bad_value", "time_of_day"),
        ("{column: t, zone: UTC, format: '%d.%m.%Y'}", "2026-03-02", "bad_value", "%d.%m.%Y"),
        ("{column: t, unit: s}", float("inf"), "bad_value", "calendars"),
        ("{column: t, unit: s}", 10**30, "timestamp_out_of_range", "calendars"),
        ("{column: t, unit: ms}", 1772442000, "timestamp_out_of_range", "2000"),
        ("{column: t, unit: ms}", 1772442000, "timestamp_out_of_range", "the column t fits unit: s"),
        ("{column: t, unit: ms}", "1772442000123456", "timestamp_out_of_range", "the column t fits unit: us"),
        ("{column: t, unit: s}", 1772442000123, "timestamp_out_of_range", "the column t fits unit: ms"),
        ("{column: t, unit: ns}", "1772442000.5", "timestamp_out_of_range", "the column t fits unit: s"),
        ("{column: t, unit: s}", True, "bad_value", "not a time"),
        (BERLIN, "2026-03-29 02:30:00", "bad_value", "which no clock shows in Europe/Berlin"),
        (BERLIN, datetime(2026, 3, 29, 2, 0), "bad_value", "which no clock shows in Europe/Berlin"),  # noqa: DTZ001
        ("{column: t, zone: Europe/Berlin, format: '%d.%m.%Y %H:%M'}", "29.03.2026 02:59", "bad_value", "which no clock shows"),
        ("t", None, "missing_timestamp", "empty"),
        ("t", "  ", "missing_timestamp", "empty"),
    ],
)
def test_a_time_that_is_not_clear_is_rejected_with_the_way_out(how: str, value: object, reason: str, said: str) -> None:
    found = rejected(SMALL.replace("timestamp: t", f"timestamp: {how}"), t=value)
    assert found.reason == reason
    assert said in found.detail


def test_a_unit_is_named_only_where_it_fits() -> None:
    for how, value in (("{column: t, unit: s}", 1), ("{column: t, unit: s}", 10**30), ("t", "1999-01-01T00:00:00Z")):
        assert "fits" not in rejected(SMALL.replace("timestamp: t", f"timestamp: {how}"), t=value).detail


# rows


@pytest.mark.parametrize(
    ("where", "kept", "left"),
    [
        ("{s: paid}", ["paid", " paid "], ["open", None]),
        ("{s: [paid, open]}", ["open"], ["x", None]),
        ("{s: {not_in: [1, 2]}}", ["3", 3, "x"], ["1", 2]),
        ("{s: {gte: 10}}", ["10", 11.5], ["9", "x", None]),
        ("{s: false}", ["false", False, "FALSE"], ["true", True, None]),
        ("{s: '1'}", ["1", 1], ["2"]),
        ("{s: {exists: true}}", ["x", 0], [None, ""]),
        ("{s.x: a}", [{"x": "a"}], [{"x": "b"}, None]),
    ],
)
def test_rows_that_the_conditions_do_not_hold_for_are_left_out(where: str, kept: list[object], left: list[object]) -> None:
    with_conditions = mapper(f"{SMALL}where: {where}")
    for value in kept:
        assert isinstance(with_conditions({"u": "ana", "t": AT, "s": value}), Mapped), value
    for value in left:
        assert with_conditions({"u": "ana", "t": AT, "s": value}) is None, value


def test_columns_that_no_row_has_are_known() -> None:
    found = mapper(f"{SMALL}payload: {{a: a, n: n.x, z: zz}}")
    found({"u": "ana", "t": AT, "a": None, "n": {"x": 1}})
    assert found.unseen == {"zz"}
    assert Cells({"a.b": 1, "a": {"b": 2}}).value("a.b") == 1


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals() | st.datetimes() | st.dates(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=4), inside, max_size=3),
    max_leaves=6,
)
ROWS = st.dictionaries(st.sampled_from(["u", "t", "e", "p", "q", "s"]), JSONS | st.sampled_from([AT, "ana", "page_view", "track"]))
EVERYTHING = """
userId: u
anonymousId: q
sessionId: s
timestamp: {column: t, zone: Europe/Berlin, time_of_day: "12:00", unit: s}
event: {column: e, otherwise: track}
payload: {path: p, t.number: {column: q, type: number}, j: {column: s, type: json}}
payload_from: p
where: {q: {not_in: [left]}}
"""


@given(row=ROWS)
def test_no_row_stops_an_import_and_every_event_is_one_that_the_job_accepts(row: dict[str, Any]) -> None:
    one, again = mapper(EVERYTHING)(row), mapper(EVERYTHING)(row)
    if isinstance(one, Mapped):
        found = decode(Message(one.line, None, "t", 0, 1, NOW, NOW, 0))
        assert isinstance(found, Event)
        assert (found.timestamp, (found.tenant, found.user, found.id)) == (one.at, one.identity)
        assert b"\n" not in one.line
    else:
        assert one is None or (one.reason and one.detail)
    assert one == again


# mappings


@pytest.mark.parametrize(
    ("wrong", "line", "said"),
    [
        ("userId: u\nevent: {type: track}\n", 1, "timestamp: it is missing"),
        ("timestamp: t\nevent: {type: track}\n", 1, "userId or anonymousId"),
        (SMALL + "payloda: {}\n", 4, "no such field"),
        (SMALL.replace("{type: track, name: x}", "page_view"), 3, "it needs a mapping"),
        (SMALL.replace("{type: track, name: x}", "{type: page_view, name: x}"), 3, "only track events have a name"),
        (SMALL.replace("{type: track, name: x}", "{column: a, values: {b: pageview}}"), 3, "must be one of"),
        (SMALL.replace("{type: track, name: x}", "{column: a, values: {b: 3}}"), 3, "it needs skip, reject"),
        (SMALL.replace("timestamp: t", "timestamp: {column: t, zone: Mars}"), 2, "no time zone 'Mars'"),
        (SMALL.replace("timestamp: t", "timestamp: {column: t, format: '%H:%M'}"), 2, "day, month and year"),
        (SMALL.replace("timestamp: t", "timestamp: {column: t, format: '%Q'}"), 2, "no format of a time"),
        (SMALL.replace("timestamp: t", "timestamp: {column: t, time_of_day: noon}"), 2, "time of day"),
        (SMALL + "file: {encoding: klingon}\n", 4, "no text encoding"),
        (SMALL + "tenantId: {column: a, value: b}\n", 4, "either column or value"),
        (SMALL.replace("{type: track, name: x}", "{column: a, values: {1: track, true: skip}}"), 3, "put them in quotes"),
        (SMALL + "userId: v\n", 4, "appears twice"),
        (SMALL + "\tx: 1\n", 4, "not valid YAML"),
        ("- a\n", 1, "a mapping is YAML"),
        ("", 1, "a mapping is YAML"),
    ],
)
def test_a_fault_of_a_mapping_has_its_line_and_what_to_write(wrong: str, line: int, said: str) -> None:
    with pytest.raises(MappingError) as caught:
        parse_mapping(wrong, "m.yaml")
    assert any(fault.line == line and said in str(fault) for fault in caught.value.faults), str(caught.value)


def test_the_time_of_now_bounds_the_future() -> None:
    ahead = datetime.fromtimestamp(NOW / 1000 + 90_000, UTC).isoformat()
    assert rejected(SMALL, t=ahead).reason == "timestamp_out_of_range"
