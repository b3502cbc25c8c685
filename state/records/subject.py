"""A user with all their ids, and whether a message is about them: for deletion and export."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeVar

import msgspec

from state.decode import peek_person
from state.event_contract import is_tenant_id
from state.ids import Keys
from state.mend_message import mend_text
from state.placeholders import is_placeholder_id
from state.records.dead_letter import OWN_PREFIX, DeadLetter, Header
from state.records.fact_builders import dead_letter_fact
from state.vocabulary import IDENTITY_MERGED, USER_DELETED

H = TypeVar("H", bound=Header)


class Deletion(NamedTuple):
    """A ``user_deleted``: its own time, and when it was logged (ms)."""

    at: int
    logged: int


class Subject(NamedTuple):
    """A user with all ids that are theirs: ``ids[0]`` is the user's, the others are of earlier visitors.

    ``merges_stay``: the job has yet to find the visitors by the user's merges. These stay in its input, without content (``left_of``).
    ``deleted``: the deletion is known; what was logged after it is of a new life of the user, or of nobody, and is not meant.
    ``own_only``: no message counts that somebody else sent and that only names a visitor. It is that sender's, so no export has it.
    """

    tenant: str
    ids: tuple[str, ...]
    merges_stay: bool = False
    own_only: bool = False
    deleted: Deletion | None = None

    def is_before(self, logged: int | None) -> bool:
        """Whether what was logged at a time (ms) is meant. What has no time is."""
        return self.deleted is None or logged is None or logged <= self.deleted.logged

    def hashes(self, keys: Keys) -> list[str]:
        """The ids as keyed hashes, which do not reveal them."""
        return [keys.stream_key(self.tenant, each) for each in self.ids]


class _Merge(msgspec.Struct, rename="camel"):
    previous_id: str = ""


class _Typed(msgspec.Struct, rename="camel"):
    event_type: str = ""


class _Merging(_Typed, rename="camel"):
    payload: _Merge | None = None


_ENVELOPE: Final = frozenset({"eventId", "tenantId", "userId", "anonymousId", "eventType", "timestamp", "schemaVersion"})
_KEPT_HEADERS: Final = frozenset({"traceparent", "x-api-version"})
_raw_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_typed = msgspec.json.Decoder(_Typed)
_merging = msgspec.json.Decoder(_Merging)


def is_about(value: bytes, key: bytes | None, subject: Subject) -> bool:
    """Whether a message was sent by the user, or names one of their visitors. Without a valid sender ``letter_is_about`` decides."""
    value = mend_text(value)
    sender = peek_person(value)
    if sender is None or is_placeholder_id(sender[1]) or not is_tenant_id(sender[0]):
        return letter_is_about(DeadLetter("", "", value, "", 0, 0, 0, key), subject)
    if sender[0] != subject.tenant:
        return False
    if sender[1] in subject.ids or subject.own_only:
        return sender[1] in subject.ids
    if b"\\" not in value and not any(each.encode("utf-8", "surrogatepass") in value for each in subject.ids):
        return False
    return _named_visitor(value) in subject.ids


def _named_visitor(value: bytes) -> str:
    """The visitor whom a merge names; empty for another message."""
    try:
        found = _merging.decode(value)
    except (ValueError, RecursionError):  # a DecodeError is a ValueError, and so is a text that is not UTF-8
        return ""
    return found.payload.previous_id if found.event_type == IDENTITY_MERGED and found.payload is not None else ""


def is_sent_by_another(value: bytes, subject: Subject) -> bool:
    """Whether a message, perhaps cut off or no event, has a sender who is not the user."""
    sender = peek_person(value)
    return sender is not None and not is_placeholder_id(sender[1]) and sender[1] not in subject.ids


def is_deletion(value: bytes) -> bool:
    """Whether an event asks for a deletion. It must stay until every reader has read it, without content (``bare_deletion``)."""
    try:
        return _typed.decode(mend_text(value)).event_type == USER_DELETED
    except (ValueError, RecursionError):  # a DecodeError is a ValueError, and so is a text that is not UTF-8
        return False


def bare_deletion(value: bytes, headers: tuple[H, ...] = ()) -> tuple[bytes, tuple[H, ...]] | None:
    """Return value and headers of an event that asks for a deletion, without content: ids, time and version stay. None for another message.

    They are those given where these hold no content.
    """
    return _bare(value, headers, b"{}") if is_deletion(value) else None


def left_of(value: bytes, headers: tuple[H, ...], subject: Subject) -> tuple[bytes, tuple[H, ...]] | None:
    """Return value and headers of what stays of a message about a user: of a deletion, and of a merge if it must. None for another one."""
    if subject.merges_stay and (visitor := _named_visitor(mend_text(value))):
        return _bare(value, headers, msgspec.json.encode({"previousId": visitor}))
    return bare_deletion(value, headers)


def _bare(value: bytes, headers: tuple[H, ...], payload: bytes) -> tuple[bytes, tuple[H, ...]]:
    mended = mend_text(value)
    fields = {
        name: msgspec.Raw(payload) if name == "payload" else each
        for name, each in _raw_fields.decode(mended).items()
        if (bytes(each).startswith(b"{") if name == "payload" else name in _ENVELOPE and not bytes(each).startswith((b"{", b"[")))
    }
    bare = msgspec.json.encode(fields)
    kept = tuple(each for each in headers if each[0] in _KEPT_HEADERS or each[0].startswith(OWN_PREFIX))
    return value if msgspec.json.format(mended, indent=-1) == bare else bare, kept


def must_go(value: bytes, key: bytes | None, headers: tuple[Header, ...], subject: Subject) -> bool:
    """Whether a message is about the user, and has more than what stays of it."""
    return is_about(value, key, subject) and left_of(value, headers, subject) != (value, headers)


def letter_is_about(letter: DeadLetter, subject: Subject) -> bool:
    """Whether a rejected message names one of the user's ids. A message whose tenant cannot be told may be of any."""
    row = dead_letter_fact(letter)
    of_tenant = not row.tenant_ids or subject.tenant in row.tenant_ids
    if subject.own_only and is_sent_by_another(letter.raw if letter.text is None else letter.text, subject):
        return False
    return of_tenant and subject.is_before(letter.log_time) and not set(row.user_ids).isdisjoint(subject.ids)
