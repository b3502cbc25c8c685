"""Edits the message of a dead letter before it is sent again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from state.decode import peek_person
from state.merge_patch import Change, changes, merge_patch
from state.records.dead_letter import DeadLetter

_SPARE_LEVELS: Final = 50


class CannotEditError(Exception):
    """The patch does not fit the message. The text says why, as a part of a sentence."""


class Edited(NamedTuple):
    """The edited letter, and what differs."""

    letter: DeadLetter
    changes: list[Change]


def edit_letter(letter: DeadLetter, patch: Mapping[str, Any]) -> Edited:
    """Apply a JSON Merge Patch to the message of ``letter``. A patch that changes nothing leaves its bytes as they are.

    If the key is the id of the sender, and the patch changes the sender, the key becomes the id of the new one. Raises ``CannotEditError``
    for a message that is not a JSON object, or that cannot be written as JSON again.
    """
    try:
        before = json.loads(letter.raw, parse_constant=_refuse)
        if not isinstance(before, dict):
            raise CannotEditError("it is not a JSON object")
        after = merge_patch(before, patch)
        raw = json.dumps(after, allow_nan=False, separators=(",", ":")).encode()
        found = changes(before, after)
        _check_depth([(change.before, change.after) for change in found])
    except (ValueError, RecursionError) as error:
        raise CannotEditError("it is not JSON that can be written again") from error
    if not found:
        return Edited(letter, [])
    key, was, now = letter.key, peek_person(letter.raw), peek_person(raw)
    if was is not None and now is not None and key == was[1].encode("utf-8", "surrogatepass"):
        key = now[1].encode("utf-8", "surrogatepass")
    return Edited(msgspec.structs.replace(letter, raw=raw, key=key), found)


def _check_depth(value: object) -> None:
    """Raise ``RecursionError`` for what could not be written as JSON a few levels deeper, as reports do."""
    for _ in range(_SPARE_LEVELS):
        value = [value]
    json.dumps(value, default=repr)


def _refuse(constant: str) -> None:
    raise ValueError(constant)
