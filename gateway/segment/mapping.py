"""Turns calls of Segment's API (https://segment.com/docs/connections/spec/) into events of the contract. Pure: time is an argument.

| call | event |
|---|---|
| ``track`` | ``track`` with its name and properties, and beside it what the catalog maps the name to (``signup``, ``error``, …) |
| ``page``, ``screen`` | ``page_view`` with the path, title and properties |
| ``identify`` | ``identify`` with the traits; with an ``anonymousId`` beside the ``userId`` also ``identity_merged`` |
| ``alias`` | ``identity_merged`` |
| ``group`` | ``identify`` with ``groupId`` and the group's traits as ``group_…`` |

``messageId`` is the event id; a second event of one call has a suffix. A call without one that says when it happened gets the same id
whenever it is sent, so that it counts once. A timestamp is corrected by the difference between ``sentAt``, on
the sender's clock, and the time of arrival.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from state.catalog.by_tenant import Plans
from state.event_fields import REQUIRED
from state.placeholders import is_placeholder_id
from state.times import rfc3339
from state.vocabulary import IDENTITY_MERGED

Fields = Mapping[str, Any]
Mapped = dict[str, Any]

SIGNUP_NAMES: Final = ("Signed Up", "User Signed Up", "Account Created", "Signup")
"""Names of Segment's spec and of common use that mean a sign-up. A catalog's own list comes on top."""
_EXPOSURES: Final = {
    "Recommendation Shown": "recommendation_shown",
    "Recommendation Clicked": "recommendation_clicked",
    "Recommendation Dismissed": "recommendation_dismissed",
}
_TRAIT_NAMES: Final = {"first_name": "firstName", "plan": "tier", "company_size": "companySize", "use_case": "useCase"}
"""Traits of Segment's spec, and their names here."""
_MOST_TRAITS: Final = 200
_LONGEST_ID: Final = 128
"""Characters of an ``eventId``."""
_OF_ONE_REQUEST: Final = frozenset({"messageId", "sentAt", "writeKey"})
"""Fields that may differ when the same call is sent again."""


class UnmappableError(Exception):
    """The call is none of the API. ``code`` is one word, the text one sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def default_names() -> dict[str, str]:
    """Return track name → type, as long as no catalog says otherwise."""
    return dict.fromkeys(SIGNUP_NAMES, "signup")


class TrackNames:
    """What the names of track calls mean: to each tenant what its catalog says, and else what Segment's spec does."""

    def __init__(self, plans: Plans) -> None:
        usual = default_names()
        self._usual: Final = usual
        self._own: Final = plans.map(lambda plan: {**usual, **plan.catalog.track_names})

    def of(self, tenant: str) -> Mapping[str, str]:
        """Name of a track call → type of the contract, for ``tenant``."""
        own = self._own.find(tenant)
        return self._usual if own is None else own


def to_events(
    call: Fields, kind: str, *, names: Mapping[str, str], received: int, sent: int | None, new_id: Callable[[], str], merges: bool
) -> list[Mapped]:
    """Return the events of one call of the type ``kind``; the first one is the call's own. They are not checked yet.

    ``names``: track name → type. ``received`` and ``sent`` are in milliseconds since 1970; without ``sent`` times stay as they are.
    ``new_id`` makes an id for a call without one and without a time. ``merges``: whether the sender may join a visitor with a user. Raises
    ``UnmappableError``.
    """
    mapper = _MAPPERS.get(kind)
    if mapper is None:
        raise UnmappableError("unknown_type", f"{kind[:64]!r} is no call of the API; send track, page, screen, identify, group or alias")
    base = {
        "eventId": call.get("messageId") or _id_by_content(call, kind) or new_id(),
        **_sender(call),
        "timestamp": _timestamp(call, received=received, sent=sent),
    }
    return [
        {**base, **part, "eventId": _with_suffix(base["eventId"], suffix)} if suffix else {**base, **part}
        for suffix, part in mapper(call, names, merges)
    ]


def _id_by_content(call: Fields, kind: str) -> str | None:
    """Return an id for a call that has none. None without a time: two calls that are alike may then be two events."""
    if not (call.get("timestamp") or call.get("originalTimestamp")):
        return None
    same = {name: value for name, value in call.items() if name not in _OF_ONE_REQUEST}
    return hashlib.sha256(msgspec.json.encode({**same, "type": kind}, order="sorted")).hexdigest()[:32]


def _with_suffix(event_id: object, suffix: str) -> object:
    """Return the id of a further event of a call, which is valid if that of the first one is."""
    if not isinstance(event_id, str) or len(event_id) > _LONGEST_ID or len(event_id) + len(suffix) <= _LONGEST_ID:
        return f"{event_id}{suffix}" if isinstance(event_id, str) else event_id
    return hashlib.sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()[:32] + suffix


