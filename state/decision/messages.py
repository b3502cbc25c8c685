"""What travels between ``track``, ``choose`` and ``compose``: requests for guidance, decisions, and what became of decisions."""

from __future__ import annotations

import msgspec

from state.catalog.model import Scalar


class WordingContext(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a text may depend on, beside the request itself. Filled only where a model may word guidance.

    ``events``: how many events the person had, counted up to a few; ``done``: completed steps; ``returning``: this is not the first
    session; ``consent``: the person did not switch model texts off; ``notes``: the person's own last words and errors.
    """

    events: int
    done: tuple[str, ...]
    returning: bool
    consent: bool
    notes: tuple[str, ...] = ()


class DecisionRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """``track`` asks ``choose`` for a decision: everything the choice and the words depend on.

    ``at`` is log time. ``(seq, at, key, number)`` orders requests and outcomes as they happened, however the input was batched.
    ``rest`` runs parallel to ``arms``: how far this person has recovered from seeing each, from 0 (shown this moment) to 1; empty means
    fully, from all. ``group`` is ``adaptive`` or ``rules``; ``parameters`` is the version of the step statistics that led here.
    """

    seq: int
    at: int
    key: str
    number: int
    tenant: str
    user: str
    decision: str
    trigger: str
    path: str
    step: str
    segment: str
    arms: tuple[str, ...]
    traits: dict[str, Scalar]
    traceparent: str
    version: int
    rest: tuple[float, ...] = ()
    group: str = "adaptive"
    parameters: int = 0
    context: WordingContext | None = None


class DecisionOutcome(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """``track`` reports to ``choose`` what happened to a decision; ``kind`` as in ``OutcomeFact``.

    ``arm`` is empty where the app echoed no id. ``matures_at`` is when the attribution window closes, 0 where none was opened: successes
    arrive before failures, and a learner that took them at once would overrate what was shown lately.
    """

    seq: int
    at: int
    key: str
    number: int
    tenant: str
    user: str
    decision: str
    trigger: str
    path: str
    step: str
    segment: str
    arm: str
    kind: str
    version: int
    matures_at: int = 0
    group: str = "adaptive"


class Decision(msgspec.Struct, frozen=True, gc=False):
    """``choose`` hands ``compose`` the arm it drew for a request, and the probability with which it drew it."""

    request: DecisionRequest
    arm: str
    propensity: float


def input_order(message: DecisionRequest | DecisionOutcome) -> tuple[int, int, str, int]:
    """Sort key: the order in which requests and outcomes happened."""
    return message.seq, message.at, message.key, message.number
