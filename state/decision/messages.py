"""Messages between ``track``, ``choose`` and ``compose``: decision requests, decisions, outcomes of decisions, and catalogs in force."""

from __future__ import annotations

import msgspec

from state.event_fields import Scalar


class WordingContext(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a text may depend on, beside the request itself. Present only where a model may word guidance.

    ``events``: how many events the person had, counted up to a few. ``done``: completed steps. ``returning``: this is not the first
    session. ``consent``: the person did not switch model texts off. ``notes``: the last texts and errors of the person.
    """

    events: int
    done: tuple[str, ...]
    returning: bool
    consent: bool
    notes: tuple[str, ...] = ()


class DecisionRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """``track`` requests a decision from ``choose``: everything that the choice and the text depend on.

    ``at`` is log time. ``(seq, at, key, number)`` orders requests and outcomes as they happened, independent of how the input was batched.
    ``recovery`` runs parallel to ``arms``: how far this person has recovered from seeing each, from 0 (just shown) to 1; empty means 1 for
    all. ``group`` is ``adaptive`` or ``rules``. ``parameters`` is the version of the step statistics that were in force.
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
    recovery: tuple[float, ...] = ()
    group: str = "adaptive"
    parameters: int = 0
    context: WordingContext | None = None


class DecisionOutcome(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """``track`` reports an outcome of a decision to ``choose``; ``kind`` as in ``OutcomeFact``.

    ``at`` orders outcomes and requests as the job found them. A failure happens at the end of the window, ``matures_at``, but is found
    later where the exposure was reported late. ``matures_at`` is 0 where no window was opened. Successes arrive before failures, and a
    learner that learned them at once would overestimate recent decisions. ``arm`` is empty where the app echoed no id.
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


class CatalogMet(msgspec.Struct, frozen=True, gc=False):
    """``track`` tells ``choose`` that somebody of ``tenant`` met the catalog in force for the first time. One learner is told: ``trigger``.

    It comes before all requests and outcomes of its batch.
    """

    tenant: str
    trigger: str = "signup"
    seq: int = 0
    at: int = 0
    key: str = ""
    number: int = 0


class Decision(msgspec.Struct, frozen=True, gc=False):
    """``choose`` sends ``compose`` the arm that it drew for a request, and its propensity."""

    request: DecisionRequest
    arm: str
    propensity: float


LearnerInput = DecisionRequest | DecisionOutcome | CatalogMet


def input_order(message: LearnerInput) -> tuple[int, int, str, int]:
    """Sort key: the order in which requests and outcomes happened."""
    return message.seq, message.at, message.key, message.number
