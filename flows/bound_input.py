"""Compares what the job of a data directory reads with the input of the settings, for commands beside the job.

A job notes in ``run.json`` what it reads. A command in a shell without the settings of the job would otherwise write where nobody reads.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from flows.settings import Settings
from local.data_dir import FILES, DataDir, DataDirError
from sources.errors import LogError
from sources.local_log.backlog import id_of

EVENT_LOG: Final = "the event log"
_TOPIC: Final = "the topic "
_OTHER_JOB: Final = "Use the settings of that job, or name the directory of the other one with --data-dir"


class WrongInputError(Exception):
    """The settings do not name the input of the job. The text is one sentence for the user."""


class InputFault(NamedTuple):
    """``says`` is what was found, ``advice`` what to do: each a sentence without its full stop."""

    says: str
    advice: str


def input_name(settings: Settings, path: Path | None) -> str:
    """What a job with these settings reads, for sentences. A data directory keeps positions in one of them: all files count as one."""
    if path is not None:
        return FILES
    return EVENT_LOG if settings.event_log is not None else f"{_TOPIC}{settings.kafka_topic}"


def input_of(settings: Settings) -> str:
    """The topic or the event log of the settings, which must have one, for sentences."""
    name = input_name(settings, None)
    return f"{name} {settings.event_log}" if name == EVENT_LOG else name


def topic_of_job(settings: Settings) -> str | None:
    """Return the topic that the job of the data directory reads; None where it reads no Kafka, or none has run."""
    name = DataDir(settings.data_dir).input_name or ""
    return name.removeprefix(_TOPIC) if name.startswith(_TOPIC) else None


def reads_log(directory: DataDir, log: Path) -> bool | None:
    """Return whether the job of ``directory`` reads the event log ``log``; None where no job has noted its log.

    A copy has the id of the log, so that the id counts only where nothing is left at the place of the job's log: it was moved, or that
    place has another name on this machine. Raises ``DataDirError`` for damaged notes.
    """
    if (noted := directory.noted_log) is None:
        return None
    path, log_id = noted
    return log.resolve() == path or (not path.exists() and _id_at(log) == log_id)


def own_log(directory: DataDir) -> Path | None:
    """Return the event log in ``directory``, if it exists and the job there may read it; damaged notes do not say that it does not."""
    log = directory.event_log
    if not log.exists():
        return None
    with suppress(DataDirError):
        if directory.input_name not in {None, EVENT_LOG} or reads_log(directory, log) is False:
            return None
    return log


def check_log(directory: DataDir, log: Path) -> None:
    """Raise ``DataDirError`` if the directory holds positions in another event log than ``log``. A copy of its log is the same log."""
    if directory.input_name != EVENT_LOG or (noted := directory.noted_log) is None:
        return
    path, log_id = noted
    if log.resolve() != path and _id_at(log) != log_id:
        raise DataDirError(
            f"The data directory {directory.path} was written from the event log {path}, this run reads {log}: set ONRAMP_EVENT_LOG to "
            "what the job has, or choose another directory with --data-dir."
        )


def note_log(directory: DataDir, log: Path, *, accept_gap: bool) -> None:
    """Note which log the job reads. The note stays where it names another one, unless ``accept_gap``: the source refuses such a log."""
    log_id, noted = id_of(log), directory.noted_log
    if noted is None or accept_gap or noted[1] == log_id:
        directory.note_log(log, log_id)


def _id_at(log: Path) -> str | None:
    """The id of the event log at ``log``; None where there is none that can be read."""
    try:
        return id_of(log) if log.is_dir() else None
    except LogError:
        return None


def input_fault(settings: Settings) -> InputFault | None:
    """Return why a command with these settings does not reach the live job of the data directory; None where it does, or there is none.

    Reads one small file, and the id of the event log if that may have been moved. Raises ``DataDirError`` if that is damaged.
    """
    path, directory = settings.data_dir, DataDir(settings.data_dir)
    bound = directory.input_name
    if bound is None or bound == FILES:
        return None
    noted = directory.noted_log if bound == EVENT_LOG else None
    live_job = f"The data directory {path} belongs to a live job, which reads {bound}{'' if noted is None else f' {noted[0]}'}"
    if not settings.live:
        variable = "ONRAMP_EVENT_LOG" if bound == EVENT_LOG else "ONRAMP_KAFKA_BROKERS"
        return InputFault(
            f"{live_job}, and {variable} is not set here",
            f"Set {variable}, and the other settings of the job, to what the job has",
        )
    if (named := input_name(settings, None)) != bound:
        return InputFault(f"{live_job}, and the settings here name {named}", _OTHER_JOB)
    if settings.event_log is not None and reads_log(directory, settings.event_log) is False:
        return InputFault(f"{live_job}, and the settings here name {settings.event_log}", _OTHER_JOB)
    return None


def require_input(settings: Settings) -> None:
    """Raise ``WrongInputError`` for what ``input_fault`` finds: call it before anything is sent to the job or said about it.

    Also for an event log that does not exist. Raises ``DataDirError`` as well.
    """
    if (fault := input_fault(settings)) is not None:
        raise WrongInputError(f"{fault.says}. {fault.advice}.")
    if settings.event_log is not None and not settings.event_log.exists():
        raise WrongInputError(
            f"There is no event log {settings.event_log}, so no job reads it; correct ONRAMP_EVENT_LOG, or start the gateway or the "
            "job first."
        )
