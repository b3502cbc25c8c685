"""Takes the lines about deleted users out of files that a replay has written: what the job erases from the tables as it goes on."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from state.decode import decode
from state.event import Event
from state.messages import Message
from state.person.visitors_of import Claim, users_of_visitors
from state.records.dead_letter import decode_line
from state.records.fact_builders import dead_letter_fact
from state.records.recommendation import Erase
from state.vocabulary import IDENTITY_MERGED, USER_DELETED

EFFECTS: Final = "effects"
REJECTED: Final = "rejected"
_EVER: Final = 2**63 - 1
_ERASE: Final = Erase.__name__

Id = tuple[str, str]
"""Tenant and id."""


class _Until(NamedTuple):
    """Lines of a file are left out before ``line``, if their version is below ``version``."""

    line: int
    version: int


class DeletedUsers:
    """Whom the log says to be deleted, and with which visitors. ``until``: end of the range (ms) that is run; None for all of the log."""

    def __init__(self, messages: Iterable[Message], until: int | None) -> None:
        """Read ``messages``, which must be the whole log."""
        merges, self._users, deletions = list[Event](), set[Id](), list[Event]()
        for message in messages:
            event = decode(message)
            if not isinstance(event, Event):
                continue
            if event.type == IDENTITY_MERGED:
                merges.append(event)
            if event.type == USER_DELETED:
                deletions.append(event)
            elif not event.anonymous:
                self._users.add((event.tenant, event.user))
        self._connected = _Connected(merges)
        self._with = dict[Id, list[Id]]()
        self._later = set[Id]()
        for event in deletions:  # the newest one of a user in the range counts
            deleted = self._deleted_by(event)
            if until is not None and event.log_time >= until:
                self._later.update(deleted)
            else:
                self._with[deleted[0]] = deleted
        self._left_out = dict[str, dict[Id, _Until]]()

    def _deleted_by(self, deletion: Event) -> list[Id]:
        """Whom a deletion reaches: the user first, and the visitors that were the user's when it came, by the log or by its own time."""
        tenant, user = deletion.tenant, deletion.user
        claims = [
            Claim(merge.log_time, merge.user, str(merge.payload["previousId"]))
            for merge in self._connected.with_((tenant, user))
            if merge.log_time <= deletion.log_time or merge.timestamp <= deletion.timestamp
        ]
        whose = users_of_visitors(claims, lambda each: (tenant, each) in self._users)
        owner = whose.get(user, user)
        return [(tenant, each) for each in (owner, *(visitor for visitor, of in whose.items() if of == owner))]

    def erased(self, erase: Erase, written: dict[str, int], *, effects: bool) -> None:
        """The run has erased somebody, when so many lines were ``written`` to each file. ``effects``: from these, not from rows."""
        owner = erase.tenant_id, erase.user_id
        for name, lines in written.items():
            if (name == EFFECTS) == effects:
                found = self._left_out.setdefault(name, {})
                for each in self._with.get(owner, [owner]):
                    found[each] = _Until(lines, erase.version if each == owner else _EVER)

    def leave_out(self, path: Path, name: str) -> int:
        """Write the file anew without the lines about deleted users. Return how many were left out; 0 leaves the file as it is."""
        if not self._later and name not in self._left_out:
            return 0
        kept, left = path.with_name(f"{path.name}.kept"), 0
        try:
            with path.open("rb") as lines, open(kept, "xb", opener=_private) as file:
                for number, line in enumerate(lines):
                    if self._is_about_deleted(name, number, line):
                        left += 1
                    else:
                        file.write(line)
            kept.replace(path)
        finally:
            kept.unlink(missing_ok=True)
        return left

    def _is_about_deleted(self, name: str, number: int, line: bytes) -> bool:
        if name == REJECTED:
            row = msgspec.structs.asdict(dead_letter_fact(decode_line(line)))
        else:
            row = msgspec.json.decode(line)
            if row.get("effect") == _ERASE:  # it has the id and nothing else
                return False
            row = row.get("recommendation", row)
        until = self._left_out.get(name, {})
        return any(
            each in self._later or (each in until and number < until[each].line and row.get("version", 0) < until[each].version)
            for each in _ids_in(row, {*self._later, *until})
        )


class _Connected:
    """Merges by the ids that they connect, however many lie between."""

    def __init__(self, merges: Iterable[Event]) -> None:
        self._into = dict[Id, Id]()
        self._merges = dict[Id, list[Event]]()
        for merge in merges:
            one, other = self._root((merge.tenant, merge.user)), self._root((merge.tenant, str(merge.payload["previousId"])))
            if len(self._merges.get(one, ())) < len(self._merges.get(other, ())):
                one, other = other, one
            of_one = self._merges.setdefault(one, [])
            if one != other:
                self._into[other] = one
                of_one += self._merges.pop(other, [])
            of_one.append(merge)

    def with_(self, owner: Id) -> list[Event]:
        """All merges that connect ``owner`` with others."""
        return self._merges.get(self._root(owner), [])

    def _root(self, each: Id) -> Id:
        while each in self._into:
            each = self._into[each]
        return each


def _ids_in(row: dict[str, Any], known: set[Id]) -> list[Id]:
    """Whom a row is about, of those ``known``. A rejected message whose tenant nobody can tell may be of any."""
    if "user_ids" not in row:
        owner = row.get("tenant_id", row.get("tenantId")), row.get("user_id", row.get("userId"))
        return [owner] if owner in known else []
    tenants, named = set(row["tenant_ids"]), set(row["user_ids"])
    return [each for each in known if each[1] in named and (not tenants or each[0] in tenants)]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
