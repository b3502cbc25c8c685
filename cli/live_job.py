"""Finds the job of ``onramp up`` for a command that is run without the settings of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.settings import Settings


def settings_of_job(settings: Settings) -> Settings:
    """Return the settings with the event log and directory of the job of ``onramp up``.

    They change if the data directory has its event log; or if it is the default one, without own state, and the job's directory is in it.
    """
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
