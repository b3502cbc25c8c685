"""The catalog: a product's onboarding as data. Paths, steps, matchers, triggers, arms and texts.

These models define what a catalog may contain. ``state/catalog/parse.py`` reads one from YAML and reports faults. ``state/catalog/plan.py``
compiles one for the fold. A catalog is validated once, at start; nothing here runs for each event.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from state.catalog.evidence_weights import read as read_weights
from state.catalog.wording_schema import CLAIMS_LANGUAGES, Emoji, Expression, Language, Trait, identifies
from state.duration import DAY, HOUR, MINUTE, SECOND, Duration
from state.event_fields import Scalar
from state.vocabulary import EventType, Surface, Tone, Trigger, UiComponent

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_\-]{0,63}$")]
Text = Annotated[str, Field(min_length=1, max_length=500)]


MappedType = Literal["signup", "page_view", "button_click", "form_submit", "error"]
"""Event types that a named call of an SDK may mean. Exposures, preferences and deletions are never guessed from a name."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Condition(_Model):
    """Tests of one field, all of which must hold. ``exists: false`` holds where the field is missing or null."""

    eq: Scalar | None = None
    in_: Annotated[list[Scalar] | None, Field(alias="in", min_length=1)] = None
    not_in: list[Scalar] | None = None
    prefix: str | None = None
    suffix: str | None = None
    contains: str | None = None
    gt: float | int | None = None
    gte: float | int | None = None
    lt: float | int | None = None
    lte: float | int | None = None
    exists: bool | None = None

    @model_validator(mode="after")
    def _has_a_test(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("a condition needs at least one test, like eq, in, prefix or gte")
        if any(getattr(self, name) is None for name in self.model_fields_set):
            raise ValueError("a test is empty; to ask for a missing field write exists: false")
        return self


def _condition(value: object) -> object:
    """A bare scalar means ``eq``, a bare list means ``in``."""
    if isinstance(value, list):
        return {"in": value}
    return value if isinstance(value, dict) else {"eq": value}


Conditions = dict[str, Annotated[Condition, BeforeValidator(_condition)]]
"""Field (dotted for nested ones) → condition; all must hold."""


def _instant(value: object) -> int:
    """Milliseconds since the Unix epoch of an RFC 3339 time or a date; UTC where it names no zone."""
    try:
        time = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"should be a time like 2026-03-01T00:00:00Z, not {value!r}") from None
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


MOST_TRAITS: Final = 16
"""Traits that a catalog names. It bounds the state of a person."""
LONGEST_TRAIT_NAME: Final = 64
"""Characters."""


def _kept_trait(name: str) -> str:
    if not name.strip():
        raise ValueError("is empty")
    if identifies(name):
        raise ValueError(f"{name!r} identifies a user, and is no evidence of who gets stuck")
    return name


class Matcher(_Model):
    """Matches events by type, by ``name`` (for ``track``) and by conditions on the payload."""

    type: EventType
    name: str | None = None
    where: Conditions = {}


class Completion(Matcher):
    """A matcher that completes a step once ``times`` different events have matched it."""

    times: Annotated[int, Field(ge=1, le=50)] = 1


ToneTexts = dict[Tone, Text]
Templates = dict[Trigger, ToneTexts]


