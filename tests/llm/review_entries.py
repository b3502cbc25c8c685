"""Texts that wait for a review."""

from __future__ import annotations

from llm.review_queue import ReviewEntry


def entry(text: str = "Take {step} next.", key: str = "0" * 32, created_ms: int = 1_000_000, owner: str = "") -> ReviewEntry:
    return ReviewEntry(
        key, "personal" if owner else "shared", text, 0.55, "nudge-1", "connect_source", "signup", "moderate_tooltip", "small", created_ms,
        "low_confidence", owner,
    )  # fmt: skip
