"""Decodes messages that a schema registry's serialiser wrote: JSON Schema, Avro and Protobuf, each to the JSON of the event contract.

Such a message begins with a zero byte and the four-byte number of its schema. The deserialisers are confluent-kafka's own; they are an
optional extra (``onramp[schema-registry]``). Data-contract rules of the registry (migrations, field encryption) are not run.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from time import monotonic, sleep
from typing import Any, Final

import msgspec

from sources.errors import SourceError
from state.event_diagnosis import SCHEMA_PREFIX

SETTING: Final = "ONRAMP_SCHEMA_REGISTRY_URL"
_TIMEOUT_S: Final = 2.0  # a request blocks the worker; a registry answers in milliseconds, and each schema is asked for once
_RETRY_S: Final = 2.0
"""After a failure the registry is not asked for so long: each request would block another partition."""
_PAUSE_S: Final = 0.1  # between two tries of a command; the registry is asked in every ``_RETRY_S`` at most
_UNKNOWN_S: Final = 1.0
"""For so long a schema that the registry does not know counts as unknown: each of its messages would cost a request."""
_MOST_UNKNOWN: Final = 10_000
_TEXT: Final = 200
_NOT_FOUND: Final = frozenset({40401, 40402, 40403})
"""The registry's codes for an unknown subject, version and schema. Any other 404 does not come from a schema registry."""
_RETRY: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_DENIED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

Decode = Callable[[bytes], Any]


class FramingError(Exception):
    """The message cannot be decoded. The text is the detail of its dead letter."""


class RegistryUnavailableError(Exception):
    """The registry does not answer now. The same message can be decoded later."""


