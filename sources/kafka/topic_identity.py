"""Tells whether what one partition fetches is of the topic that its position is in.

Kafka goes on at the old offset in a topic that was deleted and created again, without a word. So after each sign of that (a stall, new
metadata, an error) messages wait until the id of the topic was asked for again (``partition_watch.py``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sources.errors import UnknownTopicError
from sources.kafka.client import ErrorHandler

if TYPE_CHECKING:
    from sources.kafka.source import KafkaSource

_LOG = logging.getLogger(__name__)
_UNKNOWN_S: Final = 10.0
"""A client may not know a topic that was created again for so long."""


class TopicIdentity:
    """``id`` is that of the topic in which the partition has its position, empty if the brokers tell none. For one worker."""

    def __init__(self, source: KafkaSource, index: int, errors: ErrorHandler, known: str) -> None:
        """``known`` is the id in the snapshot, empty without one. Blocks and raises as ``KafkaSource.topic_id``."""
        self.id = source.topic_id or known
        self._source = source
        self._index = index
        self._errors = errors
        self._confirmed_from = 0.0  # no message is read unless the id was asked for since
        self._metadata_age = 0
        self._unknown_since = 0.0

    def doubt(self) -> None:
        """Let what comes now wait until the id was asked for again."""
        if self._source.watch is not None:
            self._confirmed_from = self._source.watch.ask_again()

    def saw_metadata(self, age: int) -> None:
        """The client's metadata of the topic is ``age`` ms old. Where it is new, the topic may be."""
        if age < self._metadata_age:
            self.doubt()
        self._metadata_age = age

    def is_in_doubt(self) -> bool:
        """Return whether messages must wait. Raises ``BrokerError`` if the broker refuses to tell the id."""
        watch = self._source.watch
        if watch is None or watch.confirmed_at >= self._confirmed_from:
            return False
        watch.raise_if_refused()  # while nothing is fetched, the partition's consumer does not hear of it
        return True

    def has_changed(self) -> bool:
        """Return whether the topic is another one now, which is accepted. Raises ``OffsetGapError`` where it is not."""
        return self._source.topic_id != self.id and self._source.is_in_another_topic(self.id)

    def begin_in_another(self, before: str, low: int) -> None:
        """The partition goes on at ``low``, the earliest message of a topic that is another one than ``before``."""
        self.id, self._unknown_since = self._source.topic_id, 0.0
        another = "%s[%d] is of another topic than before (%s, now %s). Continuing at %d."
        _LOG.warning(another, self._source.cluster.topic, self._index, before, self.id, low)

    def earliest_of_new(self, earliest: Callable[[], int]) -> int | None:
        """Return what ``earliest`` returns of a topic that was just created again; None while the client does not know it.

        Its id was told, so it is there; but brokers and the client may go by what they knew of the old one for a moment. After
        ``_UNKNOWN_S`` it raises ``UnknownTopicError``.
        """
        try:
            return earliest()
        except UnknownTopicError:
            now = time.monotonic()
            self._unknown_since = self._unknown_since or now
            if now - self._unknown_since > _UNKNOWN_S:
                raise
            self._errors.forget_refusal()
            return None
