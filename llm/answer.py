"""The types that pass between the parts of this room: the prompt, the model's completion, its usage, and the answer that the flow gets."""

from __future__ import annotations

import msgspec

from llm.guardrails.check_result import CheckResult


class Bounds(msgspec.Struct, frozen=True, gc=False):
    """What the answer's decided fields must hold: the component, the link, the language and the ids of the step's facts.

    ``longest`` is the number of characters that the catalog allows for the text.
    """

    component: str
    link: str
    language: str
    facts: tuple[str, ...]
    longest: int


class Prompt(msgspec.Struct, frozen=True, gc=False):
    """What is sent to the model. For a shared request it is a pure function of the cache key. ``bounds`` go into the strict schema."""

    version: str
    system: str
    user: str
    bounds: Bounds | None = None


class Usage(msgspec.Struct, frozen=True, gc=False):
    """What a call of the model used. All zero where no call was made, or where another request is charged for it.

    ``attempts`` counts HTTP requests; ``latency_ms`` includes all of them and the waits between them; ``cost_micros`` is in millionths of a
    dollar. ``model`` is the name that the server gave, empty where it did not answer. ``estimated``: the server did not
    count all tokens.
    """

    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micros: int = 0
    latency_ms: int = 0
    attempts: int = 0
    estimated: bool = False


class Completion(msgspec.Struct, frozen=True, gc=False):
    """What the model wrote: JSON text that no check has seen yet."""

    text: str
    usage: Usage


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """What one call sent, and how it ended, where that is kept. ``answer`` is what the model wrote, None where it did not answer.

    ``model`` is the name under which the model was asked, ``called_ms`` Unix time. ``reason`` says why the answer was rejected or the call
    failed; ``refused_by`` names the check that rejected it, empty where a reviewer had rejected the same text before.
    """

    prompt: Prompt
    model: str
    called_ms: int
    answer: str | None = None
    refused_by: str = ""
    reason: str = ""

    @property
    def status(self) -> str:
        """``accepted``, ``rejected``, ``failed`` or ``cancelled``."""
        if self.answer is None:
            return "failed" if self.reason else "cancelled"
        return "rejected" if self.reason else "accepted"


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The result of a wording request. ``reason`` is empty where ``text`` may replace the template; else it is a reason code.

    The slots of ``text`` are filled, except inside the service, where one answer serves several people. ``source`` is ``call``, ``cache``,
    ``coalesced`` (another request's call answered) or empty where no model was asked. ``unfilled_hash`` and ``validation_hash`` are digests
    of the text before and after its slots were filled. ``exchange`` is set only where calls are kept, for the request that is charged.
    """

    reason: str = ""
    text: str = ""
    confidence: float = 0.0
    source: str = ""
    usage: Usage = Usage()
    checks: tuple[CheckResult, ...] = ()
    unfilled_hash: str = ""
    validation_hash: str = ""
    exchange: Exchange | None = None