class SchemaRegistry:
    """Decodes framed messages, for all partitions of the process. ``url`` may hold a user and a password; no error shows them."""

    def __init__(self, url: str, *, patience_s: float = 30.0) -> None:
        """Connect to nothing yet. ``patience_s``: how long ``decode_patiently`` waits for an answer.

        Raises ``SourceError`` if the packages of the extra are not installed.
        """
        try:
            import httpx2  # noqa: PLC0415 - these packages are an optional extra, and take a second to import
            from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: PLC0415
            from confluent_kafka.schema_registry.avro import AvroDeserializer  # noqa: PLC0415
            from confluent_kafka.schema_registry.error import SchemaRegistryError  # noqa: PLC0415
            from confluent_kafka.schema_registry.json_schema import JSONDeserializer  # noqa: PLC0415
            from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer  # noqa: PLC0415
        except ImportError as error:
            raise SourceError(
                f"{SETTING} is set, but the packages that decode messages with schemas are not installed ({error.name} is missing); "
                "install onramp[schema-registry]."
            ) from error
        client = {"url": url, "timeout": _TIMEOUT_S, "max.retries": 0}  # the source retries, and reads nothing meanwhile
        # No subject: the number in the message names its schema, whatever the subjects are called.
        options = {"subject.name.strategy": lambda _context, _name: None}
        self._network_error: type[Exception] = httpx2.TransportError
        self._registry_error: type[Exception] = SchemaRegistryError
        self._schemas = SchemaRegistryClient(client)
        self._validate_json = JSONDeserializer(None, schema_registry_client=self._schemas, conf=options)
        self._decode_avro = AvroDeserializer(self._schemas, conf=options)
        # A client of its own: the library's cache does not tell a schema's text from its descriptor.
        descriptors = SchemaRegistryClient(client)
        self._new_protobuf: Callable[[Any], Any] = lambda message: ProtobufDeserializer(message, options, descriptors)
        self._descriptors = descriptors
        self._patience_s = patience_s
        self._known: set[int] = set()  # schemas whose messages need no request any more
        self._unknown: dict[int, float] = {}  # schemas that the registry does not know → until when that holds
        self._held_until = 0.0
        self._problem = ""
        self._protobuf: dict[tuple[int, tuple[int, ...]], Decode] = {}
        self._decoders: dict[str, Callable[[int, bytes], bytes]] = {
            "JSON": self._from_json,
            "AVRO": self._from_avro,
            "PROTOBUF": self._from_protobuf,
        }

    @property
    def held(self) -> bool:
        """Whether the registry has failed within the last seconds, so that it is not asked now."""
        return monotonic() < self._held_until

    def decode(self, value: bytes) -> bytes:
        """Return the event as JSON. Blocks for a request when a schema is seen for the first time.

        Raises ``FramingError`` for a message that cannot be decoded, ``RegistryUnavailableError`` while the registry does not answer, and
        ``SourceError`` for what an operator must change.
        """
        if len(value) <= SCHEMA_PREFIX:
            raise FramingError("the message begins with a zero byte, but is too short for the framing of a schema registry")
        number = int.from_bytes(value[1:SCHEMA_PREFIX], "big")
        if number not in self._known:
            self._check(number)
        try:
            kind = self._schemas.get_schema(number).schema_type or "AVRO"
        except Exception as error:
            self._raise_registry_fault(number, error)
            raise SourceError(f"{SETTING} does not lead to a schema registry ({_short(error)}); correct the address.") from error
        decoder = self._decoders.get(kind)
        if decoder is None:
            raise FramingError(f"schema {number} is of the kind {kind}; JSON Schema, Avro and Protobuf can be decoded")
        try:
            event = decoder(number, value)
        except Exception as error:
            self._raise_registry_fault(number, error)
            raise FramingError(f"the message does not fit its schema {number} ({kind}): {_short(error)}") from error
        self._known.add(number)
        return event

    def decode_patiently(self, value: bytes) -> bytes:
        """Decode as ``decode`` does, for a command: while the registry does not answer, try again for ``patience_s``. Blocks so long.

        Raises ``FramingError`` for a message that cannot be decoded, ``SourceError`` for what an operator must change, and after that time.
        """
        deadline = monotonic() + self._patience_s
        while True:
            try:
                return self.decode(value)
            except RegistryUnavailableError as problem:
                if monotonic() >= deadline:
                    raise SourceError(
                        f"The schema registry did not answer for {self._patience_s:.0f} s ({problem}), and messages with schemas cannot be "
                        f"read without it; start it, or correct {SETTING}."
                    ) from problem
            sleep(_PAUSE_S)

    def _check(self, number: int) -> None:
        """Raise what the registry said about the schema, or did not say, within the last seconds."""
        if monotonic() < self._unknown.get(number, 0.0):
            raise FramingError(_unknown(number))
        if self.held:
            raise RegistryUnavailableError(self._problem)

    def _from_json(self, _number: int, value: bytes) -> bytes:
        self._validate_json(value)
        return value[SCHEMA_PREFIX:]

    def _from_avro(self, _number: int, value: bytes) -> bytes:
        return _as_json(self._decode_avro(value))

    def _from_protobuf(self, number: int, value: bytes) -> bytes:
        from confluent_kafka.schema_registry import dual_schema_id_deserializer  # noqa: PLC0415
        from confluent_kafka.schema_registry.serde import SchemaId  # noqa: PLC0415
        from google.protobuf.json_format import MessageToDict  # noqa: PLC0415

        place = SchemaId("PROTOBUF")
        dual_schema_id_deserializer(value, None, place)
        index = tuple(place.message_indexes or (0,))
        decode = self._protobuf.get((number, index))
        if decode is None:
            decode = self._protobuf[number, index] = self._new_protobuf(self._message_class(number, list(index)))
        return _as_json(MessageToDict(decode(value)))

    def _message_class(self, number: int, index: list[int]) -> Any:
        """Make the class of a message from the descriptor that the registry has. The library's deserialiser wants a generated one.

        Its steps from the one to the other are private.
        """
        from google.protobuf.empty_pb2 import Empty  # noqa: PLC0415
        from google.protobuf.message_factory import GetMessageClass  # noqa: PLC0415

        resolver = self._new_protobuf(Empty)
        file, pool = resolver._get_parsed_schema(self._descriptors.get_schema(number, fmt="serialized"))  # noqa: SLF001
        return GetMessageClass(resolver._get_message_desc(pool, pool.FindFileByName(file.name), index))  # noqa: SLF001

    def _raise_registry_fault(self, number: int, error: Exception) -> None:
        """Raise what ``error`` means if the registry itself is at fault, or does not know the schema."""
        if isinstance(error, self._network_error):
            raise self._hold(_short(error)) from error
        if not isinstance(error, self._registry_error):
            return
        status, code = error.http_status_code, error.error_code  # type: ignore[attr-defined]
        if code in _NOT_FOUND:
            if len(self._unknown) >= _MOST_UNKNOWN:
                self._unknown = {}
            self._unknown[number] = monotonic() + _UNKNOWN_S
            raise FramingError(_unknown(number)) from error
        if status in _RETRY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise self._hold(f"HTTP status {status}") from error
        if status in _DENIED:
            raise SourceError(
                f"The schema registry refuses this job (HTTP status {status}); check the user and the password in {SETTING}."
            ) from error
        raise SourceError(f"{SETTING} does not lead to a schema registry (HTTP status {status}); correct the address.") from error

    def _hold(self, problem: str) -> RegistryUnavailableError:
        self._problem, self._held_until = problem, monotonic() + _RETRY_S
        return RegistryUnavailableError(problem)


def _unknown(number: int) -> str:
    return f"the schema registry does not know schema {number}, or one that it refers to"


def _as_json(event: Any) -> bytes:
    """Encode a decoded message. Fields without a value are left out: Avro has no other way to say that an optional field is absent."""
    if isinstance(event, dict):
        event = {name: value for name, value in event.items() if value is not None}
    return msgspec.json.encode(event, enc_hook=str)


def _short(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:_TEXT]
