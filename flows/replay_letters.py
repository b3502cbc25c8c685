"""Sends dead letters again to the job. The audit log records what was sent, so that nothing is sent twice by accident."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from local.audit_log import AuditLog
from sources.files.sent_file import Sent
from state.catalog.by_tenant import Plans, takes
from state.decode import decode
from state.event import Event
from state.event_contract import UNKNOWN_TENANT
from state.merge_patch import Change
from state.messages import Message
from state.records.dead_letter import DeadLetter, headers_for_replay
from state.records.edit_letter import CannotEditError, edit_letter

REPLAY: Final = "dlq.replay"
"""The action in the audit log."""
_AT_ONCE: Final = 500
"""Letters that are sent together, and then recorded in one entry."""


class Target(Protocol):
    """Where messages are sent (``flows.job_input.JobInput``)."""

    topic: str

    def send(self, messages: Sequence[Sent]) -> None:
        """Send messages, durably, in order."""


@dataclass(frozen=True)
class Planned:
    """What a replay would do with one letter. ``skipped`` says why it is not sent, empty where it is.

    ``verdict`` is the reason for which the job would reject the message that is sent; empty where it would take it.
    """

    letter: DeadLetter
    to_send: DeadLetter
    changes: tuple[Change, ...] = ()
    skipped: str = ""
    verdict: str = ""


def replayed(log: AuditLog) -> dict[str, str]:
    """Return id of each letter that was sent again → when it last was. Raises ``AuditError``."""
    return {letter: entry["at"] for entry in log.entries() if entry["action"] == REPLAY for letter in entry.get("letters", ())}


def plan_replay(
    letters: Iterable[DeadLetter],
    done: Mapping[str, str],
    now: int,
    patch: Mapping[str, Any] | None = None,
    *,
    again: bool = False,
    topic: str | None = None,
    plans: Plans | None = None,
    named: bool = False,
) -> list[Planned]:
    """Return what to do with each letter. ``done`` is what ``replayed`` returned; ``again`` ignores it. Pure.

    ``plans`` are the catalogs that the job has now; None: every tenant has one. A letter of a tenant without one is skipped, because it
    would only come back, unless somebody ``named`` the letters.

    ``topic`` is the topic that a job on Kafka reads. Jobs that read different topics may share one dead-letter topic, so letters from other
    topics are skipped.
    """
    return [_plan(letter, done, now, patch, again=again, topic=topic, plans=plans, named=named) for letter in letters]


def _plan(
    letter: DeadLetter,
    done: Mapping[str, str],
    now: int,
    patch: Mapping[str, Any] | None,
    *,
    again: bool,
    topic: str | None,
    plans: Plans | None,
    named: bool,
) -> Planned:
    if topic is not None and letter.topic != topic:
        return Planned(letter, letter, skipped=f"it comes from the topic {letter.topic}; replay it with ONRAMP_KAFKA_TOPIC set to that")
    if letter.id in done and not again:
        return Planned(letter, letter, skipped=f"replayed {done[letter.id]}")
    if letter.whole_bytes:
        return Planned(letter, letter, skipped=f"only {len(letter.raw):,} of its {letter.whole_bytes:,} bytes are kept")
    if not letter.raw:
        return Planned(letter, letter, skipped="it has no content")
    to_send, found = letter, list[Change]()
    if patch is not None:
        try:
            to_send, found = edit_letter(letter, patch)
        except CannotEditError as error:
            return Planned(letter, letter, skipped=f"it cannot be edited: {error}")
        if not found:
            return Planned(letter, letter, skipped="the patch changes nothing")
    judged = decode(Message(to_send.raw, to_send.key, letter.topic, letter.partition, letter.offset, now, now, 0))
    verdict = judged.reason if not isinstance(judged, Event) else "" if plans is None or takes(plans, judged) else UNKNOWN_TENANT
    if verdict == UNKNOWN_TENANT and not named:
        return Planned(letter, letter, skipped="no catalog is for the tenant yet; name the id to send it all the same")
    return Planned(letter, to_send, tuple(found), verdict=verdict)


def send_letters(planned: Sequence[Planned], target: Target, log: AuditLog, by: str, patch: Mapping[str, Any] | None = None) -> int:
    """Send the letters that are not skipped, ``_AT_ONCE`` at a time, and record each part once it is stored. Return how many were sent.

    If the process is killed between sending and recording, the next replay sends that part again: the event ids make that harmless. Raises
    what ``send`` raises, and ``AuditError``.
    """
    wanted = [each for each in planned if not each.skipped]
    what: dict[str, Any] = {} if patch is None else {"patch": _digest(patch), "fields": _paths(wanted)}
    if wanted:
        log.append(REPLAY, by=by, outcome="begun", count=len(wanted), **what)
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        with log.of(REPLAY, by=by, reasons=sorted({each.letter.reason for each in part}), **what) as entry:
            target.send([_message(each, target.topic) for each in part])
            entry["letters"] = [each.letter.id for each in part]
    return len(wanted)


def _message(planned: Planned, topic: str) -> Sent:
    """The message to send. It goes to its old partition, so that events of one user stay in order, unless another user sends it now."""
    letter, sent = planned.letter, planned.to_send
    partition = letter.partition if letter.topic == topic and letter.key == sent.key else None
    return Sent(sent.raw, sent.key, headers_for_replay(sent), partition)


def _digest(patch: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(patch, sort_keys=True).encode(), digest_size=8).hexdigest()


def _paths(wanted: Sequence[Planned]) -> list[str]:
    return sorted({change.path for each in wanted for change in each.changes})
