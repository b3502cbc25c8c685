"""What a model is asked to answer with, and what became of the answer."""

from __future__ import annotations

from typing import Annotated

import msgspec
from pydantic import BaseModel, ConfigDict, Field


class Proposal(BaseModel):
    """The model's answer: a text with ``{slot}`` tokens, and what it rests on. The engine disposes: nothing of it is believed unchecked."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    text: Annotated[str, Field(description="the guidance, with slots like {firstName} left as they are")]
    facts: Annotated[list[str], Field(description="ids of the given facts that the text uses; empty where it uses none")]
    ui_component: Annotated[str, Field(alias="uiComponent", description="the component that was asked for")]
    deep_link: Annotated[str, Field(alias="deepLink", description="the link that was asked for")]
    language: Annotated[str, Field(description="language of the text, like en")]
    confidence: Annotated[float, Field(ge=0, le=1, description="how sure you are that the text is right and helpful, 0 to 1")]


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """One check on one text: ``reason`` is empty where it passed. ``detail`` is for people and never quotes what was found."""

    check: str
    reason: str = ""
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether the check passed."""
        return not self.reason
