"""A Kafka broker that says no: it gives producers no id, or takes no message. Both end as errors that a real broker gives only with effort.

It speaks as much of the protocol as an idempotent producer needs, and has one topic with one partition.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import cast

from tests.support.waiting import join

CLUSTER_AUTHORIZATION_FAILED = 31
MESSAGE_TOO_LARGE = 10
INVALID_TIMESTAMP = 32
_PRODUCE, _METADATA, _API_VERSIONS, _PRODUCER_ID = 0, 3, 18, 22
_SPOKEN = (
    (_PRODUCE, 0, 3),
    (1, 0, 4),  # fetching: clients conclude from it which form of messages may be sent
    (_METADATA, 0, 1),
    (_API_VERSIONS, 0, 0),
    (_PRODUCER_ID, 0, 0),
)


@dataclass
class RefusingKafka:
    """``no_id`` and ``no_message`` are the failure knobs: the protocol's error codes, 0 for none."""

    port: int
    topic: str = "events"
    no_id: int = 0
    no_message: int = 0
    ids: int = 0

    @property
    def brokers(self) -> str:
        """The value for ``bootstrap.servers``."""
        return f"127.0.0.1:{self.port}"

    def answer(self, api: int, version: int) -> bytes:
        """Return the body of the answer to one request."""
        if api == _API_VERSIONS:
            error = 35 if version else 0  # 35: ask again with version 0
            return struct.pack(">hi", error, len(_SPOKEN)) + b"".join(struct.pack(">hhh", *each) for each in _SPOKEN)
        if api == _METADATA:
            broker = struct.pack(">ii", 1, 1) + _text("127.0.0.1") + struct.pack(">ih", self.port, -1)
            partition = struct.pack(">hiiiiii", 0, 0, 1, 1, 1, 1, 1)
            return broker + struct.pack(">iih", 1, 1, 0) + _text(self.topic) + b"\0" + struct.pack(">i", 1) + partition
        if api == _PRODUCER_ID:
            self.ids += 1
            return struct.pack(">ihqh", 0, self.no_id, -1 if self.no_id else 7, 0)
        assert api == _PRODUCE, api
        part = struct.pack(">iihqq", 1, 0, self.no_message, -1 if self.no_message else 0, -1)
        return struct.pack(">i", 1) + _text(self.topic) + part + struct.pack(">i", 0)


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


class _Connection(StreamRequestHandler):
    def handle(self) -> None:
        server = cast("_Server", self.server)
        with suppress(ConnectionError):
            while head := self.rfile.read(4):
                request = self.rfile.read(struct.unpack(">i", head)[0])
                api, version, correlation = struct.unpack_from(">hhi", request)
                body = struct.pack(">i", correlation) + server.kafka.answer(api, version)
                self.wfile.write(struct.pack(">i", len(body)) + body)


class _Server(ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.kafka = RefusingKafka(self.server_address[1])


@contextmanager
def run_refusing_kafka() -> Iterator[RefusingKafka]:
    """A broker for the block."""
    with _Server() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.kafka
        finally:
            server.shutdown()
            join(thread, "the end of the broker that says no")
