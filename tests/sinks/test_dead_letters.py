"""Dead letters in a file and in a topic of a real broker: all of them, with all of their bytes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, run_main
from confluent_kafka import KafkaError, Message, Producer
from hypothesis import given
from hypothesis import strategies as st

from sinks.dead_letters.file import DeadLetterFile, DeadLetterFileError, DeadLetterFileSink
from sinks.dead_letters.topic import DeadLetterTopic, DeadLetterTopicError, DeadLetterTopicSink, letter_of
from sources.kafka.error_codes import advice_for
from sources.kafka.record import key_and_headers, value_of
from state.records.dead_letter import DeadLetter, decode_line, encode_line
from tests.support.tansu import Tansu, run_tansu, tansu_fixture

broker = tansu_fixture

LOG_TIME = 1_795_312_717_324


def letter(offset: int, raw: bytes = b"{", **changes: object) -> DeadLetter:
    fields = {"reason": "not_json", "detail": "it ends early", "topic": "onboarding.events", "partition": 2, "log_time": LOG_TIME}
    return DeadLetter(raw=raw, offset=offset, **{**fields, **changes})  # type: ignore[arg-type]


NASTY = [
    letter(0, b""),
    letter(1, b"\xff\xfe\x00not utf-8"),
    letter(2, "two\nlines \u2028 and a NUL \x00 🦊".encode()),
    letter(3, b'{"eventId": 1}', key=b"user", headers=(("traceparent", b"00-1"), ("empty", b""), ("null", None), ("binary", b"\xff"))),
    letter(4, b"x", key=b"\xff\x00", detail='quotes " and \\ and 🦊'),
    letter(5, b"\xed\xa0\x80 a surrogate"),
    letter(6, b"y" * 900_000),
    letter(7, attempts=3, log_time=-1),
]


Part = DeadLetterFile | DeadLetterTopic
Store = tuple[Callable[[], Part], Callable[[], list[DeadLetter]]]


def in_file(path: Path) -> list[DeadLetter]:
    return [decode_line(line) for line in path.read_bytes().splitlines(keepends=True)]


def from_message(message: Message) -> DeadLetter:
    """What a replay makes of a message of the topic."""
    return letter_of(value_of(message)[0], *key_and_headers(message, lambda *_: None))


@pytest.fixture(params=["file", "topic"])
def store(request: pytest.FixtureRequest, tmp_path: Path, broker: Tansu) -> Store:
    """A way to open the store, and a way to read all of it."""
    if request.param == "file":
        path = tmp_path / "dead_letters.jsonl"
        return lambda: DeadLetterFileSink(path).build_part("out", "file", None), lambda: in_file(path)
    topic = broker.new_topic(partitions=1)
    sink = DeadLetterTopicSink({"bootstrap.servers": broker.brokers}, topic)
    return lambda: sink.build_part("out", "0", None), lambda: [from_message(message) for message in broker.read_all(topic)]


class TestEveryStore:
    def test_after_a_snapshot_every_letter_is_there_as_it_was(self, store: Store) -> None:
        build, read = store
        part = build()
        part.write_batch([NASTY[:3], [], NASTY[3:]])
        part.snapshot()
        assert read() == NASTY
        part.close()

    def test_many_letters_at_once(self, store: Store) -> None:
        build, read = store
        part = build()
        letters = [letter(number, b"%d" % number) for number in range(5000)]
        part.write_batch([letters[:2500], letters[2500:]])
        part.snapshot()
        assert sorted(read(), key=lambda read_back: read_back.offset) == letters

    def test_an_epoch_without_letters_is_fine(self, store: Store) -> None:
        build, read = store
        part = build()
        part.snapshot()
        part.close()
        assert read() == []


class TestLine:
    @given(
        raw=st.binary(max_size=50),
        key=st.none() | st.binary(max_size=10),
        headers=st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3).map(tuple),
        detail=st.text(max_size=10),
        log_time=st.integers(-1, 253_402_300_799_999),
    )
    def test_nothing_is_lost(
        self, raw: bytes, key: bytes | None, headers: tuple[tuple[str, bytes | None], ...], detail: str, log_time: int
    ) -> None:
        original = DeadLetter("reason", detail, raw, "topic", 0, 1, log_time, key, headers)
        line = encode_line(original)
        assert line.count(b"\n") == 1
        assert decode_line(line) == original

    def test_it_reads_well(self) -> None:
        assert json.loads(encode_line(letter(7, b"{oops"))) == {
            "reason": "not_json",
            "detail": "it ends early",
            "topic": "onboarding.events",
            "partition": 2,
            "offset": 7,
            "logTime": "2026-11-22T01:58:37.324Z",
            "attempts": 1,
            "raw": "{oops",
        }

    def test_bytes_that_are_no_text_are_base64(self) -> None:
        line = json.loads(encode_line(letter(7, b"\xff")))
        assert "raw" not in line
        assert base64.b64decode(line["rawBase64"]) == b"\xff"

    @pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"nonsense", b'{"reason":"r","raw":"x"}', b'{"rawBase64":"?"}', b'{"raw":1}'])
    def test_anything_else_is_refused(self, line: bytes) -> None:
        with pytest.raises(ValueError, match="not a dead letter"):
            decode_line(line)


class TestFile:
    def test_what_came_after_the_last_snapshot_is_cut_off(self, tmp_path: Path) -> None:
        path = tmp_path / "dead_letters.jsonl"
        part = DeadLetterFile(path, None)
        part.write_batch([[letter(1)]])
        position = part.snapshot()
        part.write_batch([[letter(2, b"much longer than the other")]])
        part.snapshot()  # on the disk, but the epoch never became durable
        part.close()
        resumed = DeadLetterFile(path, position)
        resumed.write_batch([[letter(3)]])
        resumed.snapshot()
        resumed.close()
        assert in_file(path) == [letter(1), letter(3)]

    def test_a_file_that_somebody_emptied_is_gone_on_with(self, tmp_path: Path) -> None:
        path = tmp_path / "dead_letters.jsonl"
        part = DeadLetterFile(path, 10_000)
        part.write_batch([[letter(1)]])
        assert part.snapshot() == path.stat().st_size
        part.close()
        assert in_file(path) == [letter(1)]

    def test_only_its_owner_may_read_it(self, tmp_path: Path) -> None:
        path = tmp_path / "dead_letters.jsonl"
        DeadLetterFile(path, None).close()
        assert path.stat().st_mode & 0o077 == 0

    def test_a_place_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DeadLetterFileError, match=r"missing/dead_letters\.jsonl.*free disk space or correct the permissions"):
            DeadLetterFile(tmp_path / "missing" / "dead_letters.jsonl", None)

    def test_with_an_abort_at_every_place_each_letter_stands_there_once(self, tmp_path: Path) -> None:
        letters = [letter(number) for number in range(5)]
        for place in range(len(letters) + 1):
            directory = tmp_path / str(place)
            directory.mkdir()
            items: list[object] = [("all", [each]) for each in letters]
            items.insert(place, TestingSource.ABORT())
            flow = Dataflow("dead_letters")
            stream = op.input("in", flow, TestingSource(items))
            op.output("out", stream, DeadLetterFileSink(directory / "dead_letters.jsonl"))  # type: ignore[misc]
            init_db_dir(directory, 1)  # type: ignore[no-untyped-call]
            for _run in range(2):
                run_main(flow, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(str(directory)))  # type: ignore[no-untyped-call]
            assert in_file(directory / "dead_letters.jsonl") == letters


class TestTopic:
    def test_somebody_elses_headers_under_our_names_do_not_mislead(self, broker: Tansu) -> None:
        topic = broker.new_topic()
        part = DeadLetterTopicSink({"bootstrap.servers": broker.brokers}, topic).build_part("out", "0", None)
        part.write_batch([[letter(1, headers=(("onramp-offset", b"999"), ("kept", b"1")))]])
        part.snapshot()
        (message,) = broker.read_all(topic)
        assert from_message(message) == letter(1, headers=(("kept", b"1"),))

    def test_a_broker_that_is_away_is_an_error_and_not_a_loss(self, dying_broker: Tansu) -> None:
        topic = dying_broker.new_topic()
        dying_broker.kill()
        sink = DeadLetterTopicSink({"bootstrap.servers": dying_broker.brokers, "log_level": 0}, topic, give_up_seconds=0.3)
        part = sink.build_part("out", "0", None)
        part.write_batch([[letter(2)]])
        with pytest.raises(DeadLetterTopicError, match=r"did not accept all letters .*resumes by itself") as caught:
            part.snapshot()
        assert "\n" not in str(caught.value)

    def test_a_broker_that_comes_back_in_time_gets_every_letter(self, dying_broker: Tansu) -> None:
        topic = dying_broker.new_topic()
        returns = False

        def bring_back() -> bool:
            nonlocal returns
            if not returns:
                returns = True
                dying_broker.start()  # its memory is gone, the topic with it
                dying_broker.create_topic(topic)
            return False

        config = {"bootstrap.servers": dying_broker.brokers, "log_level": 0, "reconnect.backoff.max.ms": 100}
        part = DeadLetterTopicSink(config, topic, stopping=bring_back).build_part("out", "0", None)
        dying_broker.kill()
        part.write_batch([[letter(1), letter(2)]])
        part.snapshot()
        assert [from_message(message) for message in dying_broker.read_all(topic)] == [letter(1), letter(2)]

    def test_a_job_that_is_asked_to_stop_does_not_wait_for_the_broker(self, dying_broker: Tansu) -> None:
        topic = dying_broker.new_topic()
        config = {"bootstrap.servers": dying_broker.brokers, "log_level": 0}
        part = DeadLetterTopicSink(config, topic, give_up_seconds=300, stopping=lambda: True).build_part("out", "0", None)
        dying_broker.kill()
        part.write_batch([[letter(1)]])
        with pytest.raises(DeadLetterTopicError, match="was not acknowledged"):
            part.snapshot()

    def test_a_failed_delivery_ends_the_epoch(self) -> None:
        error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
        part = DeadLetterTopic(FailingProducer(error), "dlq", 1.0, advise=advice_for)
        part.write_batch([[letter(1)]])
        with pytest.raises(DeadLetterTopicError, match=r"1 letter failed.*to write the topic ONRAMP_KAFKA_DEAD_LETTER_TOPIC and restart"):
            part.snapshot()

    @pytest.mark.parametrize("code", [KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_MSG_SIZE])
    def test_headers_and_a_key_too_large_for_the_topic_end_nothing(self, code: int) -> None:
        producer = FailingProducer(KafkaError(code), limit=100_000)
        part = DeadLetterTopic(producer, "dlq", 1.0)
        part.write_batch([[letter(1, b"small", headers=(("big", b"h" * 200_000),)), letter(2, key=b"k" * 200_000), letter(3)]])
        part.snapshot()
        places = [dict(headers)["onramp-offset"] for _value, headers in producer.accepted]
        assert places == [b"3", b"1", b"2"]
        assert "big" not in dict(producer.accepted[1][1])

    def test_a_value_too_large_for_the_topic_is_shortened_and_says_so(self) -> None:
        producer = FailingProducer(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), limit=100_000)
        part = DeadLetterTopic(producer, "dlq", 1.0)
        part.write_batch([[letter(1, b"z" * 200_000), letter(2)]])
        part.snapshot()
        assert [len(value) for value, _headers in producer.accepted] == [1, 65_536]
        assert ("onramp-shortened-from-bytes", b"200000") in producer.accepted[1][1]
        value, headers = producer.accepted[1]
        assert letter_of(value, None, tuple(headers)) == letter(1, b"z" * 65_536, whole_bytes=200_000)

    def test_an_option_that_kafka_does_not_know_is_reported_in_a_sentence(self) -> None:
        with pytest.raises(DeadLetterTopicError, match="rejects ONRAMP_KAFKA_CONFIG"):
            DeadLetterTopicSink({"bootstrap.servers": "localhost:1", "no.such.option": "1"}, "dlq").build_part("out", "0", None)


@pytest.fixture
def dying_broker() -> Iterator[Tansu]:
    with run_tansu() as broker:
        yield broker


class FailingProducer(Producer):
    """A producer without a broker: what is larger than ``limit`` fails with ``error`` when it is flushed, the rest is accepted."""

    def __init__(self, error: KafkaError, limit: int = 0) -> None:
        super().__init__({"log_level": 0})
        self.accepted: list[tuple[bytes, list[tuple[str, bytes]]]] = []
        self._error = error
        self._limit = limit
        self._pending: list[Callable[[], None]] = []

    def produce(self, topic, value=None, key=None, *, headers=None, on_delivery=None):  # type: ignore[no-untyped-def, override]
        """Keep it until the flush."""

        def deliver() -> None:
            if len(value) + len(key or b"") + sum(len(each) for _, each in headers) > self._limit:
                on_delivery(self._error, None)
            else:
                self.accepted.append((value, headers))
                on_delivery(None, None)

        self._pending.append(deliver)

    def poll(self, timeout=None):  # type: ignore[no-untyped-def]
        """Nothing is delivered before the flush."""
        return 0

    def flush(self, timeout=None):  # type: ignore[no-untyped-def]
        """Deliver everything."""
        pending, self._pending = self._pending, []
        for deliver in pending:
            deliver()
        return 0