class Step(_Model):
    """One step of the onboarding. Completed when any of ``complete`` has matched and all of ``requires`` are completed."""

    id: Slug
    title: Text
    link: str = ""
    typical: Annotated[Duration, Field(description="active time that the median user needs once the step is current")] = 10 * MINUTE
    usual: Annotated[
        Duration | None,
        Field(description="calendar time, from the step becoming current, within which nine of ten who complete it without help do so"),
    ] = None
    waiting: Annotated[
        list[Annotated[float, Field(ge=0, le=1)]] | None,
        Field(
            min_length=6,
            max_length=6,
            description="share of people who do not complete it within `usual` without help: of all who "
            "begin, and of those who still wait at 10, 20, 30, 40 and 50 % of it; `onramp catalog fit` sets it",
        ),
    ] = None
    measured: Annotated[
        int | None,
        Field(ge=1, description="number of completions of a log from which `usual` and `waiting` come; `onramp catalog fit` sets it"),
    ] = None
    requires: list[Slug] = []
    optional: Annotated[bool, Field(description="skipped once a later step of the path is completed; not needed for activation")] = False
    alarms: Annotated[bool, Field(description="whether users who are stuck at the step raise alarms; they are scored in any case")] = True
    complete: Annotated[list[Completion], Field(min_length=1)]
    activity: Annotated[list[Matcher], Field(description="events that show the user working on this step")] = []
    templates: Annotated[Templates, Field(description="texts that replace the general templates for this step")] = {}
    facts: Annotated[dict[Slug, Text], Field(description="true sentences about the step that a model may use")] = {}


class Path(_Model):
    """Steps in order for the people whose traits match. The first path that matches is a person's path; no ``match`` matches everyone."""

    id: Slug
    title: Text
    match: Conditions = {}
    steps: Annotated[list[Slug], Field(min_length=1)]
    activated_by: Annotated[
        list[Slug], Field(description="activated when all of these are completed; all steps that are not optional if left out")
    ] = []
    any_of: Annotated[
        list[Annotated[list[Slug], Field(min_length=2)]],
        Field(description="groups of steps that lead to the same: once one of a group is completed, the others are optional"),
    ] = []
    order: Annotated[
        Literal["free", "strict"],
        Field(description="free: who completes a later step has left the earlier one, and raises no alarm there"),
    ] = "free"


class Starts(_Model):
    """Who begins the onboarding. Everyone else is only observed, with the reason ``existing_person``."""

    when: Annotated[Literal["first_event", "signup"], Field(description="the event with which a person begins")] = "first_event"
    after: Annotated[
        int, BeforeValidator(_instant), Field(description="people whose event of `when` was before this time do not begin")
    ] = 0
    match: Annotated[Conditions, Field(description="traits that a person needs to begin")] = {}


class Arm(_Model):
    """One way to present guidance: a tone and the component that carries it. Not eligible before ``from``."""

    id: Slug
    tone: Tone
    component: UiComponent
    from_: Annotated[int, BeforeValidator(_instant), Field(alias="from", description="time from which on the arm may be chosen")] = 0


class Slot(_Model):
    """A ``{name}`` in a template, filled from a trait; ``default`` where the trait is missing or not displayable."""

    trait: str
    default: Annotated[str, Field(min_length=1, max_length=40)]


class _Trigger(_Model):
    enabled: bool = True


class Inactive(_Trigger):
    after: Annotated[Duration, Field(description="without any event for this long")] = DAY


class Errors(_Trigger):
    count: Annotated[int, Field(ge=1, le=30)] = 3
    within: Duration = 10 * MINUTE


class RageClicks(_Trigger):
    count: Annotated[int, Field(ge=2, le=30)] = 4
    within: Duration = 4 * SECOND


class Looping(_Trigger):
    visits: Annotated[int, Field(ge=2, le=30, description="of one page without completing a step in between")] = 4
    within: Duration = 15 * MINUTE


class SlowStep(_Trigger):
    """Slow is measured in active time: the gaps between a person's events, except those that end a session."""

    factor: Annotated[float, Field(gt=0, description="times the step's typical duration")] = 3.0
    at_least: Duration = 15 * MINUTE


class AlarmAt(_Model):
    """Scores from which on an alarm is raised, until past alarms of this job say more."""

    early: Annotated[float, Field(gt=0, le=1, description="before the last look")]
    last: Annotated[float, Field(gt=0, le=1, description="at the last look, at 0.4 of the usual time")]


