"""What travels between the steps of the dataflow, beside facts and effects. Plain structs that the garbage collector need not walk."""

from __future__ import annotations

import msgspec

from state.catalog.model import Scalar


class Due(msgspec.Struct, frozen=True, gc=False):
    """To a person's key: the log time of your partition has reached ``at``; run what was due until then."""

    at: int
    seq: int


class Merged(msgspec.Struct, frozen=True, gc=False):
    """To a visitor's key: from ``timestamp`` on you are the user ``into``, under another key."""

    tenant: str
    user: str
    into: str
    timestamp: int
    log_time: int
    partition: int
    seq: int


class Context(msgspec.Struct, frozen=True, gc=False):
    """What words may depend on, beside the ask itself: gathered where a model may word guidance.

    ``events`` counts up to the few that are remembered; ``done`` are completed steps; ``returning``: this is not the first session;
    ``consent``: the person did not switch texts of a model off; ``notes`` are the person's own last words and errors.
    """

    events: int
    done: tuple[str, ...]
    returning: bool
    consent: bool
    notes: tuple[str, ...] = ()


class DecisionRequest(msgspec.Struct, frozen=True, gc=False):
    """``track`` asks ``choose`` for guidance: everything the choice and the words depend on.

    ``at`` is log time; ``(seq, at, who, turn)`` orders asks and rewards as they happened, however the input was batched. ``rest`` runs
    parallel to ``arms``: how far this person has recovered from each, from 0 (shown this moment) to 1; empty means wholly, from all.
    ``group`` is ``adaptive`` or ``rules``; ``parameters`` is the version of the step statistics that led here.
    """

    seq: int
    at: int
    who: str
    turn: int
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
    context: Context | None = None


class DecisionOutcome(msgspec.Struct, frozen=True, gc=False):
    """``track`` tells ``choose`` what became of a decision; ``kind`` as in ``OutcomeFact``. ``arm`` is empty where the app echoed no id.

    ``matures_at`` is when the attribution window closes, 0 where none was opened: successes come in before failures, and a learner that
    took them at once would think too well of what was shown lately.
    """

    seq: int
    at: int
    who: str
    turn: int
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
    """``choose`` hands ``compose`` a decided ask."""

    ask: DecisionRequest
    arm: str
    propensity: float


class Count(msgspec.Struct, frozen=True, gc=False):
    """Adds ``by`` to the run's tally ``name``, refined by ``label``."""

    name: str
    label: str = ""
    by: int = 1


class EpisodeObservation(msgspec.Struct, frozen=True, gc=False):
    """``track`` tells ``estimate`` what became of an episode: one person at one step, current ``since`` then.

    ``kind`` is ``entered``, ``completed`` or ``left`` (lost sight of) ``lasted`` milliseconds after that, or ``judged``: only its ``rows``
    count. ``rows`` are what the person looked like at checkpoints (``state/stuck/score.py``), and ``positive`` says that the step was not
    completed in the usual time. ``guided``: the person is not held out. ``at`` is the log time at which it was learned, for a timer the
    moment before its deadline.
    """

    tenant: str
    step: str
    kind: str
    at: int
    since: int
    lasted: int = 0
    rows: tuple[int, ...] = ()
    positive: bool = False
    guided: bool = False
