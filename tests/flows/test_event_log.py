"""The settings of the event log reach it."""

from __future__ import annotations

from flows.open_event_log import retention_of
from flows.settings import load_settings
from sources.local_log.retention import DEFAULT_RETENTION, Retention
from state.duration import DAY


def test_the_settings_say_how_long_and_how_much_the_log_keeps() -> None:
    assert retention_of(load_settings(event_log_max_days=2.5, event_log_max_mb=3)) == Retention(3 * 1024**2, 5 * DAY // 2)
    assert retention_of(load_settings()) == DEFAULT_RETENTION