class Evidence(_Model):
    """What signs, pauses, hours and traits add to the score, until users of this job say more."""

    trust: Annotated[
        list[Annotated[float, Field(ge=0, le=100)]],
        Field(
            min_length=6,
            max_length=6,
            description="how much of it is believed: before a tenth of the usual time, and at each of five shares",
        ),
    ]
    weights: Annotated[str, Field(max_length=40_000, description="what each sign adds, packed")]

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        read_weights(self.weights)
        return self


class Triggers(_Model):
    """When guidance is considered, and the thresholds for evidence of being stuck."""

    signup: _Trigger = _Trigger()
    step_completed: _Trigger = _Trigger()
    inactive: Annotated[Inactive, Field(alias="stuck:inactive")] = Inactive()
    errors: Annotated[Errors, Field(alias="stuck:errors")] = Errors()
    rage_clicks: Annotated[RageClicks, Field(alias="stuck:rage_clicks")] = RageClicks()
    looping: Annotated[Looping, Field(alias="stuck:looping")] = Looping()
    slow_step: Annotated[SlowStep, Field(alias="stuck:slow_step")] = SlowStep()
    precision: Annotated[float, Field(ge=0.1, le=0.99, description="share of the stuck alarms that should be right")] = 0.9
    precision_in_session: Annotated[
        float | None,
        Field(ge=0.1, le=0.99, description="the same for alarms while the user is in the session; `precision` of all alarms is kept"),
    ] = None
    precision_floor: Annotated[
        float, Field(ge=0, le=0.99, description="where `precision` is out of reach, the best one in reach counts, but none below this")
    ] = 0.0
    alarm_at: Annotated[AlarmAt | None, Field(description="set by `onramp catalog fit`")] = None
    evidence: Annotated[Evidence | None, Field(description="set by `onramp catalog fit`")] = None

    def enabled(self, trigger: str) -> bool:
        """Whether ``trigger`` is enabled."""
        settings: _Trigger = getattr(self, trigger.removeprefix("stuck:"))
        return settings.enabled


class Limits(_Model):
    """How much guidance one person gets, and the time bounds of events, texts and outcomes."""

    lateness: Annotated[Duration, Field(le=30 * DAY, description="an event this much older than the user's newest is late")] = DAY
    session_gap: Duration = 30 * MINUTE
    cooldown: Annotated[Duration, Field(description="between two decisions for one user")] = 6 * HOUR
    daily_cap: Annotated[int, Field(ge=1, le=100, description="decisions for one user in 24 hours")] = 3
    attribution_window: Annotated[Duration, Field(description="from being shown; the step must be completed within it")] = DAY
    recommendation_ttl: Duration = DAY


class Learning(_Model):
    """The parameters of the bandit that differ between products; ``state/decision/bandit_policy.py`` has the others."""

    prior_rate: Annotated[float, Field(gt=0, lt=1, description="success rate assumed of an arm that was never tried")] = 0.3
    prior_weight: Annotated[float, Field(gt=0, le=1000, description="of that assumption, in observations")] = 4.0
    half_life: Annotated[Duration, Field(description="after which an observation counts half")] = 14 * DAY
    exploration_floor: Annotated[float, Field(ge=0, le=0.2, description="least probability of each eligible arm")] = 0.05


class PromptShare(_Model):
    """A version of the prompt (a file in ``catalog/prompts/``, or in ``prompts/`` beside the catalog) and its share of the requests."""

    version: Slug
    share: Annotated[float, Field(gt=0, le=1, description="a weight against those of the others")] = 1.0


