"""Checks that a text is about its step, and not about the prompt or the product in general.

A text repeats the prompt if it has five words in a row in common with it that are not in the catalog as well. A text is on topic if it
holds ``{step}`` or refers to it, or has one content word in common with the step's title, facts and templates.
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
"""Words in a row that count as a repetition. Four may be chance."""

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_PLACE: Final = re.compile(r"\[\[\w*\]\]|\{\w+\}")
_POINTS: Final = re.compile(r"\b(?:this|the|that|your|next|first) step\b", re.IGNORECASE)
_ROOT: Final = 5  # first letters that related words share: invite, invitation

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
"""Words without content of their own."""


class Relevance:
    """Both checks for one catalog and its prompts. Compiled once; a check takes some ten microseconds."""

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

    def repeats_prompt(self, text: str) -> bool:
        """Whether ``text`` repeats a sentence of any of the prompts."""
        return not self._prompts.isdisjoint(_rows(text))

    def on_topic(self, text: str, step: str, trigger: str, arm: str) -> bool:
        """Whether ``text``, slots unfilled and in the catalog's language, is about ``step``; False for an unknown step."""
        if "{step}" in text or _POINTS.search(text):
            return True
        return not self._about(step, trigger, arm).isdisjoint(_roots(text))

    def _words_about(self, step: str, trigger: str, arm: str) -> frozenset[str]:
        known = self._plan.steps.get(step)
        if known is None:
            return frozenset()
        texts = [known.title, *known.facts.values(), *(text for tones in known.templates.values() for text in tones.values())]
        with contextlib.suppress(KeyError):  # an unknown arm has no template; the step's own texts remain
            texts.append(self._plan.template(trigger, step, arm))
        return frozenset(root for text in texts for root in _roots(text)) - self._name


def _orders(prompt: PromptTemplate) -> Iterator[str]:
    """The sentences of a prompt about the text. Those about the trigger are left out, because a text may use them."""
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
