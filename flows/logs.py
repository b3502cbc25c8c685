"""Sends log lines to standard error, as text or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from flows.settings import Settings


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object a line: ``time``, ``level``, ``logger``, ``message``, and ``exception`` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _ErrorHandler(logging.StreamHandler[TextIO]):
    """Our own handler on standard error; a program around us may have others."""


def set_up_logging(settings: Settings) -> None:
    """Send log lines of the level of the settings to standard error. Standard output is for results only."""
    handler = _ErrorHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_json else logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)


def send_logs_to(stream: TextIO) -> None:
    """Redirect our log lines to ``stream``, for a display that has taken over standard error."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _ErrorHandler):
            handler.setStream(stream)
