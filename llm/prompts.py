"""The prompts: versioned files, and how one is rendered for a request.

A prompt is a YAML file that holds every word, so that its version identifies what was sent. Only ``[[names]]`` of a closed list are
replaced, once: inserted text is not searched for names again. The braces of ``{slots}`` stay as they are.

For a shared request the bytes depend only on the plan and on the parts of its ``cache_key`` (``state/decision/wording_request.py``): no
trait, note, identity or time is inserted. A person's own words go only into the ``personal`` part, between fences that they cannot forge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from llm.answer import Bounds, Prompt
from llm.guardrails.fence import CLOSING, OPENING
from state.catalog.model import Slug, Text
from state.catalog.plan import Plan
from state.catalog.yaml_text import YamlError, read
from state.decision.wording_request import WordingRequest
from state.value_complaint import complaint
from state.vocabulary import TONES, TRIGGERS, Tone, Trigger, UiComponent

BUILT_IN: Final = Path(__file__).resolve().parent.parent / "catalog" / "prompts"
"""The directory of the built-in prompts."""

ANSWER_FIELDS: Final = ("text", "facts", "uiComponent", "deepLink", "language", "confidence")
"""Fields of the JSON object that every prompt must ask for; see ``llm.client.proposal.Proposal``."""

SHARED_NAMES: Final = frozenset(
    "product description path step facts trigger tone component uiComponent deepLink language situation slots glossary example"
    " limit".split()
)
PERSONAL_NAMES: Final = frozenset({"traits", "notes"})
NEEDED_NAMES: Final = frozenset("product step trigger example facts slots uiComponent deepLink language limit".split())

SLOT_ROOM: Final = 40
"""Characters by which the limit in the prompt is stricter than the catalog's: a slot, once filled, may be longer than its token."""

_LONGEST: Final = 240  # where the catalog has no policy; no model is called then

LARGEST: Final = 20_000
"""Characters of a prompt file, at most."""

_NAME: Final = re.compile(r"\[\[(\w*)\]\]")
_COMPONENTS: Final[tuple[UiComponent, ...]] = ("tooltip", "modal", "sidebar_hint", "email_trigger")
_UNWRITABLE: Final = str.maketrans({"<": "‹", ">": "›"})


