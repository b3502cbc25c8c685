"""Sends log lines to standard error, as text or as JSON."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from flows.failures import without_passwords
from flows.settings import Settings
from llm.trace_id import TRACE_ID

_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "on"})


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object a line: ``time``, ``level``, ``logger``, ``message``.

    ``traceId`` is that of the event that a model is asked about, where it had one; ``exception`` is there if there was one. Passwords in
    addresses are masked.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_passwords(record.getMessage()),
        }
        if trace := TRACE_ID.get():
            line["traceId"] = trace
        if record.exc_info:
            line["exception"] = without_passwords(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Render one record, passwords masked."""
        return without_passwords(super().format(record))


class _ErrorHandler(logging.StreamHandler[TextIO]):
    """Our own handler on standard error; a program around us may have others."""


def set_up_logging(settings: Settings) -> None:
    """Send log lines of the level of the settings to standard error. Standard output is for results only."""
    handler = _ErrorHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_json else _TextFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)


def logs_are_json() -> bool:
    """Whether log lines are JSON; before ``set_up_logging``, whether the environment asks for it."""
    ours = [handler for handler in logging.getLogger().handlers if isinstance(handler, _ErrorHandler)]
    if ours:
        return isinstance(ours[0].formatter, JsonFormatter)
    return os.environ.get("ONRAMP_LOG_JSON", "").strip().lower() in _TRUE


def send_logs_to(stream: TextIO) -> None:
    """Redirect our log lines to ``stream``, for a display that has taken over standard error."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _ErrorHandler):
            handler.setStream(stream)
