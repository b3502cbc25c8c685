"""Prices of tokens. A dollar for a million tokens is a millionth of a dollar (a *micro*) for one token."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Prices(BaseModel):
    """Dollars for a million tokens. The defaults are 0, for a self-hosted model; the token budget still applies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_dollars: Annotated[float, Field(ge=0, le=10_000, description="Dollars for a million tokens that are sent.")] = 0.0
    output_dollars: Annotated[float, Field(ge=0, le=10_000, description="Dollars for a million tokens that come back.")] = 0.0

    def micros(self, input_tokens: int, output_tokens: int) -> int:
        """Cost in millionths of a dollar, rounded up so that a budget is never exceeded."""
        return math.ceil(round(input_tokens * self.input_dollars + output_tokens * self.output_dollars, 6))


def estimate_tokens(text: str) -> int:
    """Estimated tokens of ``text``, at least 1: four ASCII characters each, and one for any other character.

    For reservations, and where the server does not count.
    """
    plain = len(text.encode("ascii", "ignore"))
    return max(1, math.ceil(plain / 4) + len(text) - plain)
