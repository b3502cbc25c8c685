"""A catalog compiled for the fold: matchers indexed by event type, paths and steps by name, timers in milliseconds."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from state.catalog.conditions import Fields, Test, compile_test, find
from state.catalog.model import Catalog, Completion, Matcher, Path, Starts, Step, WordingPolicy
from state.decision.bandit_policy import BanditPolicy
from state.duration import HOUR, SECOND
from state.event_fields import Scalar
from state.vocabulary import SURFACE, TRIGGERS

KNOWN_TRAITS: Final = ("persona", "useCase", "companySize", "signupSource", "tier", "locale", "timezone", "firstName")
"""Traits that are kept for every catalog. Others are kept only where the catalog names or uses them."""

SHORTEST_TIMER: Final = SECOND
"""Lower bound of ``Plan.lookahead``: a person cannot be helped sooner."""

LONGEST_LOOKAHEAD: Final = HOUR
"""Upper bound of ``Plan.lookahead``. Sources batch events of at most this much log time, so that no timer is due within a batch."""

CHECKS: Final = 24
"""A step is first checked after a tenth of its horizon. Batches of a 24th of the shortest horizon delay no check."""

SEGMENT_PART: Final = 32
"""Characters of a trait that a segment's name contains."""

_NOT_IN_STATE: Final = {
    "version",
    "product",
    "description",
    "tenants",
    "traits",
    "slots",
    "links",
    "learning",
    "templates",
    "wording",
    "arms",
    "automatic",
    "track_names",
}
"""Sections of a catalog on which no person's state depends."""


class Rule(NamedTuple):
    """One matcher of one step. ``completion`` is a digest of what a completion matches, 0 for an activity matcher.

    A person's partial evidence is stored under the digest, so it belongs to the same matcher wherever the catalog lists it.
    """

    step: str
    completion: int
    times: int
    name: str | None
    tests: tuple[tuple[tuple[str, ...], Test], ...]

    @property
    def completes(self) -> bool:
        """Whether the rule counts for the completion of its step; else it is an activity matcher."""
        return self.completion != 0

    def matches(self, name: str, payload: Fields) -> bool:
        """Whether an event of the rule's type with this ``name`` and ``payload`` fulfils the rule."""
        if self.name is not None and self.name != name:
            return False
        return all(test(find(payload, field)) for field, test in self.tests)


class RuleBook:
    """The rules for events of one type, and the search for those that an event fulfils.

    Products send the same few names, pages and targets again and again, so answers are cached by the values that the rules test. Only text
    values are cache keys (``1`` and ``True`` are the same key but not the same value), of ``MAX_KEY`` characters together. The cache is
    cleared at ``MAX_CACHED`` entries.
    """

    MAX_CACHED: Final = 4_096
    MAX_KEY: Final = 512

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules: Final = tuple(rules)
        self._fields: Final = tuple(sorted({field for rule in rules for field, _ in rule.tests}))
        self._plain: Final = tuple(field[0] for field in self._fields) if all(len(field) == 1 for field in self._fields) else None
        self._cache: dict[tuple[str | None, ...], tuple[Rule, ...]] = {}

    def matching(self, name: str, payload: Fields) -> tuple[Rule, ...]:
        """Rules that an event with this ``name`` and ``payload`` fulfils, in catalog order."""
        if not self._rules:
            return ()
        if self._plain is not None:
            key = (name, *map(payload.get, self._plain))
        else:
            key = (name, *(find(payload, field) for field in self._fields))
        try:
            found = self._cache.get(key)
        except TypeError:  # a list or an object, which cannot be a key
            return self._evaluate(name, payload)
        if found is None:
            found = self._evaluate(name, payload)
            if all(value is None or type(value) is str for value in key) and sum(len(value or "") for value in key) <= self.MAX_KEY:
                if len(self._cache) >= self.MAX_CACHED:
                    self._cache.clear()
                self._cache[key] = found
        return found

    def _evaluate(self, name: str, payload: Fields) -> tuple[Rule, ...]:
        return tuple(rule for rule in self._rules if rule.matches(name, payload))


