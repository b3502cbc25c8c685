"""Finds the job that a command without settings means: that of ``onramp up``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.settings import Settings


def settings_of_job(settings: Settings) -> Settings:
    """Return the settings with the event log and the directory of ``onramp up``, if its job is the one that the data directory has."""
    from cli.up import LIVE
    from local.data_dir import DataDir

    if settings.live:
        return settings
    own = DataDir(settings.data_dir)
    live = DataDir(own.path / LIVE)
    if own.event_log.exists():
        return settings.model_copy(update={"event_log": own.event_log})
    if settings.origin("data_dir") == "default" and live.event_log.exists() and not own.state.exists():
        return settings.model_copy(update={"event_log": live.event_log, "data_dir": live.path})
    return settings
