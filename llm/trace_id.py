"""The trace id of the decision whose text is being asked for, for log lines: each request is a task with a context of its own."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

TRACE_ID: Final[ContextVar[str]] = ContextVar("trace_id", default="")
"""Empty where the message had no ``traceparent``, and outside of requests."""
