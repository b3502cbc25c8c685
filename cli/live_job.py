"""Finds the job of ``onramp up``, and the catalog of a job, for a command that is run without the settings of that job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from flows.settings import Settings
    from local.data_dir import DataDir

LIVE: Final = "live"
"""Its directory in the data directory, unless one is named."""


def live_dir(settings: Settings) -> DataDir | None:
    """Return its directory, if it has run in the default data directory and no other job has; else None."""
    from local.data_dir import DataDir

    own = DataDir(settings.data_dir)
    live = DataDir(own.path / LIVE)
    return live if settings.origin("data_dir") == "default" and live.event_log.exists() and not own.state.exists() else None


def settings_of_job(settings: Settings) -> Settings:
    """Return the settings with the event log and directory of the job of ``onramp up``.

    They change if the data directory has its event log, or if ``live_dir`` finds one.
    """
    from local.data_dir import DataDir

    if settings.live:
        return settings
    own = DataDir(settings.data_dir)
    if own.event_log.exists():
        return settings.model_copy(update={"event_log": own.event_log})
    if (live := live_dir(settings)) is not None:
        return settings.model_copy(update={"event_log": live.event_log, "data_dir": live.path})
    return settings


def with_catalog_of_job(settings: Settings) -> Settings:
    """Return the settings with the catalog that the last job of their data directory read, if none was named and it is still there."""
    from contextlib import suppress
    from pathlib import Path

    from flows.catalogs import built_in
    from local.data_dir import DataDir, DataDirError

    if settings.origin("catalog") == "default":
        with suppress(DataDirError):  # a directory whose notes are damaged says none; a pause of guidance must not fail by that
            name = DataDir(settings.data_dir).catalog_name
            if name is not None and (name in built_in() or Path(name).exists()):
                return settings.model_copy(update={"catalog": name})
    return settings


def settings_for_user_data(data_dir: Path | None) -> Settings:
    """The settings of the job, with its catalog, for a command that reads or erases everything about a user. Refuses a demo's directory."""
    from cli.demo_dir import refuse_demo
    from cli.options import load

    settings = with_catalog_of_job(settings_of_job(load(data_dir=data_dir)))
    refuse_demo(settings)
    return settings
