"""Reads the dead letters of a job from where they are: the file of the data directory, or the Kafka topic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flows.inputs import COMMAND_SECONDS, kafka_cluster
from flows.settings import Settings
from local.data_dir import DataDir
from sinks.dead_letters.topic import letter_of
from sources.errors import InputError, UnknownTopicError
from sources.kafka.record import key_and_headers, value_of
from sources.kafka.whole_topic import read_whole_topic
from state.records.dead_letter import DeadLetter, decode_line


def where_dead_letters_are(settings: Settings) -> str:
    """The place of the dead letters, for sentences."""
    if settings.kafka_brokers is not None:
        return f"the topic {settings.kafka_dead_letter_topic}"
    return str(DataDir(settings.data_dir).dead_letters)


def read_dead_letters(settings: Settings) -> Iterator[DeadLetter]:
    """Yield every letter once, in stored order. It keeps none, as all of them may be too large for the memory. Sort with ``when_logged``.

    What is not a letter is left out. Blocks while the topic is read. Raises ``DataDirError`` if there is no data directory, and
    ``SourceError`` for what cannot be read.
    """
    found = _in_topic(settings) if settings.kafka_brokers is not None else in_file(DataDir.open(settings.data_dir).dead_letters)
    seen = set[str]()
    for letter in found:
        name = letter.id
        if name not in seen:
            seen.add(name)
            yield letter


def when_logged(letter: DeadLetter) -> tuple[int, str, int, int]:
    """The sort key of the order in which the messages were logged."""
    return letter.log_time, letter.topic, letter.partition, letter.offset


def in_file(path: Path) -> Iterator[DeadLetter]:
    """Yield the letters of a file; none where there is no file. Raises ``InputError``."""
    try:
        with path.open("rb") as file:
            for line in file:
                try:
                    yield decode_line(line)
                except ValueError:
                    continue  # blanks of an erased letter, or half a line of one that is being written
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; check its rights and the disk, and repeat the command.") from error


def _in_topic(settings: Settings) -> Iterator[DeadLetter]:
    try:
        for record in read_whole_topic(kafka_cluster(settings, settings.kafka_dead_letter_topic, timeout_s=COMMAND_SECONDS)):
            key, headers = key_and_headers(record, lambda *_: None)
            try:
                yield letter_of(value_of(record)[0], key, headers)
            except ValueError:
                continue
    except UnknownTopicError:
        return  # it comes with the first letter