def milliseconds(value: object) -> int | None:
    """Read a time of the API, RFC 3339 or without a zone, then UTC. None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return round((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


Part = tuple[str, Mapped]


def _track(call: Fields, names: Mapping[str, str], _merges: bool) -> list[Part]:
    name, properties = call.get("event"), _object(call.get("properties"))
    if not isinstance(name, str) or not name.strip():
        raise UnmappableError("missing_event", "a track call needs event, the name of what happened")
    parts: list[Part] = [("", {"eventType": "track", "name": name, "payload": properties})]
    exposure = _EXPOSURES.get(name)
    if exposure is not None and properties.get("recommendationId"):
        return [("", {"eventType": exposure, "payload": {"recommendationId": properties["recommendationId"]}})]
    kind = names.get(name)
    if kind == "signup":
        traits = {**_object(_object(call.get("context")).get("traits")), **properties}
        parts.append((":signup", {"eventType": "signup", "payload": {"traits": _traits(traits)}}))
    elif kind is not None:
        needed = REQUIRED.get(kind)
        given = properties.get(needed) if needed is not None else None
        filled = {needed: given if isinstance(given, str) and given else name} if needed is not None else {}
        parts.append((f":{kind}", {"eventType": kind, "name": name, "payload": {**properties, **filled}}))
    return parts


def _page(call: Fields, _names: Mapping[str, str], _merges: bool) -> list[Part]:
    properties, page = _object(call.get("properties")), _object(_object(call.get("context")).get("page"))
    name = call.get("name")
    found = (properties.get("path"), page.get("path"), _path_of(properties.get("url")), _path_of(page.get("url")), name)
    path = next((each for each in found if isinstance(each, str) and each), None)
    if path is None:
        raise UnmappableError("missing_path", "a page or screen call needs a name, or a path in its properties or its context")
    title = next((each for each in (properties.get("title"), page.get("title"), name) if isinstance(each, str) and each), None)
    payload = {**properties, "path": path, **({"title": title} if title is not None else {})}
    return [("", {"eventType": "page_view", "name": name if isinstance(name, str) else "", "payload": payload})]


def _identify(call: Fields, _names: Mapping[str, str], merges: bool) -> list[Part]:
    context = _object(call.get("context"))
    traits: Mapped = {name: context[name] for name in ("timezone", "locale") if name in context}
    traits |= {**_object(context.get("traits")), **_object(call.get("traits"))}
    parts: list[Part] = [("", {"eventType": "identify", "payload": {"traits": _traits(traits)}})]
    user, visitor = _id(call.get("userId")), _id(call.get("anonymousId"))
    if merges and user is not None and visitor is not None and user != visitor and not is_placeholder_id(visitor):
        parts.append((":merge", {"eventType": IDENTITY_MERGED, "payload": {"previousId": visitor}}))
    return parts


def _group(call: Fields, _names: Mapping[str, str], _merges: bool) -> list[Part]:
    group = _id(call.get("groupId"))
    if group is None:
        raise UnmappableError("missing_group", "a group call needs groupId")
    traits = {f"group_{name}": value for name, value in _traits(_object(call.get("traits"))).items()}
    return [("", {"eventType": "identify", "payload": {"traits": {"groupId": group, **traits}}})]


def _alias(call: Fields, _names: Mapping[str, str], _merges: bool) -> list[Part]:
    previous = _id(call.get("previousId")) or _id(call.get("anonymousId"))
    if previous is None:
        raise UnmappableError("missing_previous_id", "an alias call needs previousId, the id that the user had before")
    return [("", {"eventType": IDENTITY_MERGED, "payload": {"previousId": previous}})]


_MAPPERS: Final[dict[str, Callable[[Fields, Mapping[str, str], bool], list[Part]]]] = {
    "track": _track,
    "page": _page,
    "screen": _page,
    "identify": _identify,
    "group": _group,
    "alias": _alias,
}


def _sender(call: Fields) -> Mapped:
    user, visitor = _id(call.get("userId")), _id(call.get("anonymousId"))
    if user is not None:
        return {"userId": user}
    return {"anonymousId": visitor} if visitor is not None else {}


def _id(value: object) -> str | None:
    """An id as text: SDKs also send numbers."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value) if str(value).strip() else None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _traits(given: Fields) -> dict[str, Any]:
    """The scalars of ``given``, under the names of the contract; a name of the contract itself counts more than a translated one."""
    scalars = {name: value for name, value in given.items() if value is None or isinstance(value, str | int | float)}
    renamed = {_TRAIT_NAMES.get(name, name): value for name, value in scalars.items() if name in _TRAIT_NAMES}
    company = given.get("company")
    if isinstance(company, dict) and isinstance(company.get("employee_count"), str | int):
        renamed["companySize"] = company["employee_count"]
    whole = {**renamed, **{name: value for name, value in scalars.items() if name not in _TRAIT_NAMES}}
    return dict(list(whole.items())[:_MOST_TRAITS])


def _path_of(url: object) -> str | None:
    if not isinstance(url, str) or not url:
        return None
    try:
        return urlsplit(url).path or "/"
    except ValueError:
        return None


def _timestamp(call: Fields, *, received: int, sent: int | None) -> object:
    given = call.get("timestamp") or call.get("originalTimestamp")
    if given is None:
        return rfc3339(received)
    moment = milliseconds(given)
    if moment is None:
        return given  # the decoder rejects it, and says why
    corrected = moment + (received - sent if sent is not None else 0)
    try:
        return rfc3339(corrected)
    except OverflowError:
        return given
