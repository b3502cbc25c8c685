"""The JSON object that a model is asked to answer with."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Proposal(BaseModel):
    """The model's answer: a text with ``{slot}`` tokens, and the facts that it uses. The guardrails check every field."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    text: Annotated[str, Field(description="the guidance, with slots like {firstName} left as they are")]
    facts: Annotated[list[str], Field(description="ids of the given facts that the text uses; empty where it uses none")]
    ui_component: Annotated[str, Field(alias="uiComponent", description="the component that was asked for")]
    deep_link: Annotated[str, Field(alias="deepLink", description="the link that was asked for")]
    language: Annotated[str, Field(description="language of the text, like en")]
    confidence: Annotated[float, Field(ge=0, le=1, description="how sure you are that the text is right and helpful, 0 to 1")]
