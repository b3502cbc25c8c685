"""What an event means under a catalog, whoever sent it: the rules that it fulfils, its kind and its subject.

Products send the same few events again and again, so the result is cached by type, name and payload.
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

from state.catalog.conditions import Fields
from state.catalog.plan import Plan, Rule
from state.event import Event

SHOWN: Final = 32
"""Characters of type and subject that a person's ``last_event`` holds."""


class Meaning(NamedTuple):
    """``rules`` that the event fulfils, in catalog order. ``completes``: one of them counts for the completion of its step.

    ``automatic``: the client sends such an event by itself. ``shown`` is type and subject, shortened, and ``kind`` a short hash of both.
    """

    rules: tuple[Rule, ...]
    completes: bool
    automatic: bool
    shown: str
    kind: int


class Meanings:
    """The meanings of events under one plan, cached for payloads of up to ``MAX_KEY`` bytes. ``MAX_CACHED`` entries empty the cache."""

    MAX_CACHED: Final = 4_096
    MAX_KEY: Final = 512

    def __init__(self, plan: Plan) -> None:
        self._plan: Final = plan
        self._cache: dict[tuple[str, str, bytes], Meaning] = {}

    def of(self, event: Event) -> Meaning:
        """What ``event`` means."""
        key = event.type, event.name, event.raw_payload
        found = None if event.from_visitor else self._cache.get(key)  # events of a visitor are kept without their raw payload
        if found is None:
            found = self._work_out(event.type, event.name, event.payload)
            if not event.from_visitor and len(event.raw_payload) <= self.MAX_KEY:
                if len(self._cache) >= self.MAX_CACHED:
                    self._cache.clear()
                self._cache[key] = found
        return found

    def _work_out(self, event_type: str, name: str, payload: Fields) -> Meaning:
        rules = self._plan.rules(event_type, name, payload)
        text = f"{event_type} {name or _subject(payload)}"
        return Meaning(
            rules=rules,
            completes=any(rule.completes for rule in rules),
            automatic=self._plan.is_automatic(event_type, name, payload),
            shown=text[:SHOWN].rstrip(),
            kind=zlib.crc32(text.encode(errors="replace")) & 0xFFFF,
        )


def _subject(payload: Fields) -> str:
    """What an event without a name is about."""
    for field in ("path", "target", "form", "code", "step"):
        value = payload.get(field)
        if value and isinstance(value, str):
            return value
    return ""
