"""The state of one person: plain, compact data. ``state/person/fold.py`` changes it, ``state/person/snapshot.py`` encodes it.

All structs are ``gc=False``: they are trees, and the garbage collector need not traverse millions of them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from state.duration import MINUTE
from state.event_fields import Scalar
from state.stuck.row import Row

CLICKED: Final = 1
DISMISSED: Final = 2
WITHDRAWN: Final = 4

OBSERVED_HELD_OUT: Final = 1
OBSERVED_GUIDED: Final = 2
_OBSERVED: Final = OBSERVED_HELD_OUT | OBSERVED_GUIDED
SETTLED: Final = 4
MATURED: Final = 8
LEFT_BEHIND: Final = 16
_TWO_BITS: Final = 3
COUNTED_BEFORE: Final = "*"
_COUNTED_IN: Final = -1  # among the completions of a step, which are numbered from 0

NOT_BEGUN: Final = 1
BEGUN: Final = 2
BEGUN_BEFORE: Final = 3


class StepState(msgspec.Struct, gc=False, array_like=True):
    """Evidence of one step. Each field but ``counted`` is a minimum, a maximum or a count over distinct events, in any order.

    ``evidence`` is when the step's own matchers were satisfied (0: not yet). Whether the step is *completed* also depends on the steps that
    it requires, and is derived (``progress.completed``). ``times`` holds, for a completion that needs several events, the earliest of them.

    ``counted``: whether its completion is in the step metrics: empty under the person's path, the path where it is another one, and False
    where it is not. By earlier releases: ``COUNTED_BEFORE`` under a path that is not known, True under the person's path in a minute that
    was not noted, and None where nothing is known yet. ``counted_in`` is kept in ``times``: always under another path, where earlier
    releases noted no minute, and under the person's path only where it is not the minute of the evidence.
    """

    evidence: int = 0
    first: int = 0
    last: int = 0
    attempts: int = 0
    errors: int = 0
    times: dict[int, list[int]] | None = None
    counted: bool | str | None = None

    @property
    def is_counted(self) -> bool:
        """Whether the completion is in the step metrics."""
        return self.counted is not None and self.counted is not False

    @property
    def counted_in(self) -> int:
        """The minute (since 1970) of the step metrics in which the completion is counted; 0 where not known. Set ``counted`` first."""
        noted = self.times.get(_COUNTED_IN) if self.times is not None else None
        if noted:
            return noted[0]
        return self.evidence // MINUTE if self.counted == "" else 0

    @counted_in.setter
    def counted_in(self, minute: int) -> None:
        if self.counted != "" or minute != self.evidence // MINUTE:
            self.times = {**(self.times or {}), _COUNTED_IN: [minute]}
        elif self.times is not None:
            self.times.pop(_COUNTED_IN, [])
            self.times = self.times or None


class OpenDecision(msgspec.Struct, gc=False, array_like=True, kw_only=True):
    """A decision without an outcome yet. ``due`` is when its window closes, or it expires; ``shown`` is 0 until it was shown.

    ``window`` is the attribution window of the catalog that made it.
    """

    decision: str
    trigger: str
    step: str
    segment: str
    path: str
    version: int
    created: int
    expires: int
    due: int
    window: int
    shown: int = 0
    flags: int = 0
    arm: str = ""


class ActivityRhythm(msgspec.Struct, gc=False, array_like=True):
    """The rhythm of a person's events (``state/person/bot_detection.py``). ``pace`` is the logarithm of the average gap, in thousandths, of
    the last gaps; ``usual`` that of more of them.

    ``last`` is the time of the last event that counts, ``viewed`` that of the last page
    view, ``run_from`` the beginning of the run of quick events, ``kinds`` the latest
    kinds of event. ``signs`` of a machine were seen, and ``human`` uneven gaps since the last of them. ``fresh`` counts events that repeat
    no other, ``beats`` repetitions at a fixed interval since the last of those.
    """

    quick: int = 0
    steady: int = 0
    pace: int = 0
    hour: int = 0
    hours: int = 0
    even: int = 0
    page_views: int = 0
    last: int = 0
    run_from: int = 0
    at_first: int = 0
    signs: int = 0
    human: int = 0
    fresh: int = 0
    beats: int = 0
    beats_from: int = 0
    beat_at: int = 0
    usual: int = 0
    viewed: int = 0
    kinds: list[int] = []


class Episode(msgspec.Struct, gc=False, array_like=True):
    """The current step and the evidence since it became current (``onset``), for ``state/stuck/detector.py``.

    ``horizon`` is that of the step when the episode began. ``alarmed`` is when the alarm was raised, 0 for none. ``sessions`` are those
    before it began. ``rows`` is what was said about it (``state/stuck/score.py``). ``flags`` are read through the properties.
    """

    step: str
    onset: int
    horizon: int
    flags: int = 0
    sessions: int = 0
    errors: int = 0
    bursts: int = 0
    rage: int = 0
    circles: int = 0
    touches: int = 0
    alarmed: int = 0
    rows: list[Row] = []

    @property
    def observed(self) -> int:
        """0 not, or no longer; 1 as a held-out person; 2 as a guided one."""
        return self.flags & _OBSERVED

    @property
    def settled(self) -> bool:
        """The horizon followed from completions alone."""
        return self.flags & SETTLED > 0

    @property
    def matured(self) -> bool:
        """The horizon has passed."""
        return self.flags & MATURED > 0

    @property
    def left(self) -> bool:
        """A later step was completed."""
        return self.flags & LEFT_BEHIND > 0

    def censor(self) -> None:
        """The episode is no longer observed."""
        self.flags, self.rows = self.flags & ~_OBSERVED, []


class Person(msgspec.Struct, gc=False, array_like=True):
    """One person's onboarding. Snapshots hold the fields in this order.

    Times are milliseconds; 0 means never. ``now`` is the log time of the last event or timer. ``newest`` and ``floor`` are event times; an
    event older than ``floor`` is late. ``seen`` has all event ids from ``floor`` on (``state/person/deduplication.py``). Traits were set
    at ``traits_at``, except those in ``trait_times``.
    """

    tenant: str
    user: str
    partition: int = 0
    version: int = 0
    now: int = 0
    newest: int = 0
    floor: int = 0
    seen: bytearray = msgspec.field(default_factory=bytearray)
    # identity
    known: bool = False
    """The person was seen under a user id, not only as an anonymous visitor."""
    draw: float | None = None
    """The experiment draw of the id under which the person was first seen, where that is not ``user``."""
    merged_into: str = ""
    """Stream key of the user into whom this visitor was merged."""
    deleted_at: int = 0
    previous_deletion_at: int = 0
    """When the person was last deleted before signing up again; 0 for never."""
    bot: bool = False
    """Marked as a bot, until it is cleared (``state/person/bot_detection.py``)."""
    rhythm: ActivityRhythm | None = None
    # traits
    traits: dict[str, Scalar] = {}
    traits_at: int = 0
    trait_times: dict[str, int] = {}
    # preferences: the newest wins
    guidance: bool = True
    guidance_at: int = 0
    quiet_from: int = -1
    quiet_to: int = -1
    preferences_at: int = 0
    """When the quiet hours were last set."""
    model_text: bool = True
    """Whether a model may word this person's guidance."""
    model_text_at: int = 0
    refused: list[str] = []
    """Surfaces on which the person wants no guidance."""
    channels_at: dict[str, int] = {}
    """When the person last said whether they want guidance on a surface."""
    # progress
    path: str = ""
    steps: dict[str, StepState] = {}
    since: dict[str, int] = {}
    """When each step first became the current one. A step that was completed ahead of its turn has no entry."""
    first_seen: int = 0
    signup_at: int = 0
    activated_at: int = 0
    # sessions, and active time on the current step since the last progress
    session: int = 0
    session_from: int = 0
    session_to: int = 0
    sessions: int = 0
    session_total: int = 0
    active: int = 0
    # stuck detection; windows are flat: [time, subject, time, subject, …] or [time, …]
    episode: Episode | None = None
    check_due: int = 0
    """Log time of the next checkpoint of the current step, 0 for none."""
    slow_noted: bool = False
    """The current step was already found slow."""
    clicks: list[int] = []
    pages: list[int] = []
    errors: list[int] = []
    # guidance
    decided: list[int] = []
    """Log times of the decisions of the last 24 hours."""
    stuck_decided: int = 0
    """When the last decision for a stuck signal was made: other decisions do not start its cooldown."""
    open: list[OpenDecision] = []
    arms_seen: dict[str, int] = {}
    """When each arm was last shown to this person, where the app echoed the id."""
    # what a text may depend on
    events: int = 0
    """Number of events, counted up to ``EVENTS_COUNTED`` (``state/person/recent.py``)."""
    last_event: str = ""
    """Type and subject of the last event to arrive, shortened."""
    notes: list[str] = []
    """The person's last texts and errors: kept only where the catalog's ``wording`` uses them."""
    # what the catalog decided
    catalog: int = 0
    """Digest of the catalog under which the person was last seen (``Plan.digest``)."""
    considered: bool = False
    """Guidance was considered for the person, shown or not: their group no longer changes when an earlier id becomes known."""
    group: int = 0
    """What was settled when the person began, in one byte of a snapshot: ``drawn_group + 4 * at_signup + 16 * beginning``."""
    entered_under: str = ""
    """Version of the catalog under which the person began, and whose shares drew the group; empty where a release before this field did."""

    @property
    def next_due(self) -> int:
        """Log time at which the next timer is due, 0 for none. It may change with every input."""
        due = self.check_due
        for each in self.open:
            if not due or each.due < due:
                due = each.due
        return due

    @property
    def drawn_group(self) -> int:
        """Experiment group, drawn when the person was first seen (``state/decision/experiment_groups.py``); 0 for none yet."""
        return self.group & _TWO_BITS

    @drawn_group.setter
    def drawn_group(self, group: int) -> None:
        self.group = self.group & ~_TWO_BITS | group

    @property
    def at_signup(self) -> int:
        """What held for the person when they signed up, or before that when they were first seen: a place in ``AT_SIGNUP``
        (``state/decision/switches.py``).
        """
        return self.group >> 2 & _TWO_BITS

    @at_signup.setter
    def at_signup(self, place: int) -> None:
        self.group = self.group & ~(_TWO_BITS << 2) | place << 2

    @property
    def beginning(self) -> int:
        """Whether the person begins the onboarding, by the catalog under which they were last seen: ``NOT_BEGUN`` or ``BEGUN``;
        ``BEGUN_BEFORE`` where only an earlier catalog or earlier traits let them begin, and 0 where a release before this property saw
        them last.
        """
        return self.group >> 4

    @beginning.setter
    def beginning(self, beginning: int) -> None:
        self.group = self.group & ~(_TWO_BITS << 4) | beginning << 4
