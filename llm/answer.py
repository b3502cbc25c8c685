"""What travels between the parts of this room: the prompt, the model's completion, and the answer that the flow gets."""

from __future__ import annotations

import msgspec

from llm.proposal import Verdict


class Bounds(msgspec.Struct, frozen=True, gc=False):
    """What an answer may hold in the fields that are decided already: one component, link and language, and the ids of the step's facts.

    ``longest`` are the characters of the text that the catalog allows.
    """

    component: str
    link: str
    language: str
    facts: tuple[str, ...]
    longest: int


class Prompt(msgspec.Struct, frozen=True, gc=False):
    """What is sent to the model. For a shared wish it is a pure function of its cache key. ``bounds`` go into the strict schema."""

    version: str
    system: str
    user: str
    bounds: Bounds | None = None


class Completion(msgspec.Struct, frozen=True, gc=False):
    """What came back: JSON text, not yet believed. ``attempts`` counts requests on the wire, ``latency_ms`` all of them with the waits."""

    text: str
    model: str
    input_tokens: int
    output_tokens: int
    latency_ms: int
    attempts: int


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What became of a wish. ``reason`` is empty where ``text`` may replace the template, slots filled; else a reason code.

    ``source`` is ``call``, ``cache``, ``coalesced`` (another wish's call in flight answered) or empty where nothing was asked.
    ``cost_micros`` is in millionths of a dollar and, like the tokens, 0 where another call was paid. ``unfilled_hash`` and
    ``validation_hash`` are digests of the text before and after its slots were filled.
    """

    reason: str = ""
    text: str = ""
    confidence: float = 0.0
    source: str = ""
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micros: int = 0
    latency_ms: int = 0
    attempts: int = 0
    verdicts: tuple[Verdict, ...] = ()
    unfilled_hash: str = ""
    validation_hash: str = ""