class WordingPolicy(_Model):
    """Which texts a model may write, what its prompt may contain, and what a text may claim. Without it no model is called."""

    prompts: Annotated[list[PromptShare], Field(min_length=1, max_length=8)]
    template_share: Annotated[float, Field(ge=0, le=1, description="of eligible decisions that keep the template, for comparison")] = 0.1
    cold_events: Annotated[int, Field(ge=0, le=5, description="a user with fewer events gets templates")] = 3
    personal: Annotated[list[Trigger], Field(description="triggers whose prompts include the user's own words and errors")] = []
    prompt_traits: Annotated[list[Trait], Field(max_length=8, description="traits that a personal prompt may name")] = []
    languages: Annotated[list[Language], Field(min_length=1, description="in which a model may answer, the default first")] = ["en"]
    review_languages: Annotated[
        list[Language] | None,
        Field(description="languages whose texts are shown only after somebody approved them; if left out, those without a list of claims"),
    ] = None
    longest: Annotated[int, Field(ge=40, le=500, description="characters of a text once its slots are filled")] = 240
    confidence: Annotated[float, Field(ge=0, le=1, description="of the model in its text, below which somebody reviews it first")] = 0.7
    glossary: Annotated[list[str], Field(description="proper nouns and numbers that a text may contain as they are")] = []
    forbidden: Annotated[list[Expression], Field(description="claims that no text may make: regular expressions (RE2), case ignored")] = []
    emoji: Annotated[list[Emoji], Field(description="emoji that a text may contain")] = []

    def needs_approval(self, language: str) -> bool:
        """Whether a text in ``language`` is shown only after a person approved it."""
        if self.review_languages is None:
            return language not in CLAIMS_LANGUAGES
        return language in self.review_languages

    @property
    def asks_for_personal_texts(self) -> bool:
        """Whether a prompt may include a user's own words: where an approval is needed, it would come too late for that user."""
        return bool(self.personal) and not all(map(self.needs_approval, self.languages))


class Catalog(_Model):
    """The whole onboarding of a product."""

    id: Slug
    version: Annotated[str, Field(min_length=1, max_length=32)]
    product: Text
    description: str = ""
    tenants: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=128)]],
        Field(min_length=1, description="tenants that the catalog is for; left out, it is for all that no other catalog names"),
    ] = []
    observe: Annotated[
        bool, Field(description="nobody is guided: progress, funnels and scores only; arms, templates and links may be left out")
    ] = False
    starts: Starts = Starts()
    holdout: Annotated[float, Field(ge=0, le=1, description="share of users who get no guidance; 1 is the same as `observe: true`")] = 0.1
    rules: Annotated[float, Field(ge=0, le=0.9, description="share of users who always get the first eligible arm, for comparison")] = 0.0
    delivers: Annotated[list[Surface], Field(description="surfaces on which guidance is delivered")] = ["in_app"]
    segment_by: Annotated[list[str], Field(max_length=2, description="traits by which the bandit forms segments")] = []
    traits: Annotated[
        list[Annotated[str, Field(max_length=LONGEST_TRAIT_NAME), AfterValidator(_kept_trait)]],
        Field(max_length=MOST_TRAITS, description="traits with names of your own that are kept as evidence of who gets stuck"),
    ] = []
    slots: dict[str, Slot] = {}
    links: Annotated[list[str], Field(description="allowed deep links; a trailing * allows every link that begins so")] = []
    bot_detection: Annotated[bool, Field(description="whether accounts that behave like bots get no guidance and raise no alarm")] = True
    automatic: Annotated[list[Matcher], Field(description="events that the client sends by itself, without the person")] = []
    track_names: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=256)], MappedType],
        Field(description="names of track calls that SDKs send to the gateway, and the event type that each means besides"),
    ] = {}
    limits: Limits = Limits()
    learning: Learning = Learning()
    triggers: Triggers = Triggers()
    arms: list[Arm] = []
    templates: Templates = {}
    wording: WordingPolicy | None = None
    steps: Annotated[list[Step], Field(min_length=1)]
    paths: Annotated[list[Path], Field(min_length=1)]

    @property
    def observing(self) -> bool:
        """Whether nobody is guided."""
        return self.observe or self.holdout >= 1.0

    def allows_link(self, link: str) -> bool:
        """Whether guidance may link to ``link``."""
        return any(link == rule or (rule.endswith("*") and link.startswith(rule[:-1])) for rule in self.links)
