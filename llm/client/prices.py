"""What tokens cost. A dollar for a million tokens is a millionth of a dollar (a *micro*) for one: no unit is lost on the way."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Prices(BaseModel):
    """Dollars for a million tokens. The defaults are 0: a model of one's own costs nothing by the token; the token budget still holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_dollars: Annotated[float, Field(ge=0, le=10_000, description="Dollars for a million tokens that are sent.")] = 0.0
    output_dollars: Annotated[float, Field(ge=0, le=10_000, description="Dollars for a million tokens that come back.")] = 0.0

    def micros(self, input_tokens: int, output_tokens: int) -> int:
        """Cost in millionths of a dollar, rounded up: a budget may end early, never late."""
        return math.ceil(round(input_tokens * self.input_dollars + output_tokens * self.output_dollars, 6))


def estimate_tokens(text: str) -> int:
    """Tokens of ``text`` by rule of thumb, four characters each, at least 1: for reservations, and where a server does not say."""
    return max(1, math.ceil(len(text) / 4))