class PromptError(Exception):
    """A prompt cannot be used. The text is one sentence that names the file."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Words(_Model):
    """Sentences for the codes of the flow. Each code needs one."""

    triggers: dict[Trigger, Text]
    tones: dict[Tone, Text]
    components: dict[UiComponent, Text]
    situations: dict[Literal["first_visit", "returning"], Text]
    nothing: Annotated[Text, Field(description="stands where a list is empty")] = "none"

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        for name, given, wanted in (
            ("triggers", set(self.triggers), TRIGGERS),
            ("tones", set(self.tones), TONES),
            ("components", set(self.components), _COMPONENTS),
            ("situations", set(self.situations), ("first_visit", "returning")),
        ):
            if missing := [code for code in wanted if code not in given]:
                raise ValueError(f"words.{name} has no words for {', '.join(missing)}")
        return self


class PromptTemplate(_Model):
    """One version of the prompt. ``user`` may use the names in ``SHARED_NAMES``; ``personal`` is added for a personal request."""

    version: Slug
    purpose: Text
    system: Annotated[str, Field(min_length=1)]
    user: Annotated[str, Field(min_length=1)]
    personal: Annotated[str, Field(min_length=1)]
    words: Words

    @model_validator(mode="after")
    def _names_what_there_is(self) -> Self:
        _check_names("system", self.system, frozenset(), frozenset())
        _check_names("user", self.user, SHARED_NAMES, NEEDED_NAMES)
        _check_names("personal", self.personal, PERSONAL_NAMES, PERSONAL_NAMES)
        unasked = [field for field in ANSWER_FIELDS if not re.search(rf"\b{field}\b", _NAME.sub("", self.user))]
        if unasked:
            raise ValueError(f"user does not ask for the field {', '.join(unasked)}")
        if self.personal.count("[[notes]]") != 1 or any(fence not in self.personal for fence in (OPENING, CLOSING)):
            raise ValueError(f"personal must put [[notes]] once, and say that what stands between {OPENING} and {CLOSING} is data")
        return self


def _check_names(field: str, text: str, known: frozenset[str], needed: frozenset[str]) -> None:
    named = set(_NAME.findall(text))
    if strange := sorted(named - known):
        there = f"there are {', '.join(sorted(known))}" if known else "it takes none"
        raise ValueError(f"{field} names [[{strange[0]}]], and {there}")
    if missing := sorted(needed - named):
        raise ValueError(f"{field} does not name [[{missing[0]}]]")


def load_prompts(versions: Sequence[str], directories: Sequence[Path]) -> dict[str, PromptTemplate]:
    """Read ``<version>.yaml`` for each version, from the first directory that has it. Call it at start: it reads files.

    Raises ``PromptError`` for the first that is missing or unfit.
    """
    return {version: _load(version, directories) for version in versions}


def _load(version: str, directories: Sequence[Path]) -> PromptTemplate:
    path = next((path for directory in directories if (path := directory / f"{version}.yaml").is_file()), None)
    if path is None:
        where = " or ".join(map(str, directories)) or "no directory at all"
        raise PromptError(f"There is no prompt {version}: looked for {version}.yaml in {where}.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise PromptError(f"The prompt {path} is not UTF-8 text.") from None
    except OSError as error:
        raise PromptError(
            f"The prompt {path} cannot be read ({error.strerror or error}); check the name of the file and its rights."
        ) from None
    template = _parse(text, path)
    if template.version != version:
        raise PromptError(f"The prompt {path} says it is version {template.version}; it must be named like its version.")
    return template


def _parse(text: str, path: Path) -> PromptTemplate:
    if len(text) > LARGEST:
        raise PromptError(f"The prompt {path} is longer than {LARGEST} characters.")
    try:
        data, _, _, twice = read(text)
    except YamlError as error:
        raise PromptError(f"The prompt {path} is not valid YAML, line {error.line}: {error}.") from None
    if twice:
        raise PromptError(f"The prompt {path} cannot be used, line {twice[0][0]}: {twice[0][1]} appears twice.")
    if not isinstance(data, dict):
        raise PromptError(f"The prompt {path} is no mapping with version, purpose, system, user, personal and words.")
    try:
        return PromptTemplate.model_validate(data)
    except ValidationError as error:
        first, *others = error.errors(include_url=False)
        where = ".".join(str(part) for part in first["loc"] if part != "[key]")
        said = complaint(first)
        more = f", and {len(others)} more" if others else ""
        raise PromptError(f"The prompt {path} cannot be used: {f'{where}: ' if where else ''}{said}{more}.") from None


def render(template: PromptTemplate, plan: Plan, request: WordingRequest, traits: Mapping[str, str], notes: Sequence[str]) -> Prompt:
    """Fill in ``template`` for ``request``. Pure.

    ``traits`` and ``notes`` are those that the input guardrails allow, each note in its fence; only a personal request uses them.
    Raises ``KeyError`` for a place or an arm that ``plan`` does not have.
    """
    user = _fill(template.user, _shared(template, plan, request))
    if request.personal:
        nothing = template.words.nothing
        personal = {
            "traits": "\n".join(f"{_tame(name)}: {_tame(value)}" for name, value in sorted(traits.items())) or nothing,
            "notes": "\n".join(f"- {_tame(note)}" for note in notes) or nothing,
        }
        user = f"{user}\n\n{_fill(template.personal, personal)}"
    return Prompt(template.version, _fill(template.system, {}), user, _bounds(plan, request))


def _bounds(plan: Plan, request: WordingRequest) -> Bounds:
    """From the plan and the parts of the cache key, like the texts."""
    step, policy = plan.steps[request.record.step_id], plan.catalog.wording
    component = plan.component[request.record.arm]
    return Bounds(component, step.link, request.locale, tuple(step.facts), policy.longest if policy else _LONGEST)


def _shared(template: PromptTemplate, plan: Plan, request: WordingRequest) -> dict[str, str]:
    """The values of the names, from the plan and the parts of the cache key."""
    record, catalog, words = request.record, plan.catalog, template.words
    step, policy = plan.steps[record.step_id], plan.catalog.wording
    arm = next(arm for arm in catalog.arms if arm.id == record.arm)
    slots = {"step": f'the step, "{_line(step.title)}"', "product": f"the product, {_line(catalog.product)}"}
    slots |= {
        name: f'the person\'s {_line(slot.trait)}, or "{_line(slot.default)}" where it is not known' for name, slot in catalog.slots.items()
    }
    return {
        "product": _line(catalog.product),
        "description": _line(catalog.description),
        "path": _line(plan.paths[record.path_id].title),
        "step": _line(step.title),
        "facts": "\n".join(f"{name}: {_line(sentence)}" for name, sentence in step.facts.items()) or words.nothing,
        "trigger": words.triggers[cast("Trigger", record.trigger)],
        "tone": words.tones[arm.tone],
        "component": words.components[arm.component],
        "uiComponent": arm.component,
        "deepLink": step.link,
        "language": request.locale,
        "situation": words.situations[cast("Any", request.situation)],
        "slots": "\n".join(f"{{{name}}}: {meaning}" for name, meaning in slots.items()),
        "glossary": ", ".join(map(_line, policy.glossary if policy else [])) or words.nothing,
        "example": _line(plan.template(record.trigger, record.step_id, record.arm)),
        "limit": str(length_limit(policy.longest if policy else SLOT_ROOM)),
    }


def length_limit(longest: int) -> int:
    """The limit in the prompt, so that the text stays within ``longest`` once its slots are filled."""
    return max(SLOT_ROOM, longest - SLOT_ROOM)


def _fill(text: str, values: Mapping[str, str]) -> str:
    filled = _NAME.sub(lambda match: values[match[1]], text)
    return "\n".join(line.rstrip() for line in filled.strip().split("\n"))


def _line(text: str) -> str:
    return " ".join(text.split())


def _tame(text: str) -> str:
    """One line without marks."""
    return _line(text).translate(_UNWRITABLE)
