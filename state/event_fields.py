"""What each field of an event with a meaning may hold: the types and spellings that are read, and what becomes of the rest.

The one place for it: ``decode`` rejects what ``fault_of`` names, the fold reads values with the functions here, and ``as_table`` is the
table in ``docs/events.md``. A refusal is never lost: a value that cannot be read rejects its event, or counts as a refusal where the event
has to count because it holds another one.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from state.placeholders import names_nobody, stands_for_nothing
from state.time_zones import read_zone
from state.times import MINUTES_A_DAY
from state.vocabulary import IDENTITY_MERGED, SURFACE, SWITCH_ACTIONS, SWITCHED

Scalar = str | int | float | bool
"""The value of a trait, or of a field that a catalog compares."""

LONGEST_TRAIT: Final = 128
"""Characters of a trait's text."""
NO_HOURS: Final = (-1, -1)
"""Quiet hours of a person who has none."""


class UnreadableError(Exception):
    """A value means nothing here. The text says what it is and what to send."""


# preferences

_NO: Final = frozenset("false 0 off no n f none never disabled disable denied deny opt_out opted_out optout unsubscribed refused".split())
_YES: Final = frozenset("true 1 on yes y t enabled enable granted allow allowed opt_in opted_in optin subscribed".split())
_SURFACES: Final = tuple(sorted(set(SURFACE.values())))
_CHANNEL_NAMES: Final = {"inapp": "in_app", "app": "in_app", "email": "email", "mail": "email"}


def read_consent(value: object) -> bool:
    """Read ``guidance`` or ``modelText``. Raises ``UnreadableError``; never takes an unknown value for a consent."""
    if isinstance(value, dict) and "enabled" in value and not isinstance(value["enabled"], dict):
        value = value["enabled"]
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        word = re.sub(r"[\s\-]+", "_", value.strip().lower())
        if word in _NO:
            return False
        if word in _YES:
            return True
    raise UnreadableError(f"is {_shown(value)}; send true or false, or leave it out")


def read_channels(value: object) -> dict[str, bool]:
    """Read ``channels`` to the surfaces that it speaks of, and whether the person wants guidance there. Raises ``UnreadableError``.

    An object speaks only of what it names, so that it undoes no other refusal.
    """
    try:
        if isinstance(value, dict):
            named = {_channel(name): read_consent(flag) for name, flag in value.items()}
            found: dict[str, bool] = dict.fromkeys(_SURFACES, named["all"]) if "all" in named else {}
            found |= {surface: named[surface] for surface in _SURFACES if surface in named}
            if found:
                return found
        elif isinstance(value, str | bool) and value != "" and _channel(str(value)) not in (*_SURFACES, "all"):
            return dict.fromkeys(_SURFACES, read_consent(value))
        names = [value] if isinstance(value, str) and value.strip() else value
        if isinstance(names, list) and all(isinstance(each, str) for each in names):
            wanted = {_channel(each) for each in names}
            return {each: bool(wanted & {each, "all"}) for each in _SURFACES}
    except UnreadableError:
        pass
    raise UnreadableError(f'is {_shown(value)}; send the list of those that the user wants, like ["in_app", "email"], or [] for none')


def _channel(name: str) -> str:
    word = re.sub(r"[\s_\-]+", "", name.lower())
    return _CHANNEL_NAMES.get(word, word)


_CLOCK: Final = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d)(?:\.\d+)?)?(?:\s*([ap])\.?m\.?)?|(\d{1,2})\s*([ap])\.?m\.?", re.IGNORECASE)


def read_quiet_hours(value: object) -> tuple[int, int]:
    """Read ``quietHours`` to minutes of the day, the end exclusive; ``NO_HOURS`` where they end. Raises ``UnreadableError``."""
    if value is None:
        return NO_HOURS
    if not isinstance(value, dict):
        raise UnreadableError(f'is {_shown(value)}; send {{"start": "22:00", "end": "07:00"}}, or null for none')
    if "enabled" in value and not read_consent(value["enabled"]):
        return NO_HOURS
    start, end = (_minute(value.get(name), name) for name in ("start", "end"))
    if start % MINUTES_A_DAY == end % MINUTES_A_DAY and (start, end) != (0, MINUTES_A_DAY):
        raise UnreadableError("begins and ends at the same time; send 00:00 to 24:00 for the whole day, or null for none")
    return start % MINUTES_A_DAY, end


def _minute(value: object, name: str) -> int:
    found = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is not None:
        hour, minute, second = int(found[1] or found[5]), int(found[2] or 0), int(found[3] or 0)
        half = (found[4] or found[6] or "").lower()
        if half and 1 <= hour <= 12:
            hour = hour % 12 + (12 if half == "p" else 0)
        elif half:
            hour = -1
        until = hour * 60 + minute + (name == "end" and second > 0)  # 23:59:59 means until midnight
        if hour >= 0 and minute < 60 and second < 60 and until <= MINUTES_A_DAY:
            return until
    raise UnreadableError(f'has the {name} {_shown(value)}; send "HH:MM", like "22:00"')


