"""Dead letters in a topic of a real broker are read once each, and sent back to where they came from."""

from __future__ import annotations

from pathlib import Path

from flows.dead_letters import read_dead_letters, when_logged
from flows.job_input import JobInput
from flows.replay_letters import plan_replay, replayed, send_letters
from flows.settings import load_settings
from local.audit_log import AuditLog
from sinks.dead_letters.topic import DeadLetterTopicSink
from state.records.dead_letter import DeadLetter
from tests.support.tansu import Tansu, tansu_fixture

broker = tansu_fixture
NOW = 1_767_600_000_000


def test_letters_of_a_topic_go_back_to_their_partition(tmp_path: Path, broker: Tansu) -> None:
    topic, rejected = broker.new_topic(partitions=3), broker.new_topic(partitions=2)
    letters = [
        DeadLetter("not_json", "d", b"%d{" % number, topic, 2 - number, number, NOW + number, b"ann", (("x", b"\xff"), ("null", None)))
        for number in range(3)
    ]
    part = DeadLetterTopicSink({"bootstrap.servers": broker.brokers}, rejected).build_part("out", "0", None)
    part.write_batch([letters, letters[:1]])  # one of them twice, as after a crash
    part.snapshot()
    settings = load_settings(kafka_brokers=broker.brokers, kafka_topic=topic, kafka_dead_letter_topic=rejected, data_dir=tmp_path / "d")
    assert sorted(read_dead_letters(settings), key=when_logged) == letters
    log = AuditLog(tmp_path / "audit.jsonl", lambda: NOW)
    assert send_letters(plan_replay(letters, replayed(log), NOW), JobInput(settings), log, "eva") == 3
    found = sorted((message.partition(), message.value(), message.key(), message.headers()) for message in broker.read_all(topic))
    headers = [("x", b"\xff"), ("null", None), ("onramp-attempts", b"1")]
    assert found == [(2 - number, b"%d{" % number, b"ann", headers) for number in (2, 1, 0)]
    missing = settings.model_copy(update={"kafka_dead_letter_topic": "no-such-topic"})
    assert list(read_dead_letters(missing)) == [], "it comes with the first letter"
