"""Compares what the job of a data directory reads with the input of the settings, for commands beside the job.

A job notes in ``run.json`` what it reads. A command in a shell without the settings of the job would otherwise write where nobody reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from flows.settings import Settings
from local.data_dir import FILES, DataDir

EVENT_LOG: Final = "the event log"
_TOPIC: Final = "the topic "


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


def topic_of_job(settings: Settings) -> str | None:
    """Return the topic that the job of the data directory reads; None where it reads no Kafka, or none has run."""
    name = DataDir(settings.data_dir).input_name or ""
    return name.removeprefix(_TOPIC) if name.startswith(_TOPIC) else None


def input_fault(settings: Settings) -> InputFault | None:
    """Return why a command with these settings does not reach the live job of the data directory; None where it does, or there is none.

    Reads one small file. Raises ``DataDirError`` if that is damaged.
    """
    path = settings.data_dir
    bound = DataDir(path).input_name
    if bound is None or bound == FILES:
        return None
    if not settings.live:
        variable = "ONRAMP_EVENT_LOG" if bound == EVENT_LOG else "ONRAMP_KAFKA_BROKERS"
        return InputFault(
            f"The data directory {path} belongs to a live job, which reads {bound}, and {variable} is not set here",
            f"Set {variable}, and the other settings of the job, to what the job has",
        )
    if (named := input_name(settings, None)) != bound:
        return InputFault(
            f"The data directory {path} belongs to a live job, which reads {bound}, and the settings here name {named}",
            "Use the settings of that job, or name the directory of the other one with --data-dir",
        )
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
