"""Texts by which the guardrails are measured, one JSON object a line beside this file.

They were written without sight of the checks. The catalogue they speak of is ``catalog/saas.yaml``. In the redaction files the heads of
invented keys are written as JSON escapes, so that a scanner of secrets does not take them for real ones; reading undoes it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TypeVar

import msgspec

_HERE = Path(__file__).parent
T = TypeVar("T")


class Redaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's text and what must be cut from it: ``spans`` of (start, end, kind) in code points, none where nothing may be cut.

    A span is the narrowest private part: of ``Bearer x`` and ``password=x`` the ``x``, of a URL with a user the password, of ``Anna's``
    the name. ``names`` are those the profile knows.
    """

    text: str
    spans: tuple[tuple[int, int, str], ...]
    names: tuple[str, ...]


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's text, and what kind of trick (or of harmless look-alike) it is."""

    text: str
    kind: str


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model answered, to the letter, and for which request; ``kind`` says what is wrong with it and is empty where nothing is."""

    raw: str
    step: str
    trigger: str
    arm: str
    slots: dict[str, str]
    done: tuple[str, ...]
    kind: str = ""


def redaction(half: str) -> tuple[Redaction, ...]:
    """Cases of one half: ``tuning`` may be looked at while the checks are written, ``heldback`` may only be counted."""
    return _read(f"redaction_{half}", Redaction)


def injections() -> tuple[Text, ...]:
    """Texts that try to give the model orders."""
    return _read("injections", Text)


def benign() -> tuple[Text, ...]:
    """Texts that only look like orders to a model."""
    return _read("benign", Text)


def hostile() -> tuple[Output, ...]:
    """Answers that must not reach a person as guidance."""
    return _read("hostile", Output)


def wrapped() -> tuple[Output, ...]:
    """Answers that keep the contract, in an envelope that nobody asked for."""
    return _read("wrapped", Output)


def good() -> tuple[Output, ...]:
    """Answers that keep the contract."""
    return _read("good", Output)


@cache
def _read(name: str, kind: type[T]) -> tuple[T, ...]:
    lines = (_HERE / f"{name}.jsonl").read_text(encoding="utf-8").split("\n")
    return tuple(msgspec.json.decode(line, type=kind) for line in lines if line)
