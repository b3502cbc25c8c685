"""Whether a text is about its step, or about something else: the prompt that asked for it, or the product at large.

Both are decidable. A text parrots the prompt where it has five words in a row with the prompt's own sentences and the catalog does not say
them too. It is on its topic where it holds ``{step}`` or points to it, or has one content word with what the catalog says of the step: its
title, facts and templates, and the template that the text is to replace.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

from llm.guardrails.grounding import stem
from llm.prompts import PromptTemplate
from state.catalog.plan import Plan

ROW: Final = 5
"""Words in a row that are no chance. Four are: a good text may say "one or two sentences"."""

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_PLACE: Final = re.compile(r"\[\[\w*\]\]|\{\w+\}")
_POINTS: Final = re.compile(r"\b(?:this|the|that|your|next|first) step\b", re.IGNORECASE)
_ROOT: Final = 5  # letters that words of one family share, crudely: invite and invitation

_VAGUE: Final = frozenset(
    """
    a about above after again all also always an and any anything are as at away back be because been before begin being best
    better both but by can come could data day did do does doing done each easy else even ever every everything few find first
    follow for from full get give go going good great had happen has have he help her here hi his how i if in into is it its just
    keep kind know last later least less let like likely little long look lot made make making many may me more most much my need
    never new next no not nothing now of off often on once one only onto or other others our out over own part people person piece
    place platform please point possible product right same say see set she should simple since so software some something soon
    start still such sure take team than that the their them then there these they thing think this those through time to together
    too tool try under until up upon us use used user using usual very want was way we web welcome well were what when where
    whether which while who whole why will with without work working world would yet you your yours
    """.split()
)
"""Words that a text about anything may hold."""


class Relevance:
    """The two questions for one catalog and its prompts. Compiled once; some ten microseconds a question."""

    def __init__(self, plan: Plan, prompts: Mapping[str, PromptTemplate]) -> None:
        self._plan: Final = plan
        catalog = plan.catalog
        self._name: Final = frozenset(_roots(catalog.product))
        said = [text for tones in catalog.templates.values() for text in tones.values()]
        for step in catalog.steps:
            said += [step.title, *step.facts.values(), *(text for tones in step.templates.values() for text in tones.values())]
        ours = {row for text in said for row in _rows(text)}
        self._prompts: Final = frozenset(row for prompt in prompts.values() for text in _orders(prompt) for row in _rows(text)) - ours
        self._about: Final = lru_cache(maxsize=4_096)(self._words_about)

    def parrots(self, text: str) -> bool:
        """Say whether ``text`` repeats what a prompt orders, whichever: an answer may have been asked for with another version."""
        return not self._prompts.isdisjoint(_rows(text))

    def on_topic(self, text: str, step: str, trigger: str, arm: str) -> bool:
        """Say whether ``text``, slots unfilled and in the catalog's language, is about ``step``. Of an unknown step nothing is."""
        if "{step}" in text or _POINTS.search(text):
            return True
        return not self._about(step, trigger, arm).isdisjoint(_roots(text))

    def _words_about(self, step: str, trigger: str, arm: str) -> frozenset[str]:
        known = self._plan.steps.get(step)
        if known is None:
            return frozenset()
        texts = [known.title, *known.facts.values(), *(text for tones in known.templates.values() for text in tones.values())]
        with contextlib.suppress(KeyError):  # no such arm: what the catalog says of the step remains
            texts.append(self._plan.template(trigger, step, arm))
        return frozenset(root for text in texts for root in _roots(text)) - self._name


def _orders(prompt: PromptTemplate) -> Iterator[str]:
    """What a prompt says about the text. Not why the moment came: that, a text may say to the person."""
    words = prompt.words
    yield from (prompt.system, prompt.user, prompt.personal)
    yield from (*words.tones.values(), *words.components.values(), *words.situations.values())


def _rows(text: str) -> Iterator[tuple[str, ...]]:
    """Every ``ROW`` words of ``text`` that follow each other, over punctuation and line ends but not over what is filled in."""
    for part in _PLACE.split(text.lower().replace("’", "'")):
        words = _WORD.findall(part)
        yield from zip(*(words[start:] for start in range(ROW)), strict=False)


def _roots(text: str) -> set[str]:
    words: Iterable[str] = _WORD.findall(_PLACE.sub(" ", text.lower()))
    return {stem(word)[:_ROOT] for word in words if word not in _VAGUE}