class Preferences(NamedTuple):
    """What a ``preferences_changed`` says, None where it says nothing. ``channels``: surface → wanted; ``unread``: field → fault."""

    guidance: bool | None
    model_text: bool | None
    channels: dict[str, bool] | None
    quiet: tuple[int, int] | None
    unread: Mapping[str, str]

    @property
    def refuses(self) -> bool:
        """Whether the person refuses something."""
        return self.guidance is False or self.model_text is False or not all((self.channels or {}).values())


_PREFERENCES: Final[dict[str, Callable[[object], Any]]] = {
    "guidance": read_consent,
    "modelText": read_consent,
    "channels": read_channels,
    "quietHours": read_quiet_hours,
}
_REFUSAL: Final[dict[str, Any]] = {"guidance": False, "modelText": False, "channels": dict.fromkeys(_SURFACES, False)}
_BY_LETTERS: Final = {name.lower(): name for name in _PREFERENCES}


def read_preferences(payload: Mapping[str, Any]) -> Preferences:
    """Read the preferences of a payload. If one of them is a refusal, those that cannot be read count as refusals too. Never raises."""
    read: dict[str, Any] = {}
    unread: dict[str, str] = {}
    for key, value in payload.items():
        name = _BY_LETTERS.get(re.sub(r"[_\- ]", "", key).lower())
        if name is None:
            continue
        if key != name:
            unread[name] = f"is called {name}, not {key[:64]}"
            continue
        try:
            read[name] = _PREFERENCES[name](value)
        except UnreadableError as error:
            unread[name] = str(error)
    for name in read:
        unread.pop(name, None)

    def found() -> Preferences:
        return Preferences(read.get("guidance"), read.get("modelText"), read.get("channels"), read.get("quietHours"), unread)

    if unread and found().refuses:
        read |= {name: _REFUSAL[name] for name in unread if name in _REFUSAL}
    return found()


# traits


def read_trait(name: str, value: object) -> Scalar | None:
    """Read a trait; None where the app sent null. Raises ``UnreadableError``: the person keeps the trait that was known before."""
    if value is None:
        return None
    if not isinstance(value, str):
        if not isinstance(value, bool | int | float) or name in _TEXT_TRAITS:
            raise UnreadableError(f"is {_shown(value)}")
        return value
    if len(value) > LONGEST_TRAIT or stands_for_nothing(value):
        raise UnreadableError(f"is {_shown(value)}")
    if value and (reads := _TEXT_TRAITS.get(name)) is not None and not reads(value):
        raise UnreadableError(f"is {_shown(value)}")
    return value


def _is_name(text: str) -> bool:
    return not names_nobody(text) and any(unicodedata.category(each)[0] == "L" for each in text)


_TEXT_TRAITS: Final[dict[str, Callable[[str], bool]]] = {
    "firstName": _is_name,
    "timezone": lambda text: not text.strip() or read_zone(text) is not None,
}


# texts


def read_text(value: object) -> str:
    """Read a field that is only shown to a model or counted, like an error's ``message``: a text or a number; empty for anything else."""
    return value if isinstance(value, str) else str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


REQUIRED: Final[dict[str, str]] = {
    "page_view": "path",
    "button_click": "target",
    "form_submit": "form",
    "error": "code",
    "step_completed": "step",
    IDENTITY_MERGED: "previousId",
}
"""Event type → the payload field that it requires, a non-empty string."""

CHECKED: Final = frozenset({"signup", "identify", "preferences_changed", SWITCHED})
"""Event types whose payload ``fault_of`` judges."""


def fault_of(event_type: str, payload: Mapping[str, Any]) -> str:
    """What in the payload of a ``CHECKED`` event cannot be read and must not pass unnoticed; empty for nothing."""
    if event_type == "preferences_changed":
        found = read_preferences(payload)
        return "" if found.refuses else "; ".join(f"{name} {fault}" for name, fault in found.unread.items())
    if event_type == SWITCHED:
        return _fault_of_switch(payload)
    traits = payload.get("traits")
    return "" if traits is None or isinstance(traits, dict) else f"traits is {_shown(traits)}; send an object"


def _fault_of_switch(payload: Mapping[str, Any]) -> str:
    action, share, because = payload.get("action"), payload.get("share"), payload.get("because", "")
    if action not in SWITCH_ACTIONS:
        return f"action is {_shown(action)}; send one of {', '.join(SWITCH_ACTIONS)}"
    if action == "ramp" and (isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1):
        return f"share is {_shown(share)}; send a number from 0 to 1"
    return "" if isinstance(because, str) else f"because is {_shown(because)}; send a text"


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


# the table


