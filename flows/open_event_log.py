"""Opens the event log of the settings for appending."""

from __future__ import annotations

from flows.settings import Settings
from sources.local_log.log import EventLog
from sources.local_log.retention import Retention
from state.duration import DAY


def retention_of(settings: Settings) -> Retention:
    """What the writers of the local event log keep."""
    return Retention(max_bytes=settings.event_log_max_mb * 1024**2, max_age_ms=round(settings.event_log_max_days * DAY))


def open_event_log(settings: Settings) -> EventLog:
    """Return the log at ``event_log``, which must be set, with its retention. Blocks while others write. Raises ``LogError``."""
    assert settings.event_log is not None, "the caller checks that the settings name an event log"
    return EventLog(settings.event_log, retention=retention_of(settings))
