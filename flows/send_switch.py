"""Sends a switch of guidance to where the job reads: the topic, the local event log, or the data directory for runs on files."""

from __future__ import annotations

import json
import logging
import uuid
from typing import Any, NamedTuple

from flows.bound_input import require_input
from flows.catalogs import CatalogFileError, without_catalog
from flows.inputs import COMMAND_SECONDS, kafka_cluster
from flows.settings import Settings
from local.data_dir import DataDir, DataDirError
from sources.files.switch_file import append_switch, read_switches
from sources.kafka.append import append_everywhere
from sources.local_log.log import EventLog
from state.catalog.parse import CatalogError
from state.decode import decode
from state.event import Event
from state.messages import Message
from state.records.dead_letter import DeadLetter
from state.times import rfc3339
from state.vocabulary import SWITCHED
from system.wall_clock import wall_clock

_LOG = logging.getLogger(__name__)


class SwitchError(Exception):
    """The job would reject the switch. The text is one sentence for the user."""


class SwitchSent(NamedTuple):
    """A switch that was stored. ``live``: a job that runs reads it at once; otherwise the next run on a file does."""

    event: Event
    where: str
    live: bool


def send_switch(settings: Settings, *, tenant: str, by: str, because: str, action: str, share: float | None = None) -> SwitchSent:
    """Send one switch, durably. ``share`` is that of a ``ramp``.

    Call ``require_receiver`` before. Raises ``SwitchError`` for what the job would reject, and ``DataDirError``, ``SourceError`` or
    ``LogError`` where it cannot be stored.
    """
    now = wall_clock()
    payload: dict[str, Any] = {"action": action, "because": because} | ({} if share is None else {"share": share})
    event = {
        "eventId": uuid.uuid4().hex,
        "tenantId": tenant,
        "userId": by,
        "eventType": SWITCHED,
        "timestamp": rfc3339(now),
        "payload": payload,
    }
    value = json.dumps(event).encode()
    found = _decoded(value, now)
    if isinstance(found, DeadLetter):
        raise SwitchError(f"the job would reject the switch: {found.detail}.")
    require_catalog(settings, tenant)
    if settings.kafka_brokers is not None:
        append_everywhere(kafka_cluster(settings, timeout_s=COMMAND_SECONDS), value, now)
        return SwitchSent(found, f"the topic {settings.kafka_topic}", live=True)
    if settings.event_log is not None:
        with EventLog(settings.event_log, retention=None) as log:
            log.append_everywhere(value)
        return SwitchSent(found, f"the event log {settings.event_log}", live=True)
    switches = DataDir.open(settings.data_dir).switches
    append_switch(switches, value)
    return SwitchSent(found, str(switches), live=False)


def require_receiver(settings: Settings) -> None:
    """Raise ``WrongInputError`` or ``DataDirError`` if no job would read a switch that is sent with these settings.

    Notes of a directory that are damaged do not hold up a switch for Kafka or the event log: a pause is for emergencies.
    """
    try:
        require_input(settings)
    except DataDirError as error:
        if not settings.live:
            raise
        _LOG.warning("Whether these are the settings of the job is not known: %s", error)
    if not settings.live:
        DataDir.open(settings.data_dir)


def require_catalog(settings: Settings, tenant: str) -> None:
    """Raise ``SwitchError`` if no catalog is for ``tenant``: the job takes no switch of it, and guides nobody there.

    With catalogs that cannot be read a switch is sent all the same, with a warning: the job may run with what they were, and a pause is
    for emergencies.
    """
    try:
        missing = without_catalog(settings.catalog, tenant)
    except (CatalogError, CatalogFileError) as error:
        first, *_ = str(error).splitlines()
        _LOG.warning("Whether the job has a catalog for the tenant %s is not known: %s", tenant, first)
        return
    if missing:
        raise SwitchError(f"{missing}: the job would reject the switch. Name the tenant with --tenant.")


def written_for_files(settings: Settings, tenant: str) -> list[Event]:
    """Return the switches of ``tenant`` that were written for runs on files, the oldest first."""
    now = wall_clock()
    found = [_decoded(value, now) for value in read_switches(DataDir(settings.data_dir).switches)]
    return [each for each in found if isinstance(each, Event) and each.tenant == tenant]


def _decoded(value: bytes, now: int) -> Event | DeadLetter:
    return decode(Message(value, None, "", 0, 0, now, now, 0))
