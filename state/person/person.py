"""What is remembered of one person: plain, compact data that ``state/person/fold.py`` changes and ``state/person/snapshot.py`` writes down.

All structs are ``gc=False``: they are trees, and the collector need not walk a million of them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from state.catalog.model import Scalar

RECENT: Final = 5
"""How many of the last events are kept in brief, for the words of a model."""

SAID: Final = 2
"""How many of the person's last own words and errors are kept, ``SAID_LONGEST`` characters of each."""

SAID_LONGEST: Final = 160

CLICKED: Final = 1
DISMISSED: Final = 2
WITHDRAWN: Final = 4


class StepState(msgspec.Struct, gc=False, array_like=True):
    """Evidence of one step. Every field is a minimum, a maximum or a count over distinct events: order does not matter.

    ``evidence`` is when the step's own matchers were satisfied (0: not yet); whether the step counts as *completed* also depends on the
    steps that it requires and is derived (``progress.completed``). ``times`` holds, for a
    completion that needs several events, the earliest of them.
    """

    evidence: int = 0
    first: int = 0
    last: int = 0
    attempts: int = 0
    errors: int = 0
    times: dict[int, list[int]] | None = None


class OpenDecision(msgspec.Struct, gc=False, array_like=True):
    """A decision whose end is not known yet. ``due`` is when its window closes, or it expires unseen; ``shown`` is 0 until it was seen."""

    decision: str
    trigger: str
    step: str
    segment: str
    path: str
    version: int
    created: int
    expires: int
    due: int
    shown: int = 0
    flags: int = 0
    arm: str = ""


class ActivityRhythm(msgspec.Struct, gc=False, array_like=True):
    """The rhythm of a person's events, as ``state/person/bot_detection.py`` follows it: ``pace`` is the logarithm of the usual gap, in thousandths."""

    quick: int = 0
    steady: int = 0
    pace: int = 0
    hour: int = 0
    hours: int = 0
    even: int = 0
    looks: int = 0


class Episode(msgspec.Struct, gc=False, array_like=True):
    """The current step and what was seen since it became current (``onset``); ``state/stuck/detector.py`` keeps it.

    ``horizon`` is that of when the first of ``rows`` was taken down. ``alarmed`` is when the alarm was raised, 0 where none was.
    ``teaches`` is 0 for one that teaches nothing, or nothing more, 1 for a held-out person, 2 for a guided one. ``judged``: its time has
    passed.
    ``sessions`` are those before it began; ``last`` is what was done last (``state/stuck/score.py``).
    """

    step: str
    onset: int
    teaches: int = 0
    sessions: int = 0
    errors: int = 0
    bursts: int = 0
    rage: int = 0
    circles: int = 0
    touches: int = 0
    alarmed: int = 0
    horizon: int = 0
    judged: bool = False
    noted: bool = False
    last: int = 0
    rows: list[int] = []


class Person(msgspec.Struct, gc=False, array_like=True):
    """One person's onboarding, in the order in which it is written down: new fields go to the end, none is ever removed or moved.

    Times are milliseconds; 0 means never. ``now`` is the log time of the last event or timer; ``newest`` and ``floor`` are event times:
    what is older than ``floor`` is late. ``seen`` maps hashes of event ids to event times and covers everything from ``floor`` on.
    Traits were learned at ``traits_at``, except those in ``trait_times``.
    """

    tenant: str
    user: str
    partition: int = 0
    version: int = 0
    now: int = 0
    newest: int = 0
    floor: int = 0
    seen: dict[int, int] = {}
    traits: dict[str, Scalar] = {}
    traits_at: int = 0
    trait_times: dict[str, int] = {}
    path: str = ""
    steps: dict[str, StepState] = {}
    first_seen: int = 0
    signup_at: int = 0
    activated_at: int = 0
    deleted_at: int = 0
    merged: bool = False
    # preferences: the newest wins
    guidance: bool = True
    quiet_from: int = -1
    quiet_to: int = -1
    preferences_at: int = 0
    # sessions
    session: int = 0
    session_from: int = 0
    session_to: int = 0
    sessions: int = 0
    session_total: int = 0
    # the next look at the current step: absolute log time, 0 for none
    check_due: int = 0
    # active time on the current step since the last progress
    active: int = 0
    slow_told: bool = False
    """No longer used: kept because fields are never removed."""
    # short windows of the stuck signals: flat [time, subject, time, subject, …] and [time, …]
    clicks: list[int] = []
    pages: list[int] = []
    errors: list[int] = []
    # guidance
    decided: list[int] = []
    open: list[OpenDecision] = []
    recent: list[str] = []
    origin: str = ""
    """Id under which the person was first seen, where that is not ``user``: groups are drawn by it."""
    guidance_at: int = 0
    """When ``guidance`` was last said; ``preferences_at`` is that of the quiet hours."""
    known: bool = False
    """Was seen under a user id, not as an anonymous visitor only."""
    since: dict[str, int] = {}
    """When each step first became the current one. A step done ahead of its turn never did."""
    lapsed: bool = False
    """No longer used: a silence is noticed when it ends."""
    reborn_after: int = 0
    """When the life before this one was deleted; 0 where there was none."""
    arms_seen: dict[str, int] = {}
    """When each arm was last shown to this person, where the app's report said which."""
    bot: bool = False
    """Behaves like a machine (``state/person/bot_detection.py``)."""
    stuck_decided: int = 0
    """When guidance upon being stuck was last decided: a tip before it does not keep that back."""
    pulse: ActivityRhythm | None = None
    episode: Episode | None = None
    model_text: bool = True
    """Whether the person lets a model word their guidance; said at ``model_text_at``."""
    model_text_at: int = 0
    said: list[str] = []
    """The person's last own words and errors: kept only where the catalog lets a model be told."""
