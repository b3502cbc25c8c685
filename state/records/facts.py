"""Rows for analysts: one struct for each table, with its columns in field order.

Times are integers, milliseconds since the Unix epoch, UTC, and end in ``_at`` (or are named ``minute``, ``timestamp`` or ``log_time``).
Rows are replaced by key (see each ``KEY``): the row with the largest ``version`` wins, so writing a row twice has the effect of writing it
once.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Fact(msgspec.Struct, frozen=True, gc=False):
    """Base of all facts. ``TABLE`` names the ClickHouse table, ``KEY`` the columns that identify a row."""

    TABLE: ClassVar[str]
    KEY: ClassVar[tuple[str, ...]]


class EventFact(Fact, frozen=True, gc=False, kw_only=True):
    """One accepted event. ``status`` is ``applied``, or why it was not applied (``late``, ``deleted``, ``merged``)."""

    TABLE = "events"
    KEY = ("tenant_id", "user_id", "event_id")

    tenant_id: str
    user_id: str
    event_id: str
    session_id: str
    event_type: str
    name: str
    payload: str
    status: str
    timestamp: int
    log_time: int
    source_partition: int
    source_offset: int
    traceparent: str
    version: int


class DecisionFact(Fact, frozen=True, gc=False, kw_only=True):
    """One decision about guidance: a choice (``outcome`` = ``decided``) or a non-decision (``declined``, with its ``reason``).

    ``arms`` and ``propensities`` run in parallel and name every eligible arm; both are empty for a non-decision. ``learner_version`` is the
    version of the posterior used, ``parameters_version`` that of the step statistics. ``experiment_group`` as in ``PersonFact``.
    """

    TABLE = "decisions"
    KEY = ("tenant_id", "decision_id")

    tenant_id: str
    decision_id: str
    user_id: str
    trigger: str
    path_id: str
    step_id: str
    segment: str
    outcome: str
    reason: str
    arm: str
    propensity: float
    arms: tuple[str, ...]
    propensities: tuple[float, ...]
    learner_version: int
    catalog_version: str
    decided_at: int
    version: int
    experiment_group: str = "adaptive"
    parameters_version: int = 0


class RecommendationFact(Fact, frozen=True, gc=False, kw_only=True):
    """One version of a person's record as written to Redis. ``ui_component`` = ``none`` withdraws it."""

    TABLE = "recommendations"
    KEY = ("tenant_id", "user_id", "version", "source")

    tenant_id: str
    user_id: str
    decision_id: str
    recommendation_id: str
    trigger: str
    path_id: str
    step_id: str
    arm: str
    propensity: float
    message: str
    ui_component: str
    deep_link: str
    confidence: float
    source: str
    prompt_version: str
    validation_hash: str
    trace_id: str
    reason: str
    created_at: int
    expires_at: int
    version: int


class LlmCallFact(Fact, frozen=True, gc=False, kw_only=True):
    """The result of a decision that a model could have worded. One row for each such decision, also without a call.

    ``status`` is ``improved`` (a text was sent to Redis, which refuses it if it comes too late) or ``kept``, with its
    ``reason``. ``source`` is ``call``, ``cache``, ``coalesced`` or empty; ``scope`` is ``shared`` or ``personal``. ``cost_micros``:
    millionths of a dollar. ``checks`` is JSON: a list of ``[check, reason]``. ``experiment`` is ``model`` or ``template`` for decisions
    that took part in the comparison of the two, else empty. Rejected texts are not in it: ``LlmAnswerFact`` has them, where they are kept.
    """

    TABLE = "llm_calls"
    KEY = ("tenant_id", "decision_id")

    tenant_id: str
    decision_id: str
    user_id: str
    trigger: str
    path_id: str
    step_id: str
    arm: str
    status: str
    reason: str
    source: str
    scope: str
    experiment: str
    cache_key: str
    prompt_version: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_micros: int
    latency_ms: int
    attempts: int
    confidence: float
    checks: str
    unfilled_hash: str
    validation_hash: str
    asked_at: int
    version: int


