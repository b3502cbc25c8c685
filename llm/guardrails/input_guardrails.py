"""The input guardrails: which traits and notes a prompt may hold, without personal data, and only if they contain no orders to the model.

The order: allow-list of traits, redaction, screening for injections, fence. Notes are cut after their redaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from llm.guardrails.check_result import CheckResult
from llm.guardrails.fence import fence, neutral
from llm.guardrails.injection import find_injection
from llm.guardrails.redaction import redact
from state.catalog.model import Slot, WordingPolicy
from state.decision.wording_request import WordingRequest
from state.event_fields import Scalar
from state.person.recent import MAX_NOTE

LONGEST: Final = 64
"""Characters of an allowed trait at most; a longer value is free text."""

_IDENTITY: Final = frozenset({"userid", "id", "anonymousid", "accountid", "externalid"})


class ScreenedInput(msgspec.Struct, frozen=True, gc=False):
    """What a prompt may hold of the person, empty where a check failed. ``notes`` are fenced already. ``checks`` are in their order."""

    traits: dict[str, str]
    notes: tuple[str, ...] = ()
    checks: tuple[CheckResult, ...] = ()

    @property
    def reason(self) -> str:
        """Reason code of the check that failed; empty where all passed."""
        return next((verdict.reason for verdict in self.checks if verdict.reason), "")


class InputGuardrails:
    """What a prompt may hold of a person, for one catalog: allow-list and redaction, screening for injections, then the fence."""

    def __init__(self, policy: WordingPolicy, slots: Mapping[str, Slot]) -> None:
        self._named = frozenset(slot.trait for slot in slots.values())
        self._prompt_traits = tuple(name for name in policy.prompt_traits if name not in self._named and _plain_name(name) not in _IDENTITY)

    def screen(self, request: WordingRequest) -> ScreenedInput:
        """Return what a prompt for ``request`` may hold of the person: nothing for a shared request. Never raises.

        CPU work of a few milliseconds, and of some tens for texts that were made to be slow.
        """
        if not request.personal:
            return ScreenedInput({})
        traits = self._allowed(request)
        allowed = CheckResult("allow_list", detail=f"{len(traits)} of {len(request.traits)} traits are allowed")
        names = [value for name, value in request.traits.items() if name in self._named and isinstance(value, str)]
        names.append(request.record.user_id)
        try:
            redacted_traits = {name: neutral(redact(value, names)) for name, value in traits.items()}
            notes = tuple(fence(redact(note, names, MAX_NOTE)) for note in request.notes)
        except Exception as error:  # noqa: BLE001  an unexpected text must not reach the model unredacted
            return ScreenedInput({}, (), (allowed, CheckResult("redaction", "redaction_failed", type(error).__name__)))
        redacted = CheckResult("redaction")
        if found := _screened([*traits.values(), *request.notes]):
            return ScreenedInput({}, (), (allowed, redacted, CheckResult("injection", "injection_suspected", found)))
        return ScreenedInput(redacted_traits, notes, (allowed, redacted, CheckResult("injection")))

    def _allowed(self, request: WordingRequest) -> dict[str, str]:
        """The allowed traits as text: short, and without the person's id."""
        traits = {name: _text(request.traits[name]) for name in self._prompt_traits if name in request.traits}
        user = request.record.user_id
        # A short id may be part of any number, so only the whole value counts.
        return {
            name: value
            for name, value in traits.items()
            if 0 < len(value) <= LONGEST and value != user and not (len(user) >= 4 and user in value)
        }


def _plain_name(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _screened(texts: list[str]) -> str:
    """The kind of injection in one of ``texts``, or in all of them joined: an order may be split over several."""
    try:
        return next((found for text in [*texts, "\n".join(texts), " ".join(texts)] if (found := find_injection(text))), "")
    except Exception as error:  # noqa: BLE001  a text that cannot be screened counts as suspected
        return f"the screening failed: {type(error).__name__}"
