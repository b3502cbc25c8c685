"""The guardrails before a model is asked: what may be told at all, without what names the person, and only if it gives no orders.

The allow-list comes first, so that what nobody named is not even looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from llm.fence import fence, neutral
from llm.injection import screen
from llm.proposal import Verdict
from llm.redaction import redact
from state.catalog.model import Scalar, Slot, WordingPolicy
from state.decision.wording_request import Wish

LONGEST: Final = 64
"""Characters of a trait that may be told; what is longer is no trait but a text."""

_IDENTITY: Final = frozenset({"userid", "id", "anonymousid", "accountid", "externalid"})


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """What may be told of the person. Empty where nothing may; ``notes`` are fenced already. ``verdicts`` say why, in the order checked."""

    told: dict[str, str]
    notes: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()

    @property
    def reason(self) -> str:
        """The first reason for which the person's words are not told; empty where they are, or where there were none."""
        return next((verdict.reason for verdict in self.verdicts if verdict.reason), "")


class Intake:
    """Guardrails 1 and 2 of one catalog: allow-list and redaction, then the fence, with the screening for injections between them."""

    def __init__(self, policy: WordingPolicy, slots: Mapping[str, Slot]) -> None:
        self._named = frozenset(slot.trait for slot in slots.values())
        self._tell = tuple(name for name in policy.tell if name not in self._named and _plain_name(name) not in _IDENTITY)

    def admit(self, wish: Wish) -> Admitted:
        """Return what a prompt for ``wish`` may hold of the person: nothing for a shared one. Never raises; CPU work of milliseconds."""
        if not wish.personal:
            return Admitted({})
        traits = self._allowed(wish)
        allowed = Verdict("allow_list", detail=f"{len(traits)} of {len(wish.traits)} traits may be told")
        names = [value for name, value in wish.traits.items() if name in self._named and isinstance(value, str)]
        names.append(wish.record.user_id)
        try:
            told = {name: neutral(redact(value, names)) for name, value in traits.items()}
            notes = tuple(fence(redact(note, names)) for note in wish.notes)
        except Exception as error:  # noqa: BLE001  whatever a hostile text does to a library, it is not told unredacted
            return Admitted({}, (), (allowed, Verdict("redaction", "redaction_failed", type(error).__name__)))
        redacted = Verdict("redaction")
        if found := _screened([*traits.values(), *wish.notes]):
            return Admitted({}, (), (allowed, redacted, Verdict("injection", "injection_suspected", found)))
        return Admitted(told, notes, (allowed, redacted, Verdict("injection")))

    def _allowed(self, wish: Wish) -> dict[str, str]:
        """The traits that may be told, as text: short, and not the person's identity under another name."""
        traits = {name: _text(wish.traits[name]) for name in self._tell if name in wish.traits}
        user = wish.record.user_id
        # A short id may stand in any number: only the whole value tells.
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
    """What is wrong with any of ``texts``, or with all of them read as one: an order may be cut in pieces."""
    try:
        return next((found for text in [*texts, "\n".join(texts), " ".join(texts)] if (found := screen(text))), "")
    except Exception as error:  # noqa: BLE001  a text that cannot be screened is treated as one that failed
        return f"the screening failed: {type(error).__name__}"
