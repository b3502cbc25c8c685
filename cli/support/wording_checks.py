"""Checks of a catalog that need more than the catalog: its prompts, and the languages that guardrails know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flows.catalogs import BUILT_IN, built_in
from llm.guardrails.language import COMMON, looks_like
from llm.prompts import BUILT_IN as PROMPTS
from llm.prompts import PromptError, load_prompts
from state.catalog.parse import locate, near
from state.catalog.wording_schema import CLAIMS_LANGUAGES

if TYPE_CHECKING:
    from state.catalog.model import Catalog, WordingPolicy
    from state.catalog.parse import Fault
    from state.catalog.yaml_text import Location


def placed(file: str, found: Iterator[tuple[Location, str]]) -> list[Fault]:
    """Add to each finding the line of the catalog ``file`` that it is about."""
    path = BUILT_IN / f"{file}.yaml" if file in built_in() else Path(file)
    source = path.name if file in built_in() else str(path)
    return locate(path.read_text(encoding="utf-8"), source, found)


def prompt_faults(file: str, catalog: Catalog) -> Iterator[tuple[Location, str]]:
    """Yield the prompts that are missing or cannot be used: the job would not start with them."""
    if catalog.wording is None:
        return
    directories = [Path(file).parent / "prompts", PROMPTS]  # as flows.model_service.prompts_for has them
    there = sorted({path.stem for directory in directories for path in directory.glob("*.yaml")})
    for index, prompt in enumerate(catalog.wording.prompts):
        location = ("wording", "prompts", index, "version")
        if prompt.version not in there:
            named = near(prompt.version, there) or f"; there are {', '.join(there)}"
            yield location, f"there is no prompt {prompt.version!r}, neither in prompts/ beside the catalog nor built in{named}"
            continue
        try:
            load_prompts([prompt.version], directories)
        except PromptError as error:
            said = str(error).removesuffix(".")
            wrong = re.search(r": it must be one of (.*), not '(.*)'$", said)
            meant = near(wrong[2], wrong[1].split(", ")) if wrong else ""
            yield location, said[:1].lower() + said[1:] + meant


def language_warnings(catalog: Catalog) -> Iterator[tuple[Location, str]]:
    """Yield the languages that the guardrails cannot distinguish from others, so that a text in another one would pass, and those without
    fixed claims and number words, with whether their texts wait for an approval.
    """
    if catalog.wording is None:
        return
    for index, language in enumerate(catalog.wording.languages):
        if language not in COMMON and looks_like("abc", language):
            known = ", ".join(sorted(COMMON))
            said = f"{language!r} cannot be recognised: any text in Latin letters is accepted for it, and no other; recognised are {known}"
            yield ("wording", "languages", index), said
        if language not in CLAIMS_LANGUAGES:
            known = ", ".join(sorted(CLAIMS_LANGUAGES))
            said = (
                f"{language!r} has no fixed list of forbidden claims and number words: only those of other languages and the catalog's own"
                f" `forbidden` apply to it, so write there what no text may say; {known} have lists; "
            )
            yield ("wording", "languages", index), said + _shown(catalog.wording, language)


def _shown(policy: WordingPolicy, language: str) -> str:
    if policy.needs_approval(language):
        return "its texts wait until somebody approves them (`onramp review`)"
    return "its texts are shown without an approval, because `review_languages` leaves it out"
