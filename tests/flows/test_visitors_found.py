"""The ids of a user are found as the job judges their merges, whether the job has read them, and whatever is gone by now."""

from __future__ import annotations

import json
import pickle
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from flows.places.files import Recovery
from flows.places.place import Logged, Place
from flows.places.visitors import Row, Visitors
from local.data_dir import DataDir
from state.ids import Keys
from state.messages import Message
from state.person.person import Person
from state.person.snapshot import decode
from state.person.visitors_of import Claim
from state.records.facts import EventFact
from state.times import rfc3339
from tests.support.memory_job import KEYS, Job, newest_snapshots
from tests.support.merge_histories import HISTORIES, USERS, VISITORS, Id, erasures, histories, left, ran
from tests.support.stories import Log

NOW = 1_767_600_000_000


class Messages(Place):
    """A log in memory."""

    def __init__(self, *found: Logged) -> None:
        self.found = found

    def messages(self, texts: Sequence[bytes]) -> Iterator[Logged]:
        return (each for each in self.found if any(text in each.value for text in texts))


class Tables:
    """The rows of a job, or some."""

    def __init__(self, merges: Collection[EventFact] = (), *rows: Row) -> None:
        self.merges, self.all = merges, rows

    def claims(self, tenant: str, ids: Collection[str]) -> list[Claim]:
        found = [
            Claim(each.log_time, each.user_id, json.loads(each.payload)["previousId"]) for each in self.merges if each.tenant_id == tenant
        ]
        return [each for each in found if each.by in ids or each.visitor in ids]

    def rows(self, _tenant: str, ids: Collection[str], keys: Collection[str]) -> list[Row]:
        return [each for each in self.all if each.user in ids or each.key in keys]


def message(sender: str, kind: str = "page_view", at: int = NOW, *, visitor: bool = False, **payload: Any) -> Logged:
    fields = {"eventId": f"e-{sender}-{at}", "anonymousId" if visitor else "userId": sender, "eventType": kind, "timestamp": rfc3339(at)}
    return Logged(at, json.dumps({**fields, "payload": {"path": "/"} | payload}).encode())


def merge(by: str, named: str, at: int = NOW, *, visitor: bool = False) -> Logged:
    return message(by, "identity_merged", at, visitor=visitor, previousId=named)


class Known(Recovery):
    """What a job knows, by ids."""

    def __init__(self, keys: Keys, **people: Person) -> None:
        self._found = {keys.stream_key("default", user): person for user, person in people.items()}

    def people(self, keys: Collection[str]) -> dict[str, Person]:
        return {key: person for key, person in self._found.items() if key in keys}


def visitors(tables: Tables, *found: Logged, **people: Person) -> Visitors:
    return Visitors(KEYS, Known(KEYS, **people), tables, [Messages(*found)])


def into(user: str, *, of: str = "") -> Person:
    """A visitor who was merged; without an id if it was deleted."""
    return Person("default" if of else "", of, merged_into=KEYS.stream_key("default", user), deleted_at=0 if of else NOW)


def key_of(user: str) -> str:
    return KEYS.stream_key("default", user)


def test_a_sign_in_that_no_job_has_read_tells_whose_the_visitor_is() -> None:
    """Also where the job has met the visitor before: to the tables it is then somebody of their own."""
    found = merge("ann", "cookie"), merge("cookie", "old-cookie", visitor=True)
    for tables, people in (
        (Tables(), {}),
        (Tables((), Row("cookie", False, key_of("cookie"))), {"cookie": Person("default", "cookie")}),
    ):
        known = visitors(tables, *found, **people)
        assert known.ids_of("default", "ann") == ("ann", "cookie", "old-cookie")
        assert [known.user_of("default", each) for each in ("ann", "cookie", "old-cookie", "ben")] == ["", "ann", "ann", ""]
        assert known.ids_of("other", "ann") == ("ann",)


def test_visitors_of_a_user_whom_the_app_has_deleted_are_found_by_what_the_log_still_has() -> None:
    """The rows are gone. A second user of the device does not get them, nor does the second one's deletion reach them."""
    known = visitors(Tables(), merge("ann", "cookie"), merge("ben", "cookie", NOW + 1), cookie=into("ann"))
    assert known.ids_of("default", "ann") == ("ann", "cookie")
    assert known.ids_of("default", "ben") == ("ben",)
    later = visitors(Tables(), merge("ben", "cookie"), cookie=into("ann"))
    assert later.ids_of("default", "ben") == ("ben",), "the log has deleted the merge of the first one, and the job knows"
    assert later.user_of("default", "cookie") == "", "nobody can name the user, who is deleted"


def test_the_key_of_a_visitor_outweighs_a_merge_that_the_job_has_refused() -> None:
    """The merge that was taken is gone by retention."""
    rows = Row("ann", False, key_of("ann")), Row("cookie", True, key_of("ann")), Row("ben", False, key_of("ben"))
    known = visitors(Tables((), *rows), merge("ben", "cookie"))
    assert (known.ids_of("default", "ann"), known.ids_of("default", "ben")) == (("ann", "cookie"), ("ben",))
    assert known.user_of("default", "cookie") == "ann"
    living = visitors(Tables(), merge("ben", "cookie"), cookie=into("ann", of="cookie"), ann=Person("default", "ann", known=True))
    assert (living.ids_of("default", "ben"), living.user_of("default", "cookie")) == (("ben",), "ann")


