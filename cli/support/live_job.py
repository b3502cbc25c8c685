"""Finds the job of ``onramp up``, and the catalog of a job, for a command that is run without the settings of that job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from flows.settings import Settings
    from local.data_dir import DataDir

LIVE: Final = "live"
"""Its directory in the data directory, unless one is named."""


def has_live_job(directory: DataDir) -> bool:
    """Whether a live job has run in it, by its notes; before there are any, by its event log. Damaged notes count as those of one."""
    from local.data_dir import FILES, DataDirError

    try:
        name = directory.input_name
    except DataDirError:  # who compares the settings with the notes says so
        return True
    return directory.event_log.exists() if name is None else name != FILES


def live_dir(settings: Settings) -> DataDir | None:
    """Return its directory, if it has run in the default data directory and no other job has; else None."""
    from local.data_dir import DataDir

    own = DataDir(settings.data_dir)
    live = DataDir(own.path / LIVE)
    if settings.origin("data_dir") != "default" or not has_live_job(live):
        return None
    return None if own.state.exists() or own.started else live


def settings_of_job(settings: Settings) -> Settings:
    """Return the settings with the event log and directory of the job of ``onramp up``.

    They change if the data directory has its event log, or if ``live_dir`` finds one. An input that is set stays: then the directory is
    that of the job, unless the job reads another event log than the one that is set.
    """
    from flows.bound_input import own_log
    from local.data_dir import DataDir

    if not settings.live and (log := own_log(DataDir(settings.data_dir))) is not None:
        return settings.model_copy(update={"event_log": log})
    if (live := live_dir(settings)) is None or (settings.event_log is not None and not _may_read(live, settings.event_log)):
        return settings
    own = own_log(live) if not settings.live else None
    return settings.model_copy(update={"data_dir": live.path} | ({} if own is None else {"event_log": own}))


def _may_read(directory: DataDir, log: Path) -> bool:
    """Whether the job of the directory reads ``log``; where that is not noted, whether it has no other log of its own."""
    from contextlib import suppress

    from flows.bound_input import reads_log
    from local.data_dir import DataDirError

    with suppress(DataDirError):
        if (reads := reads_log(directory, log)) is not None:
            return reads
    return not directory.event_log.exists() or directory.event_log.resolve() == log.resolve()


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
    """``settings_to_send`` for a command that reads or erases everything about a user. Refuses a demo's directory."""
    from cli.support.demo_dir import refuse_demo

    settings = settings_to_send(data_dir)
    refuse_demo(settings)
    return settings


def settings_to_send(data_dir: Path | None) -> Settings:
    """The settings of the job, with its catalog, for a command that sends it something or says what was sent.

    Raises ``WrongInputError`` for a directory in which no job has run but that of ``onramp up`` below it, and ``DataDirError``.
    """
    from cli.support.options import load
    from flows.bound_input import WrongInputError
    from local.data_dir import DataDir

    settings = with_catalog_of_job(settings_of_job(load(data_dir=data_dir)))
    own = DataDir(settings.data_dir)
    live = DataDir(own.path / LIVE)
    if not settings.live and not own.state.exists() and has_live_job(live) and not own.was_used:
        raise WrongInputError(
            f"No job has run in {own.path} itself, and that of `onramp up` has its data in {live.path}: name that directory with "
            "--data-dir or ONRAMP_DATA_DIR."
        )
    return settings