class Field(NamedTuple):
    """One row of the table in ``docs/events.md``."""

    name: str
    events: str
    read: str
    rest: str


_REJECTED: Final = "rejected: `bad_payload`"
_ID: Final = "rejected: `bad_user_id`, or `placeholder_id` for blanks, texts like `undefined` and template tags like `{{id}}`"

FIELDS: Final = (
    Field("eventId", "all", "a string", "rejected: `bad_event_id`, or `placeholder_id`, since events with one id count once"),
    Field("userId", "all", "a string; with `null`, an empty or a blank one, `anonymousId` counts", _ID),
    Field("anonymousId", "all", "a string or `null`; beside a `userId` nothing else is asked of it", _ID),
    Field("tenantId", "all", "a string", "rejected: `bad_tenant_id`, or `placeholder_id`"),
    Field("sessionId", "all", "a string; `null`, empty ones and placeholders like `undefined` mean none", "rejected: `bad_session_id`"),
    Field("timestamp", "all", "RFC 3339 with a zone, leap seconds included", "rejected: `bad_timestamp`"),
    Field("path", "`page_view`", "a non-empty string", _REJECTED),
    Field("target", "`button_click`", "a non-empty string", _REJECTED),
    Field("form", "`form_submit`", "a non-empty string", _REJECTED),
    Field("code", "`error`", "a non-empty string", _REJECTED),
    Field("step", "`step_completed`", "a non-empty string", _REJECTED),
    Field("title, label", "any", "anything", "shown as JSON"),
    Field("message", "`error`", "a string or a number", "shown as JSON; a model does not get it"),
    Field("target", "`error`", "anything", "shown as JSON"),
    Field("previousId", "`identity_merged`", "an id, as for `userId`", f"{_REJECTED}, or `placeholder_id`"),
    Field(
        "recommendationId",
        "exposures",
        "an id that the app read; `null` means the current recommendation",
        "the exposure is ignored and counted as `unknown_recommendation`",
    ),
    Field(
        "guidance, modelText",
        "`preferences_changed`",
        '`true`, `false`, `1`, `0`; texts like `on`, `off`, `yes`, `no`, `granted`, `opt_out`; `{"enabled": …}` with one of them',
        f"{_REJECTED}. If the event holds another refusal, it counts, and this value is a refusal too",
    ),
    Field(
        "channels",
        "`preferences_changed`",
        'a list of those that the user wants, of `in_app` and `email`: `["email"]` refuses guidance in the app, `[]` all; one name; '
        'texts like `all` and `none`; `true` and `false`; an object like `{"email": false}`, which refuses only what it names',
        "as for `guidance`",
    ),
    Field(
        "quietHours",
        "`preferences_changed`",
        '`null` and `{"enabled": false}` end them; `start` and `end` as `22:00`, `9:00`, `22:00:00`, `10 pm`, `10:30 PM`, `24:00`',
        f"{_REJECTED}, so earlier hours stay. Numbers and equal times are ambiguous",
    ),
    Field("traits", "`signup`, `identify`", "an object; `null` means none", _REJECTED),
    Field(
        "traits.timezone",
        "`signup`, `identify`",
        "an IANA name in any case, an offset (`+02:00`, `UTC+2`, `GMT-3:30`; east is plus), `Z`, a Windows name; an empty text removes it",
        "counted (`valuesUnread`); the zone known before stays, and without one hours are UTC",
    ),
    Field(
        "traits.firstName",
        "`signup`, `identify`",
        f"a string with a letter, up to {LONGEST_TRAIT} characters; an empty one removes it",
        "counted; the name known before stays. Numbers, `null`, `N/A`, `undefined`, `{{first_name}}`, `%FNAME%` and the like are no names",
    ),
    Field("action", f"`{SWITCHED}`", "`pause`, `resume` or `ramp`", _REJECTED),
    Field("share", f"`{SWITCHED}` with `ramp`", "a number from `0` to `1`", _REJECTED),
    Field("because", f"`{SWITCHED}`", "a text", _REJECTED),
    Field(
        "traits.persona, useCase, companySize, signupSource, tier, locale",
        "`signup`, `identify`",
        f"a string of up to {LONGEST_TRAIT} characters, a number, `true` or `false`; `null` is none. Others of the catalog too",
        "counted; the value known before stays. That holds for texts like `undefined`, `null`, `[object Object]` and `{{persona}}` too",
    ),
)
"""Every field with a meaning, in the order of the document."""


def as_table() -> str:
    """``FIELDS`` as a Markdown table."""
    names = ("`" + field.name.replace(", ", "`, `") + "`" for field in FIELDS)
    rows = [f"| {name} | {field.events} | {field.read} | {field.rest} |" for name, field in zip(names, FIELDS, strict=True)]
    return "\n".join(["| field | of | read | otherwise |", "|---|---|---|---|", *rows]) + "\n"