class LlmAnswerFact(Fact, frozen=True, gc=False, kw_only=True):
    """One call of a model: the prompt as it was sent, after redaction, and the answer that was rejected. Only where it is kept.

    ``status`` is ``accepted``, ``rejected`` (by the check ``refused_by``, for ``reason``), ``failed`` (no answer, for ``reason``) or
    ``cancelled`` (nobody waited for it any more). ``answer`` is what the model wrote, empty unless it was rejected; it may contain personal
    data. ``user_id`` is the person whose decision is charged for the call, also where the text may serve everybody. ``called_at`` is the
    clock of the job, so that the days of keeping count from the call, whatever the log time.
    """

    TABLE = "llm_answers"
    KEY = ("tenant_id", "decision_id")

    tenant_id: str
    decision_id: str
    user_id: str
    recommendation_id: str
    trigger: str
    path_id: str
    step_id: str
    arm: str
    scope: str
    status: str
    refused_by: str
    reason: str
    prompt_version: str
    prompt: str
    answer: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_micros: int
    trace_id: str
    called_at: int
    version: int


class OutcomeFact(Fact, frozen=True, gc=False, kw_only=True):
    """One outcome or exposure of a decision.

    ``kind`` is an exposure event (``shown``, ``clicked``, ``dismissed``) or how the decision ended: ``success`` or ``failure`` (it was
    shown, which opened its attribution window), ``expired`` (never shown), ``withdrawn`` (became stale before it was shown; or was shown,
    and the step was completed before that, the person merged or deleted, or the step is gone), ``superseded`` (a newer decision replaced it
    before it was shown).
    """

    TABLE = "outcomes"
    KEY = ("tenant_id", "decision_id", "kind")

    tenant_id: str
    decision_id: str
    kind: str
    user_id: str
    trigger: str
    path_id: str
    step_id: str
    segment: str
    arm: str
    occurred_at: int
    version: int


class SignalFact(Fact, frozen=True, gc=False, kw_only=True):
    """One stuck signal. ``evidence`` is JSON: the evidence, and what each part of it added to the score.

    ``score`` is the estimated probability that the person will not complete the step within its horizon without help.
    ``parameters_version`` is the version of the step statistics used.
    """

    TABLE = "stuck_signals"
    KEY = ("tenant_id", "signal_id")

    tenant_id: str
    signal_id: str
    user_id: str
    trigger: str
    path_id: str
    step_id: str
    evidence: str
    detected_at: int
    version: int
    score: float = 0.0
    parameters_version: int = 0


class StuckScoreFact(Fact, frozen=True, gc=False, kw_only=True):
    """The score of a held-out person who still waits at ``share`` of the horizon of their step.

    ``score`` is the estimated probability that they will neither complete nor leave the step within ``horizon_ms``; ``time_alone`` is the
    share of stuck people among those who waited as long at this step before.
    """

    TABLE = "stuck_scores"
    KEY = ("tenant_id", "user_id", "step_id", "share")

    tenant_id: str
    user_id: str
    step_id: str
    share: float
    score: float
    time_alone: float
    horizon_ms: float
    judged_at: int
    parameters_version: int
    version: int


class ProgressFact(Fact, frozen=True, gc=False, kw_only=True):
    """A person's progress on one step of their path. ``status``: ``locked`` (not reached), ``current`` (is or was), ``completed``.

    Written when the path becomes known, the step has its first event, becomes current or is completed, and with every signal at it. Counts
    and ``last_seen_at`` are as of ``updated_at``. ``current_since_at`` is set once, and stays 0 for a step completed ahead of its turn. It
    moves back to when a visitor came to the step who did it, and is merged later.

    When the person meets another catalog, one of ``status`` ``catalog_changed`` without path and step is written, and one for each step of
    the path. So older ones are of steps that left it.

    ``completed_at`` is 0 until the step is completed; ``first_seen_at`` and ``last_seen_at`` are 0 before the first event at it.
    ``path_order``: ``free``, or ``strict`` where the order of the path matters.
    """

    TABLE = "step_progress"
    KEY = ("tenant_id", "user_id", "path_id", "step_id")

    tenant_id: str
    user_id: str
    path_id: str
    step_id: str
    position: int
    status: str
    attempts: int
    errors: int
    first_seen_at: int
    last_seen_at: int
    current_since_at: int
    completed_at: int
    updated_at: int
    version: int
    path_order: str = "free"


