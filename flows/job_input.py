"""Sends messages to the input of the job: the topic, the local event log, or the data directory for runs on files."""

from __future__ import annotations

from collections.abc import Sequence

from flows.bound_input import require_input
from flows.inputs import COMMAND_SECONDS, kafka_cluster
from flows.settings import Settings
from local.data_dir import DataDir
from sources.files.sent_file import Sent, append_sent
from sources.kafka.append import append
from sources.local_log.log import EventLog, Record
from sources.local_log.source import NAME as LOCAL_LOG
from state.decode import peek_person


class JobInput:
    """The input of the job with ``settings``. ``live``: a running job reads at once; otherwise the next run on a file does.

    ``where`` names it for sentences.
    """

    def __init__(self, settings: Settings) -> None:
        """Connect to nothing yet. Raises what ``require_input`` raises."""
        require_input(settings)
        self._settings = settings
        self.live = settings.live
        if settings.kafka_brokers is not None:
            self.where, self.topic = f"the topic {settings.kafka_topic}", settings.kafka_topic
        elif settings.event_log is not None:
            self.where, self.topic = f"the event log {settings.event_log}", LOCAL_LOG
        else:
            self.where, self.topic = str(DataDir(settings.data_dir).sent), ""

    def send(self, messages: Sequence[Sent]) -> None:
        """Send messages, durably, in order. A message without a key gets that of its sender.

        Raises ``DataDirError`` or ``SourceError``. Some messages may be stored then; it does no harm to send them again.
        """
        settings, keyed = self._settings, [_with_key(each) for each in messages]
        if settings.kafka_brokers is not None:
            append(kafka_cluster(settings, timeout_s=COMMAND_SECONDS), keyed)
        elif settings.event_log is not None:
            with EventLog(settings.event_log, retention=None) as log:
                records = [Record(each.key or b"", each.value, _without_null(each)) for each in keyed]
                log.append(records)
        else:
            append_sent(DataDir.create(settings.data_dir).sent, keyed)


def _with_key(message: Sent) -> Sent:
    if message.key is not None:
        return message
    sender = peek_person(message.value)
    return message if sender is None else message._replace(key=sender[1].encode("utf-8", "surrogatepass"))


def _without_null(message: Sent) -> tuple[tuple[str, bytes], ...]:
    """The headers that have a value: the local log holds no others."""
    return tuple((name, value) for name, value in message.headers if value is not None)