def test_a_merge_that_the_job_has_read_and_refused_names_nobody() -> None:
    """The visitor is still somebody of their own, as of one who has as many as a user may have."""
    refused = EventFact(
        event_id="e",
        session_id="",
        name="",
        traceparent="",
        timestamp=NOW,
        log_time=NOW,
        source_partition=0,
        source_offset=0,
        version=1,
        tenant_id="default",
        user_id="ben",
        event_type="identity_merged",
        payload='{"previousId": "cookie"}',
        status="applied",
    )
    known = visitors(Tables([refused], Row("cookie", False, key_of("cookie"))), cookie=Person("default", "cookie"))
    assert (known.ids_of("default", "ben"), known.user_of("default", "cookie")) == (("ben",), "")


@pytest.mark.parametrize(
    ("tables", "more", "people"),
    [
        (Tables(), (message("ben", at=NOW - 1),), {}),
        (Tables(), (), {"ben": Person("default", "ben", known=True)}),
        (Tables((), Row("ben", False, "")), (), {}),
    ],
)
def test_an_id_that_is_a_user_is_nobodys_visitor(tables: Tables, more: tuple[Logged, ...], people: dict[str, Person]) -> None:
    known = visitors(tables, merge("ann", "ben"), *more, **people)
    assert (known.ids_of("default", "ann"), known.user_of("default", "ben")) == (("ann",), "")


def test_the_newest_deletion_of_an_id_is_found_in_the_messages() -> None:
    later = message("ann", "user_deleted", NOW - 5)._replace(at=NOW + 5)
    known = visitors(Tables(), message("ann", "user_deleted"), later, message("ben", "user_deleted", NOW + 9), message("ann", at=NOW + 9))
    assert known.deletion_of("default", "ann") == (NOW - 5, NOW + 5)
    assert (known.deletion_of("default", "cyd"), known.deletion_of("other", "ann")) == (None, None)


def judged(job: Job) -> dict[Id, tuple[str, bool]]:
    """The key of whom each visitor was merged into at last, deleted or not, and whether that one is an id of a user."""
    people = {key: decode(pickle.loads(state)) for (step, key), state in newest_snapshots(job.store).items() if step.endswith(".track")}
    found = dict[Id, tuple[str, bool]]()
    for number in range(HISTORIES):
        for visitor in VISITORS:
            for tenant in {row.tenant_id for row in job.facts.items if isinstance(row, EventFact) and row.tenant_id.endswith(f"-{number}")}:
                key = KEYS.stream_key(tenant, visitor)
                if key not in people or not people[key].merged_into:
                    continue
                while key in people and people[key].merged_into:
                    key = people[key].merged_into
                found[tenant, visitor] = key, key in {KEYS.stream_key(tenant, user) for user in USERS}
    return found


def tables_of(job: Job) -> Tables:
    """What is left in the tables. Merges of those who were deleted are gone."""
    gone = erasures(job)
    merges = [
        row for row in job.facts.items
        if isinstance(row, EventFact) and row.event_type == "identity_merged"
        and not ((row.tenant_id, row.user_id) in gone and row.version < gone[row.tenant_id, row.user_id].version)
    ]  # fmt: skip
    rows = [(tenant, Row(user, row.experiment_group == "merged", row.person_key)) for (tenant, user), row in left(job).items()]
    return TablesOfTenants(merges, rows)


class TablesOfTenants(Tables):
    def __init__(self, merges: Collection[EventFact], rows: Sequence[tuple[str, Row]]) -> None:
        super().__init__(merges)
        self._rows = rows

    def rows(self, tenant: str, ids: Collection[str], keys: Collection[str]) -> list[Row]:
        return [each for of, each in self._rows if of == tenant and (each.user in ids or each.key in keys)]


def logged(log: Log, first: int = 0) -> Messages:
    return Messages(*(Logged(each.log_time, each.value) for each in log.items[first:] if isinstance(each, Message)))


@pytest.mark.parametrize("read", ["all of it", "the first half"])
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_whatever_was_merged_into_whom_the_ids_are_those_of_the_job(seed: int, read: str, tmp_path: Path) -> None:
    log = histories(seed)
    whole = judged(ran(log, tmp_path / "whole"))
    data_dir = DataDir.create(tmp_path / "d")
    part = Log()
    part.items = log.items if read == "all of it" else log.items[: len(log.items) // 2]
    job = ran(part, data_dir.state)
    found = Visitors(KEYS, Recovery(data_dir), tables_of(job), [logged(log)])
    wrong = []
    senders = (json.loads(each.value) for each in log.items if isinstance(each, Message))
    odd = {each["tenantId"] for each in senders if each.get("userId") in VISITORS}  # what they connected before stays with the job only
    for tenant in {tenant for tenant, _ in whole}:
        ids = {user: set(found.ids_of(tenant, user)) - {user} for user in USERS}
        for visitor in VISITORS:
            if (tenant, visitor) in whole and whole[tenant, visitor][1] and (read == "all of it" or tenant not in odd):
                key = whole[tenant, visitor][0]
                wrong += [(tenant, visitor, user) for user in USERS if (visitor in ids[user]) != (KEYS.stream_key(tenant, user) == key)]
    assert len(whole) > HISTORIES
    assert wrong == []