class PersonFact(Fact, frozen=True, gc=False, kw_only=True):
    """One person. ``activated_at`` and ``signup_at`` are 0 where they have not happened.

    ``experiment_group`` is ``holdout`` (no guidance), ``rules`` (first eligible arm, no learning) or ``adaptive`` and never changes;
    ``existing`` while the person does not begin the onboarding, by the catalog's ``starts``, and did not under an earlier catalog or with
    earlier traits; or ``merged`` for a visitor who became a user and counts only as that user. ``engagement_score`` is 0–100.
    ``guidance_at_signup``: ``on``, ``guidance_paused`` or ``outside_ramp``, whatever the group. ``entered_under`` is the version of the
    catalog whose shares drew the group; ``visitor_draw`` is the draw of the visitor as whom it was drawn (``experiment_draw``), -1 where it
    was drawn under the person's own id. ``person_key`` is the stream key (``Keys.stream_key``) under which the person counts: their own,
    and of a merged visitor that of the person they became.

    Written when a session begins, and when something else of it changes; not with each event. So ``avg_session_duration`` (seconds) is that
    of the sessions that have ended, because another began: 0 before. ``last_active_at`` is the newest event as of the row.
    """

    TABLE = "people"
    KEY = ("tenant_id", "user_id")

    tenant_id: str
    user_id: str
    path_id: str
    segment: str
    experiment_group: str
    user_persona: str
    use_case: str
    company_size: str
    signup_source: str
    tier: str
    locale: str
    guidance: bool
    steps_completed: int
    steps_total: int
    session_count: int
    avg_session_duration: float
    engagement_score: float
    first_seen_at: int
    signup_at: int
    last_active_at: int
    activated_at: int
    version: int
    guidance_at_signup: str = "on"
    entered_under: str = ""
    visitor_draw: float = -1.0
    person_key: str = ""


class SwitchFact(Fact, frozen=True, gc=False, kw_only=True):
    """One switch of guidance: who paused, resumed or ramped it, when and why. ``share`` is that of a ramp, 1 for other actions.

    ``switched_at`` is the clock of who switched; ``in_force_at`` is the log time from which it holds, the earliest of all partitions.
    """

    TABLE = "guidance_switches"
    KEY = ("tenant_id", "switch_id")

    tenant_id: str
    switch_id: str
    action: str
    share: float
    switched_by: str
    because: str
    switched_at: int
    in_force_at: int
    version: int


class CatalogFact(Fact, frozen=True, gc=False, kw_only=True):
    """What a version of the catalog promised of the experiment. The checks judge each decision by the version that it bears.

    ``holdout`` is 1 where the catalog only observes. ``template_share`` is that of decisions that keep their template, -1 where the catalog
    has no ``wording``. ``strict_paths`` are the paths where the order of the steps matters, ``steps_without_alarms`` those that raise none.
    """

    TABLE = "catalogs"
    KEY = ("tenant_id", "catalog_version")

    tenant_id: str
    catalog_version: str
    holdout: float
    rules: float
    exploration_floor: float
    attribution_window_ms: int
    template_share: float
    version: int = 0
    strict_paths: tuple[str, ...] = ()
    steps_without_alarms: tuple[str, ...] = ()


class PosteriorFact(Fact, frozen=True, gc=False, kw_only=True):
    """The posterior of one arm in one context, in the learner of one (tenant, trigger), after ``updates`` rewards.

    ``context`` is ``*`` for the arm as a whole, else ``step|segment``. ``alpha`` and ``beta`` are the parameters of a Beta distribution.
    """

    TABLE = "arm_posteriors"
    KEY = ("tenant_id", "trigger", "arm", "context", "version")

    tenant_id: str
    trigger: str
    arm: str
    context: str
    alpha: float
    beta: float
    updates: int
    updated_at: int
    version: int


