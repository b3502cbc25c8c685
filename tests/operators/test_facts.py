"""facts and sink_batches: nothing is counted twice or not at all, and everything of one person stays in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow, Stream
from bytewax.testing import TestingSink, TestingSource, run_main
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from operators.bundle import Bundle
from operators.decode import Decoded
from operators.facts import facts_step, heartbeat_step
from operators.lanes import spread
from operators.sink_batches import by_person, dead_letter_batches, effect_batches, person_of
from state.duration import MINUTE
from state.messages import Tick
from state.records.dead_letter import DeadLetter
from state.records.fact_builders import RAW_SHOWN, dead_letter_fact
from state.records.facts import (
    DeadLetterFact,
    DecisionFact,
    EventFact,
    Fact,
    OutcomeFact,
    ProgressFact,
    RecommendationFact,
    SignalFact,
    StepMetricFact,
)
from state.records.minute_metrics import step_metrics
from state.records.recommendation import Erase
from tests.state.lives import START
from tests.support.facts import make

LETTER = DeadLetter("not_json", "the message is not JSON", b"\xff" * 9_000, "events", 3, 42, -1)
TICK = Tick(0, START, 3)


class Outputs:
    """What a step emitted: rows and effects."""

    def __init__(self, rows: list[Any] | None = None, effects: list[Any] | None = None) -> None:
        self.rows: list[Any] = rows or []
        self.effects: list[Any] = effects or []


def decoded(ticks: list[Tick] | None = None, rejected: list[DeadLetter] | None = None) -> Decoded:
    out = Decoded()
    out.ticks += ticks or []
    out.rejected += rejected or []
    return out


def through(step: Callable[[Stream[Any]], Stream[Any]], *items: Any) -> list[Any]:
    """What a step makes of items that arrive as one batch."""
    made: list[Any] = []
    flow = Dataflow("through")
    op.output("out", step(op.input("in", flow, TestingSource(list(items), batch_size=len(items)))), TestingSink(made))
    run_main(flow)  # type: ignore[no-untyped-call]
    return made


# facts


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_tick_is_a_heartbeat_for_every_partition_and_nothing_else_is(partitions: int) -> None:
    beats: list[tuple[str, list[Any]]] = [(str(each), []) for each in range(partitions)]

    def beating(*batch: Decoded) -> list[Any]:
        return through(lambda up: heartbeat_step("beat", up, partitions), *batch)

    assert beating(decoded([TICK])) == beats
    assert beating(decoded([TICK, TICK]), decoded([TICK])) == beats
    assert beating(decoded(rejected=[LETTER])) == []
    assert beating(decoded(), decoded([TICK], [LETTER])) == beats


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_batch_of_rows_is_one_item_for_each_partition_that_gets_some(partitions: int) -> None:
    rows = [make(EventFact, user_id=user, status="late", version=at) for at, user in enumerate(("ana", "ben", "ana", "cleo", "ana"))]
    keyed = ("key", Outputs(rows[3:]))  # of a keyed step
    items = through(lambda up: facts_step("facts", up, partitions), Outputs(rows[:3]), Outputs(), keyed)
    assert len({name for name, _ in items}) == len(items) <= partitions
    assert [row.version for _, some in items for row in some if row.user_id == "ana"] == [0, 2, 4]
    assert sorted(row.version for _, some in items for row in some) == [0, 1, 2, 3, 4]
    assert through(lambda up: facts_step("facts", up, partitions), Outputs(), Outputs()) == []


@pytest.mark.parametrize("partitions", [1, 2, 4, 8])
def test_a_deletion_follows_the_rejected_messages_that_may_name_the_user(partitions: int) -> None:
    """They go where what concerns nobody goes, so that they are in ClickHouse when the deletion is run there."""
    users = ("ana", "ben", "cleo", "dora")
    erasures: list[Any] = [Erase("t", user, 3) for user in users]
    items = through(lambda up: facts_step("facts", up, partitions), decoded(rejected=[LETTER]), Outputs(erasures))
    assert len({name for name, _ in items}) == len(items) <= partitions
    assert all(type(rows) is Bundle for _, rows in items)
    (letters,) = [rows for _, rows in items if any(isinstance(row, DeadLetterFact) for row in rows)]
    assert {row.user_id for row in letters if isinstance(row, Erase)} == {*users}
    assert isinstance(letters[0], DeadLetterFact)
    for user in users:
        own = dict(items)[str(spread(user, partitions))]
        assert [row for row in own if getattr(row, "user_id", "") == user] == [Erase("t", user, 3)], "and once where the user's rows go"


@pytest.mark.parametrize(("partitions", "known"), [(1, 3), (2, 4), (3, 1)])
def test_a_deletion_goes_wherever_older_rows_of_the_user_may_be(partitions: int, known: int) -> None:
    """The rows of a user were in another partition of the sink when there were more or fewer of them."""
    erasures: list[Any] = [Erase("t", user, 3) for user in ("ana", "ben", "cleo", "dora")]
    items = through(lambda up: facts_step("facts", up, partitions, known), Outputs(erasures))
    assert {name: {row.user_id for row in rows} for name, rows in items} == {
        str(each): {"ana", "ben", "cleo", "dora"} for each in range(max(partitions, known))
    }
    assert all(len(rows) == 4 for _, rows in items)


def test_a_dead_letter_becomes_a_row_that_is_found_again_by_its_place() -> None:
    fact = dead_letter_fact(LETTER)
    assert (fact.dead_letter_id, fact.reason, fact.source_offset, fact.log_time) == ("events:3:42", "not_json", 42, 0)
    assert fact.raw == "\ufffd" * RAW_SHOWN
    ((_, rows),) = through(lambda up: facts_step("facts", up, 1), decoded([TICK], [LETTER]))
    assert [type(row) for row in rows] == [DeadLetterFact]


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b'{"userId": "ada", "anonymousId":"v-1"', ("ada", "v-1")),
        (b'{"payload": "' + b"x" * 5_000 + b'", "userId" :\n"ada"}', ("ada",)),
        (b'{"userId": "\\u0061da", "payload": {"previousId": "a\\"b"}}', ("ada", 'a"b')),
        (b'{"userId": "ada", "userId": "ada"}', ("ada",)),
        ('{"userId": "Zoë"}'.encode(), ("Zoë",)),
        (b'{"userId": "\xff"}', ("\ufffd",)),
        (b'{"userId": "\\ud800"}', ("?",)),
        (b'{"userId": "\\x", "anonymousId": "v"}', ("v",)),
        (b'{"userId": "a\tb"}', ("a\tb",)),
        (b'{"userId": 7}', ("7",)),
        (b'{"user_id": "ada", "anonymous_id":-1}', ("ada", "-1")),
        (b"\x00\x00\x00\x00", ()),
        (b"", ()),
    ],
)
def test_a_dead_letter_s_row_knows_whom_the_whole_message_names(raw: bytes, named: tuple[str, ...]) -> None:
    assert dead_letter_fact(structs.replace(LETTER, raw=raw)).user_ids == named


@pytest.mark.parametrize(
    ("raw", "key", "named"),
    [
        (b'{"eventType": "track"}', b"ada", ("ada",)),
        (b'{"userId": "ada"}', b"ada", ("ada",)),
        (b'{"userId": "ada"}', b"ben", ("ada", "ben")),
        (b"{", "Zoë".encode(), ("Zoë",)),
        (b"{", b"\xff", ("\ufffd",)),
        (b"{", b"", ()),
        (b"{", b"x" * 257, ()),
        (b"\x00\x00\x00\x00\x05\x06", b"ada", ("ada",)),
    ],
)
def test_a_dead_letter_s_row_knows_whom_its_key_names(raw: bytes, key: bytes, named: tuple[str, ...]) -> None:
    """A message without an id has only the key, and a deletion must find it."""
    assert dead_letter_fact(structs.replace(LETTER, raw=raw, key=key)).user_ids == named


@pytest.mark.parametrize(
    ("raw", "tenants"),
    [
        (b'{"tenantId": "acme", "userId": "ada"}', ("acme",)),
        (b'{"userId": "ada"}', ("default",)),
        (b'\xef\xbb\xbf{"userId": "ada", "name": "\\ud800"}', ("default",)),
        (b'{"anonymousId": "v-1", "userId": null}', ("default",)),
        (b'{"userId": 7}', ("default",)),
        (b'{"userId": "ada", "payload": {"tenantId": "other"}}', ("default",)),
        (b'{"tenantId": "acme", "userId": "ada", "payload": {"tenantId": "other"}}', ("acme",)),
        (b'{"tenantId": "acme", "rejectedByGateway": [], "message": {"userId": "ada", "context": {"tenantId": "other"}}}', ("acme",)),
        # without a sender that can be read: whatever it names, also where it was cut off
        (b'{"tenantId": "acme"', ("acme",)),
        (b'{"after": {"userId": "ada", "tenantId": "acme"}}', ("acme",)),
        (b'{"user_id": "ada", "tenant_id": "acme"}', ("acme",)),
        (b'{"userId": "ada", "payload": {', ()),
        (b'{"previousId": "ada"}', ()),
        (b"", ()),
        # a tenant that no event can have: nobody can tell which was meant
        (b'{"tenantId": 5, "userId": "ada"}', ()),
        (b'{"tenantId": null, "userId": "ada"}', ()),
        (b'{"tenantId": "", "userId": "ada"}', ()),
        (b'{"tenantId": "undefined", "userId": "ada"}', ()),
        (b'{"tenantId": "a:b", "userId": "ada"}', ()),
    ],
)
def test_a_dead_letter_s_row_knows_its_tenant(raw: bytes, tenants: tuple[str, ...]) -> None:
    assert dead_letter_fact(structs.replace(LETTER, raw=raw)).tenant_ids == tenants


def test_a_message_with_a_schema_is_shown_as_what_it_says() -> None:
    framed = structs.replace(LETTER, raw=b"\x00\x00\x00\x00\x05\x06ada", text=b'{"userId": "ada"}')
    fact = dead_letter_fact(framed)
    assert (fact.raw, fact.user_ids) == ('{"userId": "ada"}', ("ada",))
    fact = dead_letter_fact(structs.replace(framed, text=None))
    assert (fact.raw, fact.user_ids) == ("", ()), "nobody could tell whom it names"


def test_a_batch_of_dead_letters_is_one_item() -> None:
    assert through(lambda up: dead_letter_batches("rejected", up), decoded(rejected=[LETTER]), decoded([TICK], [LETTER])) == [
        ("0", [LETTER, LETTER])
    ]
    assert through(lambda up: dead_letter_batches("rejected", up), decoded([TICK])) == []


@pytest.mark.parametrize("partitions", [1, 4])
def test_effects_of_a_person_stay_in_order_whichever_step_they_come_from(partitions: int) -> None:
    effects = [Erase("t", user, version) for version, user in enumerate(("ana", "ben", "ana", "cleo", "ana"))]
    items = through(lambda up: effect_batches("effects", up, partitions), Outputs(effects=effects[:2]), Outputs(effects=effects[2:]))
    assert len({name for name, _ in items}) == len(items) <= partitions
    assert [each.version for _, some in items for each in some if each.user_id == "ana"] == [0, 2, 4]
    assert sorted(each.version for _, some in items for each in some) == [0, 1, 2, 3, 4]
    assert through(lambda up: effect_batches("effects", up, partitions), Outputs()) == []


METRICS: list[tuple[Fact, tuple[str, str] | None]] = [
    (make(EventFact, event_type="track", status="applied", timestamp=START + 59_999), ("event", "track")),
    (make(EventFact, event_type="track", status="late", timestamp=START), None),
    (make(DecisionFact, outcome="decided", trigger="signup", decided_at=START), ("decision", "signup")),
    (make(DecisionFact, outcome="declined", reason="holdout", decided_at=START), ("non_decision", "holdout")),
    (make(SignalFact, trigger="stuck:errors", detected_at=START), ("signal", "stuck:errors")),
    (make(OutcomeFact, kind="success", trigger="signup", occurred_at=START), ("success", "signup")),
    (make(OutcomeFact, kind="shown", trigger="signup", occurred_at=START), ("shown", "signup")),
    (make(StepMetricFact, metric="completed", minute=START, count=1), ("completed", "")),
    (make(ProgressFact, status="completed", completed_at=START), None),
    (make(ProgressFact, status="current"), None),
    (make(DeadLetterFact), None),
    (make(RecommendationFact), None),
]


@pytest.mark.parametrize(("fact", "wanted"), METRICS, ids=[f"{type(row[0]).__name__}-{row[1]}" for row in METRICS])
def test_each_thing_counts_in_its_minute_under_its_name(fact: Fact, wanted: tuple[str, str] | None) -> None:
    partials = step_metrics([fact, fact])
    assert [(each.metric, each.label, each.count, each.minute) for each in partials] == ([(*wanted, 2, START)] if wanted else [])
    assert all(each.minute % MINUTE == 0 for each in partials)


@given(st.lists(st.sampled_from([row[0] for row in METRICS]), max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_partials_of_batches_cut_anywhere_add_up_to_the_whole(facts: list[Any], cuts: list[int]) -> None:
    def total(partials: list[StepMetricFact]) -> Counter[tuple[object, ...]]:
        counts: Counter[tuple[object, ...]] = Counter()
        for each in partials:
            counts[each.tenant_id, each.minute, each.path_id, each.step_id, each.metric, each.label] += each.count
        return counts

    edges = [0, *sorted(cut for cut in cuts if cut < len(facts)), len(facts)]
    parts = [each for low, high in pairwise(edges) for each in step_metrics(facts[low:high])]
    assert total(parts) == total(step_metrics(facts))


# sink_batches


@given(st.lists(st.tuples(st.sampled_from(["ana", "ben", "", "ü", "x" * 50]), st.integers()), max_size=30), st.integers(1, 8))
def test_a_split_loses_nothing_and_keeps_everyone_in_one_place_and_in_order(batch: list[tuple[str, int]], partitions: int) -> None:
    split = by_person(batch, lambda item: item[0], partitions)
    assert all(type(items) is Bundle for _, items in split), "as plain lists they would be pickled item by item"
    assert len({name for name, _ in split}) == len(split) <= partitions
    assert all(0 <= int(name) < partitions for name, _ in split)
    assert sorted(item for _, items in split for item in items) == sorted(batch)
    for name in {person for person, _ in batch}:
        mine = [[item for item in items if item[0] == name] for _, items in split]
        assert [items for items in mine if items] == [[item for item in batch if item[0] == name]]


def test_a_person_stays_on_their_partition_from_batch_to_batch() -> None:
    first, second = by_person(["ana"], str, 8), by_person(["ben", "ana", "cleo"], str, 8)
    assert next(name for name, items in second if "ana" in items) == first[0][0]


def test_a_tombstone_goes_where_the_persons_guidance_went() -> None:
    assert person_of(Erase("t", "ana", 3)) == "ana"
