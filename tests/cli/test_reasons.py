"""Every code for which a template was kept can be read as a sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llm import service
from llm.client import failures
from llm.guardrails import hygiene
from llm.guardrails import input_guardrails as intake
from llm.guardrails import output_guardrails as guardrails
from operators import async_map
from reports.reasons import why_template
from state.vocabulary import WORDING_REASONS


def _written_in(module: object, *patterns: str) -> set[str]:
    """Codes that stand in the source of ``module``: it gives them where they arise and has no list."""
    source = Path(str(vars(module)["__file__"])).read_text(encoding="utf-8")
    return {code for pattern in patterns for code in re.findall(pattern, source, re.MULTILINE)}


_INTAKE = _written_in(intake, r'CheckResult\("\w+", "(\w+)"')
_SERVICE = _written_in(service, r'reason="(\w+)"')
_CALLS = {async_map.TIMEOUT, async_map.SHED, async_map.DRAINED, *_written_in(async_map, r'CallEnded\(item, None, "(\w+)"\)')}
_CHECKS = _written_in(guardrails, r'return "(\w+)"$', r'"(\w+)" if ', r'else "(\w+)"$', r'_failed\("\w+", "(\w+)"\)')
_TEXT = _written_in(hygiene, r'return "(\w+)"$', r'return "(\w+)" if ')


def test_the_sources_are_understood() -> None:
    assert {"redaction_failed", "injection_suspected"} == _INTAKE
    assert {
        "approval_pending", "blocked", "cancelled", "catalog_changed", "expired", "internal", "needs_approval", "no_wording",
        "rejected_by_person",
    } == _SERVICE  # fmt: skip
    assert "cancelled" in _CALLS


def test_the_list_of_the_checks_is_whole() -> None:
    found = _CHECKS | {reason for reason in _TEXT if reason != "LATIN"}
    assert {"component", "digits", "off_topic", "secret", "unfinished", "low_confidence"} <= found
    assert found <= set(guardrails.REASONS)


_ALL = {*failures.REASONS, *guardrails.REASONS, *WORDING_REASONS, *_INTAKE, *_SERVICE, *_CALLS}


@pytest.mark.parametrize("reason", sorted({*_ALL, "error:ValueError"}))
def test_every_reason_has_words(reason: str) -> None:
    words = why_template(reason)
    assert " " in words
    assert words != reason
    assert (words[0].islower(), words[-1].isalpha()) == (True, True)


def test_the_document_lists_every_reason_and_no_other() -> None:
    text = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    tables = re.findall(r"(?m)^\| (?:check|reason) \|.*\n\|[-|]+\n((?:\|.*\n)+)", text)
    cells = [cell for table in tables for row in table.splitlines() for cell in row.split(" | ")]
    named = {code for cell in cells for code in re.findall(r"`([a-z]+(?:_[a-z]+)*)`", cell)}
    checks = {"grounding", "privacy", "hygiene", "confidence", "approval", "slot_value"}
    assert named - checks - {"rules", "languages", "insufficient_quota", "context_length_exceeded"} == _ALL


def test_an_unknown_reason_is_its_code() -> None:
    assert why_template("no_such_reason") == "no_such_reason"