class ArmStopFact(Fact, frozen=True, gc=False, kw_only=True):
    """An arm was stopped for harm: with probability ``confidence`` its success rate is more than ``margin`` below the others'.

    ``rate`` and ``others_rate`` are the posterior means over the contexts in which the arm was tried; ``outcomes`` is its number of
    outcomes.
    """

    TABLE = "arm_stops"
    KEY = ("tenant_id", "trigger", "arm", "arm_version")

    tenant_id: str
    trigger: str
    arm: str
    arm_version: str
    confidence: float
    margin: float
    rate: float
    others_rate: float
    outcomes: float
    stopped_at: int
    version: int


class StepStatisticFact(Fact, frozen=True, gc=False, kw_only=True):
    """The statistics of one step when ``parameters_version`` was published; ``step_id`` = ``*`` is the detector as a whole.

    ``horizon_ms`` is the time within which nine of ten of the last completions took place, ``median_ms`` half of them. ``curve_ms`` and
    ``survival`` are the survival curve: the share that has not completed the step so long after it became current. ``completion_share`` is
    the share completed or left within the horizon. ``episodes`` is the number of ended episodes. ``weights`` is JSON, only on the row
    ``*``: the operating point, and how much evidence counts beside time alone.
    """

    TABLE = "step_statistics"
    KEY = ("tenant_id", "step_id", "parameters_version")

    tenant_id: str
    step_id: str
    parameters_version: int
    horizon_ms: float
    median_ms: float
    completion_share: float
    episodes: float
    curve_ms: tuple[float, ...]
    survival: tuple[float, ...]
    weights: str
    learned_at: int
    version: int


class DeadLetterFact(Fact, frozen=True, gc=False, kw_only=True):
    """One rejected message.

    ``raw`` is its first 4 KiB, undecodable bytes replaced, or what they say where a schema registry decoded them. It is empty where the
    message has a registry's framing and could not be decoded: nobody could tell whom it names. The dead-letter topic or file has all of it.
    ``user_ids``: whom the whole message and its key name; a deletion finds the row by them. ``tenant_ids``: its tenant, ``default`` where
    it leaves that out; where no sender can be read, all that it names. Empty where nobody can tell: it may then be of any tenant.
    """

    TABLE = "dead_letters"
    KEY = ("dead_letter_id",)

    dead_letter_id: str
    reason: str
    detail: str
    topic: str
    source_partition: int
    source_offset: int
    raw: str
    log_time: int
    version: int
    user_ids: tuple[str, ...]
    tenant_ids: tuple[str, ...]


class StepMetricFact(Fact, frozen=True, gc=False, kw_only=True):
    """An additive partial of one minute of one step: the sum over all ``partial_id`` is the minute's figure.

    ``metric`` is ``completed``, ``signal``, ``decision``, ``non_decision``, ``event``, or a ``kind`` of ``OutcomeFact``. ``label`` refines
    it (the trigger, the reason, the event type) and may be empty. ``count`` is below 0 where a visitor's completions become those of the
    user that the visitor signed in as, and in the minute of a completion before its time was corrected. The sink assigns ``partial_id``
    from its place in the durable spool, so it is the same at every delivery.
    """

    TABLE = "step_metrics_1m"
    KEY = ("tenant_id", "minute", "path_id", "step_id", "metric", "label", "partial_id")

    tenant_id: str
    minute: int
    path_id: str
    step_id: str
    metric: str
    label: str
    count: int
    partial_id: str = ""


FACTS: tuple[type[Fact], ...] = (
    EventFact,
    DecisionFact,
    RecommendationFact,
    LlmCallFact,
    LlmAnswerFact,
    OutcomeFact,
    SignalFact,
    StuckScoreFact,
    ProgressFact,
    PersonFact,
    SwitchFact,
    CatalogFact,
    PosteriorFact,
    ArmStopFact,
    StepStatisticFact,
    DeadLetterFact,
    StepMetricFact,
)
"""Every kind of fact, in the order in which a batch is written."""
