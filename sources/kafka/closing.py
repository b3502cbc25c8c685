"""Closes consumers, also where no broker answers.

librdkafka's ``close`` waits until the last commit was answered. Without a broker that is 45 seconds for each consumer, or for ever
(https://github.com/confluentinc/librdkafka/issues/3740), and a job with many partitions would not end when it is asked to.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from confluent_kafka import Consumer

_LOG = logging.getLogger(__name__)
_TOGETHER_S: Final = 10.0
"""Kubernetes kills a pod after 30 seconds, unless told otherwise."""
_LEAST_S: Final = 0.2
"""A broker that is there answers in milliseconds."""


class ConsumerCloser:
    """Closes the consumers of one topic, one after another. Any thread may call it."""

    def __init__(self, topic: str, seconds: float = _TOGETHER_S) -> None:
        """``seconds``: how long all consumers together wait for answers. When they are over, each further one waits for 0.2 s."""
        self._topic = topic
        self._left = seconds

    def close(self, consumer: Consumer) -> None:
        """Close ``consumer``. Blocks until its last commit was answered, or the time is over. Then a thread goes on waiting.

        Without an answer Kafka may have an earlier offset than the process has stored itself, and the next run begins at the stored one.
        """
        closing = threading.Thread(target=consumer.close, name="kafka-close", daemon=True)
        began = time.monotonic()
        closing.start()
        closing.join(max(self._left, _LEAST_S))
        self._left -= time.monotonic() - began
        if closing.is_alive():
            _LOG.warning("%s: Kafka does not answer the last commit of a partition; this process ends without it", self._topic)
