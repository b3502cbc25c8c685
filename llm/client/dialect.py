"""How requests are worded for one server: the output format, and the fields that not every server takes.

A request begins with what the settings say. What the server refuses is left out or worded otherwise from then on, one thing at a time.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

from llm.answer import Prompt
from llm.client.error_table import ErrorReport
from llm.client.response_format import FORMATS, Format, response_format, spelled_out

LimitField = Literal["max_tokens", "max_completion_tokens"]

_OTHER: Final[dict[LimitField, LimitField]] = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}

_KINDS: Final = re.compile(
    r"(?P<limit>max_(?:completion_)?tokens)|(?P<temperature>temperature)"
    r"|(?P<system>messages\.role|system.{0,3}role|role.{0,3}system|'system')"
    r"|(?P<format>response.?format|json.?schema|json.?object|structured.?output|guided.?json|grammar|additionalProperties|maxLength|maxItems)",
    re.IGNORECASE,
)


class Dialect(msgspec.Struct, frozen=True, gc=False):
    """What a server takes. ``limit`` is the field for the limit on output tokens; ``temperature`` None is left out.

    ``form`` counts from the strictest format. Without ``system`` both texts of the prompt are one message of the user.
    """

    form: int = 0
    limit: LimitField = "max_tokens"
    limit_fixed: bool = False
    temperature: float | None = None
    system: bool = True

    @property
    def format(self) -> Format:
        """The output format."""
        return FORMATS[self.form]

    def question(self, prompt: Prompt) -> str:
        """All text that is sent for ``prompt``."""
        return prompt.system + spelled_out(self.format) + prompt.user

    def body(self, model: str, prompt: Prompt, most_tokens: int, longest_text: int | None) -> dict[str, Any]:
        """The body of a request for ``prompt``."""
        system = prompt.system + spelled_out(self.format)
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt.user}]
        body: dict[str, Any] = {
            "model": model,
            "messages": messages if self.system else [{"role": "user", "content": f"{system}\n\n{prompt.user}"}],
            self.limit: most_tokens,
        }
        if self.temperature is not None:
            body["temperature"] = self.temperature
        shape = response_format(self.format, longest_text, prompt.bounds)
        return body if shape is None else body | {"response_format": shape}


class Downgrade(msgspec.Struct, frozen=True, gc=False):
    """A change of the dialect after a refusal: what the server refused, what is done about it, the setting that would save the attempt."""

    refused: str
    after: Dialect
    change: str


def without(dialect: Dialect, refusal: ErrorReport) -> Downgrade | None:
    """The next dialect after ``refusal``; None where the server refused something else, or nothing is left to change."""
    if refusal.status not in {400, 422} or refusal.fault.reason != "refused":
        return None
    named = refusal.fields
    for said in named if named and not named[0].startswith("messages") else (*named, refusal.words):
        found = _KINDS.search(said)
        downgrade = _downgrade(dialect, str(found.lastgroup)) if found else None
        if downgrade is not None:
            return downgrade
    return None


def _downgrade(dialect: Dialect, kind: str) -> Downgrade | None:
    replace = msgspec.structs.replace
    if kind == "format" and dialect.form + 1 < len(FORMATS):
        after = replace(dialect, form=dialect.form + 1)
        return Downgrade(f"{dialect.format} output", after, f"asking for {after.format}")
    if kind == "temperature" and dialect.temperature is not None:
        return Downgrade("temperature", replace(dialect, temperature=None), "leaving it out (ONRAMP_LLM_TEMPERATURE=none)")
    if kind == "limit" and not dialect.limit_fixed:
        after = replace(dialect, limit=_OTHER[dialect.limit], limit_fixed=True)
        return Downgrade(dialect.limit, after, f"sending {after.limit} (ONRAMP_LLM_OUTPUT_LIMIT_FIELD={after.limit})")
    if kind == "system" and dialect.system:
        return Downgrade("a system message", replace(dialect, system=False), "sending one message")
    return None