class Plan:
    """A compiled catalog. Immutable after construction; shared by all workers of a process."""

    def __init__(self, catalog: Catalog, *, wording: bool = False) -> None:
        """``wording``: a model is available, and the catalog's ``wording`` section applies."""
        self.catalog: Final = catalog
        self.wording: Final = catalog.wording if wording else None
        self.keeps_notes: Final = self.wording is not None and self.wording.asks_for_personal_texts
        """Whether the person's own texts are kept, because a personal prompt may contain them."""
        self.version: Final = f"{catalog.id}@{catalog.version}"
        self.digest: Final = _digest(catalog.model_dump(mode="json", exclude=_NOT_IN_STATE, exclude_defaults=True))
        """Of all that a person's state depends on. A person whose state has another digest was last seen under another catalog."""
        self.limits: Final = catalog.limits
        self.triggers: Final = catalog.triggers
        self.policy: Final = BanditPolicy.of(catalog.learning)
        self.steps: Final[dict[str, Step]] = {step.id: step for step in catalog.steps}
        self.paths: Final[dict[str, Path]] = {path.id: path for path in catalog.paths}
        self.routes: Final[dict[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
            path.id: tuple((step, tuple(self.steps[step].requires)) for step in path.steps) for path in catalog.paths
        }
        """Path → its steps in order, each with the steps that it requires."""
        self.places: Final = frozenset((path.id, step) for path in catalog.paths for step in path.steps)
        """Every (path, step) of this catalog. A person's state may contain others, from an earlier catalog."""
        self.optional: Final = frozenset(step.id for step in catalog.steps if step.optional)
        self.without_alarms: Final = frozenset(step.id for step in catalog.steps if not step.alarms)
        """Steps at which users are scored and no alarm is raised."""
        self.alternatives: Final[dict[tuple[str, str], tuple[str, ...]]] = {
            (path.id, step): tuple(each for each in group if each != step)
            for path in catalog.paths
            for group in path.any_of
            for step in group
        }
        """(path, step) → the other steps of its group, one of which is enough."""
        self.later_steps: Final[dict[tuple[str, str], tuple[str, ...]]] = {
            (path.id, step): tuple(path.steps[place + 1 :])
            if path.order == "free" or step in self.optional
            else self.alternatives.get((path.id, step), ())
            for path in catalog.paths
            for place, step in enumerate(path.steps)
        }
        """(path, step) → the steps whose completion means that it was left. Where the order matters, only what may be skipped is left."""
        self.needed: Final[dict[str, tuple[frozenset[str], ...]]] = {path.id: _needed(path, self.optional) for path in catalog.paths}
        """Path → sets of steps: it is activated when one step of each set is completed."""
        self.observing: Final = catalog.observing
        self.slow_after: Final[dict[str, int]] = {
            step.id: max(int(step.typical * catalog.triggers.slow_step.factor), catalog.triggers.slow_step.at_least)
            for step in catalog.steps
        }
        usual = min([step.usual for step in catalog.steps if step.usual] or [2 * catalog.triggers.inactive.after])
        self.lookahead: Final = max(
            SHORTEST_TIMER,
            min(usual // CHECKS, LONGEST_LOOKAHEAD, catalog.limits.attribution_window, catalog.limits.recommendation_ttl),
        )
        """No timer is ever due sooner than this after the log time at which it was set, in milliseconds; sooner only where the learned
        horizons are shorter than the catalog expects (``state/stuck/parameters.py``)."""
        self.traits: Final[frozenset[str]] = frozenset(KNOWN_TRAITS) | _used_traits(catalog)
        self._rules: Final[dict[str, RuleBook]] = _index(catalog)
        self._automatic: Final[dict[str, RuleBook]] = _automatic(catalog)
        self._matches: Final = tuple(
            (path.id, tuple((trait, compile_test(condition)) for trait, condition in path.match.items())) for path in catalog.paths
        )
        self._starts: Final = tuple((trait, compile_test(condition)) for trait, condition in catalog.starts.match.items())
        self.everyone_starts: Final = catalog.starts == Starts()
        self._arms: Final[dict[tuple[str, str], tuple[str, ...]]] = {
            (trigger, step.id): _eligible(catalog, step, trigger) for trigger in TRIGGERS for step in catalog.steps
        }
        self.enabled: Final[dict[str, bool]] = {trigger: catalog.triggers.enabled(trigger) for trigger in TRIGGERS}
        self._segment_by: Final = tuple(catalog.segment_by)
        self.component: Final[dict[str, str]] = {arm.id: arm.component for arm in catalog.arms}
        self._tone: Final[dict[str, str]] = {arm.id: arm.tone for arm in catalog.arms}
        self._launches: Final = {arm.id: arm.from_ for arm in catalog.arms if arm.from_}
        self._arm_versions: Final[dict[tuple[str, str], str]] = {
            (trigger, arm.id): _arm_version(catalog, trigger, arm.tone, self.wording) for trigger in TRIGGERS for arm in catalog.arms
        }

    def rules(self, event_type: str, name: str, payload: Fields) -> tuple[Rule, ...]:
        """Rules that an event fulfils, in catalog order."""
        book = self._rules.get(event_type)
        return book.matching(name, payload) if book is not None else ()

    def is_automatic(self, event_type: str, name: str, payload: Fields) -> bool:
        """Whether the client sends such an event by itself, so that it says nothing of the person's rhythm."""
        book = self._automatic.get(event_type)
        return book is not None and bool(book.matching(name, payload))

    def starts(self, traits: Mapping[str, Scalar], *, first_seen: int, signup_at: int) -> bool:
        """Whether a person begins the onboarding. With the sign-up, what was before it does not matter: it is not known of all visitors."""
        starts = self.catalog.starts
        if starts.when == "signup":
            if not signup_at or signup_at < starts.after:
                return False
        elif first_seen < starts.after:
            return False
        return all(test(traits.get(trait)) for trait, test in self._starts)

    def arms(self, trigger: str, step: str, at: int) -> tuple[str, ...]:
        """Arms with a text for ``trigger`` and ``step``, on one delivered surface, at log time ``at``, in catalog order."""
        arms = self._arms.get((trigger, step), ())
        if not self._launches:
            return arms
        return tuple(arm for arm in arms if self._launches.get(arm, 0) <= at)

    def arm_version(self, trigger: str, arm: str) -> str:
        """Digest of the texts of ``arm`` for ``trigger``. The learner treats an arm with changed texts as a new arm."""
        return self._arm_versions[trigger, arm]

    def template(self, trigger: str, step: str, arm: str) -> str:
        """Text of ``arm`` for ``trigger`` at ``step``, slots unfilled. Raises ``KeyError`` for an arm that is not eligible there."""
        tone = self._tone[arm]
        own = self.steps[step].templates.get(trigger, {})  # type: ignore[call-overload]
        text: str = own[tone] if tone in own else self.catalog.templates[trigger][tone]  # type: ignore[index]
        return text

    def path_for(self, traits: Mapping[str, Scalar]) -> str:
        """Id of the first path whose rules match ``traits``; empty where none does."""
        for path, tests in self._matches:
            if all(test(traits.get(trait)) for trait, test in tests):
                return path
        return ""

    def segment(self, traits: Mapping[str, Scalar]) -> str:
        """The person's segment, for the learner; ``*`` where the catalog's ``segment_by`` is empty."""
        return "|".join([str(traits.get(trait, "-"))[:SEGMENT_PART].replace("|", "/") for trait in self._segment_by]) or "*"


def _needed(path: Path, optional: frozenset[str]) -> tuple[frozenset[str], ...]:
    group_of = {step: frozenset(group) for group in path.any_of for step in group}
    needed = path.activated_by or [step for step in path.steps if step not in optional]
    return tuple(dict.fromkeys(group_of.get(step, frozenset((step,))) for step in needed))


def _index(catalog: Catalog) -> dict[str, RuleBook]:
    rules: defaultdict[str, list[Rule]] = defaultdict(list)
    for step in catalog.steps:
        named = Matcher(type="step_completed", where={"step": step.id})  # type: ignore[dict-item]
        rules[named.type].append(_rule(step.id, named, _digest(step.id), 1))
        distinct: dict[int, Completion] = {}
        for completion in step.complete:
            digest = _digest(completion.model_dump(mode="json", exclude={"times"}, exclude_defaults=True))
            if digest not in distinct or completion.times < distinct[digest].times:  # of two that differ in ``times`` the smaller decides
                distinct[digest] = completion
        for digest, completion in distinct.items():
            rules[completion.type].append(_rule(step.id, completion, digest, completion.times))
        for matcher in step.activity:
            rules[matcher.type].append(_rule(step.id, matcher, 0, 1))
    return {event_type: RuleBook(found) for event_type, found in rules.items()}


def _digest(content: object) -> int:
    """A number of 32 bits that stands for ``content``, whatever the order of its mappings."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") or 1


def _automatic(catalog: Catalog) -> dict[str, RuleBook]:
    rules: defaultdict[str, list[Rule]] = defaultdict(list)
    for matcher in catalog.automatic:
        rules[matcher.type].append(_rule("", matcher, 0, 1))
    return {event_type: RuleBook(found) for event_type, found in rules.items()}


def _rule(step: str, matcher: Matcher, completion: int, times: int) -> Rule:
    tests = tuple((tuple(field.split(".")), compile_test(condition)) for field, condition in matcher.where.items())
    return Rule(step, completion, times, matcher.name, tests)


def _used_traits(catalog: Catalog) -> frozenset[str]:
    used = {trait for path in catalog.paths for trait in path.match} | set(catalog.starts.match)
    return frozenset(used | set(catalog.traits) | set(catalog.segment_by) | {slot.trait for slot in catalog.slots.values()})


def _eligible(catalog: Catalog, step: Step, trigger: str) -> tuple[str, ...]:
    """Eligible arms, all of one surface, that of the first delivered arm: whether a text is shown must not depend on the arm."""
    tones = {**catalog.templates.get(trigger, {}), **step.templates.get(trigger, {})}  # type: ignore[call-overload]
    usable = [arm for arm in catalog.arms if arm.tone in tones and SURFACE[arm.component] in catalog.delivers]
    return tuple(arm.id for arm in usable if SURFACE[arm.component] == SURFACE[usable[0].component])


def _arm_version(catalog: Catalog, trigger: str, tone: str, wording: WordingPolicy | None) -> str:
    words = [catalog.templates.get(trigger, {}).get(tone, "")]  # type: ignore[call-overload]
    words += [f"{step.id}:{step.templates.get(trigger, {}).get(tone, '')}" for step in catalog.steps]  # type: ignore[call-overload]
    words += [f"{prompt.version}:{prompt.share}" for prompt in wording.prompts] if wording is not None else []
    return hashlib.blake2b("\x1f".join(words).encode(), digest_size=4).hexdigest()
