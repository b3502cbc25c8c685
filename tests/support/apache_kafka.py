"""A real Apache Kafka on loopback ports, from its published jars in ``.kafka/libs``. ``scripts/real_kafka.sh`` fetches them.

One broker, which is its own controller. It listens in plain text (the superuser), with SASL_SSL and SCRAM, and with TLS and client
certificates; a last listener shows a certificate that has expired. Its authorizer lets nobody but the superuser do what no ACL allows.
As by Kafka's own default, it creates a topic that a client asks for, unless the client says that it must not.
"""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from local.child_process import start_bound_process
from tests.support.certificates import Authority, Certificate, make_authority
from tests.support.ports import port_of, reserve
from tests.support.waiting import PATIENCE, stop, wait_until

LIBS = Path(__file__).parents[2] / ".kafka" / "libs"
START_WITHIN = 120.0  # seconds; ten on an idle machine
USER, PASSWORD = "onramp", "correct-horse-battery"
_JAVA = ("java", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{LIBS}/*")
_TOOL = ("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")

_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAIN://127.0.0.1:{plain},SCRAM://127.0.0.1:{scram},MTLS://127.0.0.1:{mtls},OLD://127.0.0.1:{old},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAIN://127.0.0.1:{plain},SCRAM://127.0.0.1:{scram},MTLS://127.0.0.1:{mtls},OLD://127.0.0.1:{old}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAIN:PLAINTEXT,SCRAM:SASL_SSL,MTLS:SSL,OLD:SSL
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.scram.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={server}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.mtls.ssl.client.auth=required
listener.name.old.ssl.keystore.location={expired}
log.dirs={logs}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=true
num.io.threads=2
num.network.threads=2
log.cleaner.enable=false
log.initial.task.delay.ms=500
log.retention.check.interval.ms=500
"""


@dataclass
class ApacheKafka:
    """A broker. ``kill`` and ``start`` are the failure knobs: a restart keeps ports, topics and messages."""

    directory: Path
    authority: Authority
    ports: dict[str, int]
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def brokers(self) -> str:
        """The address for the superuser, without TLS."""
        return self.address("plain")

    def address(self, listener: str) -> str:
        """The address of the listener ``plain``, ``scram``, ``mtls`` or ``old``."""
        return f"127.0.0.1:{self.ports[listener]}"

    def format(self) -> None:
        """Write the configuration and the empty log directory, with the user ``USER``."""
        server, expired = self.authority.sign("server"), self.authority.sign("expired", expired=True)
        for each in (server, expired):
            _keystore(each)
        names = {"server": _keystore(server), "expired": _keystore(expired), "authority": self.authority.file}
        text = _PROPERTIES.format(**self.ports, **names, logs=self.directory / "logs")
        (self.directory / "server.properties").write_text(text)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes)[:22].decode()
        scram = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        self.tool("kafka.tools.StorageTool", "format", "-t", cluster, "-c", self.directory / "server.properties", "--add-scram", scram)

    def start(self) -> None:
        """Start the broker and block until it answers, also as coordinator of groups. Raises ``AssertionError`` if it does not."""
        with (self.directory / "broker.log").open("ab") as log:
            command = ["/usr/bin/env", *_JAVA, "kafka.Kafka", str(self.directory / "server.properties")]
            self.process = start_bound_process(command, cwd=self.directory, output=log.fileno())
        try:
            wait_until(self._answers, f"Kafka at {self.brokers}", within=START_WITHIN, every=0.2, process=self.process)
            wait_until(self._coordinates, "the coordinator of groups", within=START_WITHIN, every=0.2, process=self.process)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{(self.directory / 'broker.log').read_text()[-4000:]}") from None

    def kill(self) -> None:
        """Kill the broker with SIGKILL."""
        if self.process is not None:
            stop(self.process)
            self.process = None

    def tool(self, name: str, *words: object) -> str:
        """Run one of Kafka's own tools and return its output."""
        command = [*_TOOL, "-cp", f"{LIBS}/*", name, *map(str, words)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE, cwd=self.directory)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        return done.stdout

    def group_lag(self, group: str) -> dict[int, int]:
        """The lag by partition as ``kafka-consumer-groups`` shows it; -1 where nothing was committed."""
        words = ("--bootstrap-server", self.brokers, "--describe", "--group", group)
        shown = self.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", *words)
        lines = [line.split() for line in shown.splitlines() if line.strip()]
        head = next(line for line in lines if line[0] == "GROUP")
        partition, lag = head.index("PARTITION"), head.index("LAG")
        return {int(line[partition]): int(line[lag]) if line[lag] != "-" else -1 for line in lines if line[0] == group}

    def admin(self) -> AdminClient:
        """A client of the superuser."""
        return AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})

    def new_topic(self, partitions: int = 1, *, name: str = "", **config: str) -> str:
        """Create a topic, by default with a name no other test has, and return the name. Options of the topic have _ for each dot.

        Messages stay however old they are: tests write events of the past, which the default retention would delete at once.
        """
        topic = name or f"test-{uuid.uuid4().hex}"
        options = {"retention.ms": "-1", **{name.replace("_", "."): value for name, value in config.items()}}
        admin = self.admin()
        for future in admin.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=1, config=options)]).values():
            future.result(timeout=PATIENCE)
        return topic

    def create_again(self, topic: str, partitions: int = 1) -> None:
        """Delete ``topic`` with all that is in it, and create another one of the same name."""
        admin = self.admin()
        for future in admin.delete_topics([topic]).values():
            future.result(timeout=PATIENCE)

        def created() -> bool:
            (future,) = admin.create_topics([NewTopic(topic, partitions, 1, config={"retention.ms": "-1"})]).values()
            try:
                future.result(timeout=PATIENCE)
            except KafkaException:  # the old one is not quite gone
                return False
            return True

        wait_until(created, f"another topic {topic}", every=0.1)

    def grow(self, topic: str, partitions: int) -> None:
        """Add partitions to ``topic``, up to so many."""
        admin = self.admin()
        for future in admin.create_partitions([NewPartitions(topic, partitions)]).values():
            future.result(timeout=PATIENCE)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.ports["plain"])) != 0:
                return False
        return bool(self.admin().list_topics(timeout=5).brokers)

    def _coordinates(self) -> bool:
        """Whether it knows offsets of groups. Until then a job that starts is told that this is not the coordinator, and logs a warning."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": "no-group", "log_level": 0})
        try:
            (place,) = consumer.committed([TopicPartition("no-topic", 0)], timeout=5)
        except KafkaException:
            return False
        finally:
            consumer.close()
        return place.error is None


@contextmanager
def run_apache_kafka(directory: Path) -> Iterator[ApacheKafka]:
    """A broker that lives as long as the block, and no longer than this process. It makes ``directory`` where it is not there.

    Call it from the main thread. May skip the test.
    """
    if shutil.which("java") is None:
        pytest.skip("there is no java on the PATH; a real Apache Kafka needs Java 17 or newer")
    if not list(LIBS.glob("kafka_*.jar")):
        pytest.skip(f"Kafka's jars are not in {LIBS}; `make real-kafka` fetches them with Maven")
    (directory / "ca").mkdir(parents=True)
    with ExitStack() as held:
        ports = {name: port_of(held.enter_context(reserve())) for name in ("plain", "scram", "mtls", "old", "controller")}
        kafka = ApacheKafka(directory, make_authority(directory / "ca"), ports)
        kafka.format()
        try:
            kafka.start()
            yield kafka
        finally:
            kafka.kill()


def _keystore(made: Certificate) -> Path:
    """One file with key and certificate, as Kafka wants it."""
    store = made.certificate.with_suffix(".store.pem")
    store.write_text(made.key.read_text() + made.certificate.read_text())
    return store
