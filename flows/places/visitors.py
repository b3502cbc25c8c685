"""Finds whose visitor an id is, and which ids are a user's: by what the job knows, and by the merges in tables and messages.

The job knows the merges that it has read, but no id of a visitor, only digests. Ids are in the rows and messages of merges. A merge counts
until the job has judged it: it may be in a log that the job has not read, and of a user who was deleted only the log still has it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from flows.places.files import Recovery
from flows.places.place import Place
from state.decode import decode
from state.event import Event
from state.ids import Keys
from state.messages import Message
from state.person.person import Person
from state.person.visitors_of import Claim, users_of_visitors, visitors_of
from state.records.subject import Deletion
from state.vocabulary import IDENTITY_MERGED, USER_DELETED


class Row(NamedTuple):
    """A row of ``people``. ``key`` is empty in rows of earlier releases."""

    user: str
    merged: bool
    key: str


class HoldsMerges(Protocol):
    """The tables of a job."""

    def claims(self, tenant: str, ids: Collection[str]) -> list[Claim]:
        """Return the recorded merges that name one of ``ids``, or were sent by one."""

    def rows(self, tenant: str, ids: Collection[str], keys: Collection[str]) -> list[Row]:
        """Return the rows of people with one of these ids or keys."""


class Visitors:
    """Answers for any tenant. Each call reads the messages of ``places`` once or twice, and raises the errors of the stores."""

    def __init__(self, keys: Keys, recovery: Recovery, tables: HoldsMerges | None, places: Sequence[Place]) -> None:
        """Read nothing yet. ``tables`` is None where there are none."""
        self._keys, self._recovery, self._tables, self._places = keys, recovery, tables, places

    def ids_of(self, tenant: str, user: str) -> tuple[str, ...]:
        """Return ``user`` and the ids of all visitors that are theirs, also of those from before a deletion."""
        found = self._judge(tenant, user)
        return user, *visitors_of(user, found.claims, found.users.__contains__)

    def user_of(self, tenant: str, visitor: str) -> str:
        """Return whose visitor an id is: a user, or the visitor that stands for its chain. Empty for an id that is nobody's visitor.

        It is empty as well where the user was deleted.
        """
        found = self._judge(tenant, visitor)
        whose = users_of_visitors(found.claims, found.users.__contains__).get(visitor, "")
        return "" if whose in found.gone else whose

    def deletion_of(self, tenant: str, user: str) -> Deletion | None:
        """Return the newest deletion of an id that the messages have; None where they have none."""
        found = (each for each in self._events(tenant, [USER_DELETED.encode()]) if each.type == USER_DELETED and each.user == user)
        return max((Deletion(each.timestamp, each.log_time) for each in found), key=lambda each: each.logged, default=None)

    def _judge(self, tenant: str, first: str) -> _Judged:
        logged, senders = self._logged_claims(tenant)
        known, keys = {first}, {self._key(tenant, first)}
        recorded, rows = set[Claim](), dict[str, Row]()
        while True:  # until no id is connected with another one
            if self._tables is not None:
                recorded = set(self._tables.claims(tenant, known))
                rows = {row.user: row for row in self._tables.rows(tenant, known, keys)}
            named = known | rows.keys() | {each for claim in recorded for each in (claim.by, claim.visitor)}
            for claim in logged:
                if claim.by in named or claim.visitor in named:
                    named |= {claim.by, claim.visitor}
            under = {self._key(tenant, each) for each in named} | {row.key for row in rows.values() if row.key}
            if (named, under) == (known, keys):
                break
            known, keys = named, under
        people = self._recovery.people({self._key(tenant, each) for each in known})
        users = (senders & known) | {each for each in known if _is_user(people.get(self._key(tenant, each)), rows.get(each))}
        users |= self._used_as_users(tenant, known - users)
        by_key = {row.key: row.user for row in rows.values() if row.key and not row.merged}
        by_key |= {self._key(tenant, each): each for each in known}
        owned, others, gone = self._owned({each: self._key(tenant, each) for each in known - users}, people, rows, by_key)
        users |= others | gone
        refused = {
            (claim.by, claim.visitor)
            for claim in recorded
            if claim.visitor not in owned and (row := rows.get(claim.visitor)) is not None and not row.merged
        }
        claims = [claim for claim in recorded.union(logged) if (claim.by, claim.visitor) not in refused]
        return _Judged([*(Claim(-1, owner, visitor) for visitor, owner in owned.items()), *claims], users, gone)

    def _owned(
        self, visitors: dict[str, str], people: dict[str, Person], rows: dict[str, Row], by_key: dict[str, str]
    ) -> tuple[dict[str, str], set[str], set[str]]:
        """Whose visitors are, as the job has judged: visitor → owner. Then the users among the owners that only the recovery store names,
        and those whom nobody names any more, by their keys.
        """
        owned, users, gone = dict[str, str](), set[str](), set[str]()
        into = {visitor: people[key].merged_into for visitor, key in visitors.items() if key in people and people[key].merged_into}
        unnamed = set(into.values()) - by_key.keys()
        owners = self._recovery.people(unnamed)
        for key in unnamed:
            owner = owners.get(key)
            if owner is not None and owner.user:
                by_key[key] = owner.user
                users |= {owner.user} if owner.known else set()
            else:
                by_key[key] = key
                gone.add(key)
        for visitor in visitors:
            row = rows.get(visitor)
            key = into.get(visitor) or ("" if row is None or not row.merged else row.key)
            if key in by_key:
                owned[visitor] = by_key[key]
        return owned, users, gone

    def _logged_claims(self, tenant: str) -> tuple[list[Claim], set[str]]:
        """The merges in messages, and who sent one as a user."""
        claims, senders = list[Claim](), set[str]()
        for event in self._events(tenant, [IDENTITY_MERGED.encode()]):
            if event.type == IDENTITY_MERGED:
                claims.append(Claim(event.log_time, event.user, str(event.payload["previousId"])))
                if not event.anonymous:
                    senders.add(event.user)
        return claims, senders

    def _used_as_users(self, tenant: str, ids: Collection[str]) -> set[str]:
        """Which of ``ids`` are a ``userId`` in a message."""
        if not ids:
            return set()
        found = self._events(tenant, [each.encode("utf-8", "surrogatepass") for each in ids])
        return {event.user for event in found if event.user in ids and not event.anonymous and event.type != USER_DELETED}

    def _events(self, tenant: str, texts: Sequence[bytes]) -> Iterator[Event]:
        for place in self._places:
            for at, value in place.messages(texts):
                found = decode(Message(value, None, "", 0, 0, at, at, 0))
                if isinstance(found, Event) and found.tenant == tenant:
                    yield found

    def _key(self, tenant: str, user: str) -> str:
        return self._keys.stream_key(tenant, user)


class _Judged(NamedTuple):
    claims: Iterable[Claim]
    users: set[str]
    gone: set[str]


def _is_user(person: Person | None, row: Row | None) -> bool:
    """Whether the job has met an id as a ``userId``. Where it does not tell, a row that is not merged may be that of a user."""
    if person is not None and (person.known or person.user):
        return person.known
    return row is not None and not row.merged
