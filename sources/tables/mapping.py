"""A mapping: how the columns of a table become the fields of events. Read from YAML, with the line and field of each fault."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from datetime import datetime, time
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from sources.tables.values import as_text
from state.catalog import yaml_text
from state.catalog.model import Conditions
from state.catalog.parse import Fault
from state.event_fields import Scalar
from state.time_zones import read_zone
from state.value_complaint import complaint
from state.vocabulary import EventType

Format = Literal["csv", "jsonl", "parquet"]
Type = Literal["text", "number", "integer", "boolean", "json"]
Column = Annotated[str, Field(min_length=1, max_length=500)]


class MappingError(Exception):
    """A mapping cannot be used. ``faults`` holds all of its faults."""

    document = "the mapping"

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("\n".join(map(str, faults)))


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _encoding(name: str) -> str:
    try:
        "a".encode(name)
        return codecs.lookup(name).name
    except (LookupError, UnicodeError):
        raise ValueError(f"there is no text encoding {name!r}; examples are utf-8, utf-16, cp1252 and shift_jis") from None


class FileOptions(_Model):
    """How the file is read. Without ``format`` its name and its beginning decide; without ``separator`` the columns of the mapping.

    ``decimal`` is the decimal sign of numbers that are text. The other signs may then group digits by three.
    """

    format: Format | None = None
    separator: Annotated[str | None, Field(min_length=1, max_length=1)] = None
    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"
    header: Annotated[list[Column] | None, Field(min_length=1)] = None
    skip: Annotated[int, Field(ge=0, le=10_000)] = 0
    nothing: list[str] = ["", "\\N"]
    decimal: Literal[".", ","] | None = None


class Take(_Model):
    """Where a value comes from: a column of the row, or the same ``value`` for all rows."""

    column: Column | None = None
    value: Scalar | None = None
    type: Type | None = None

    @model_validator(mode="after")
    def _has_one_origin(self) -> Take:
        if (self.column is None) == (self.value is None):
            raise ValueError("it needs either column or value")
        if self.value is not None and self.type is not None:
            raise ValueError("type goes with column; write the value as it should be")
        return self


def _column_in_short(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


Taken = Annotated[Take, BeforeValidator(_column_in_short)]
Payload = dict[Annotated[str, Field(min_length=1, max_length=256)], Taken]
"""Field of the payload (dotted for nested ones) → where it comes from."""


def _format(text: str) -> str:
    try:
        found = datetime.strptime(datetime(2027, 5, 6).strftime(text), text)  # noqa: DTZ001, DTZ007 - only the form matters
    except ValueError:
        raise ValueError(f"{text!r} is no format of a time; an example is %d.%m.%Y %H:%M:%S") from None
    if (found.year, found.month, found.day) != (2027, 5, 6):
        raise ValueError(f"{text!r} does not say day, month and year; an example is %d.%m.%Y %H:%M:%S")
    return text


def _zone(name: str) -> str:
    if read_zone(name) is None:
        raise ValueError(f"there is no time zone {name!r}; examples are Europe/Berlin, UTC and +02:00")
    return name


def _time_of_day(text: str) -> str:
    try:
        if time.fromisoformat(text).tzinfo is None:
            return text
    except ValueError:
        pass
    raise ValueError(f'it needs a time of day like "12:00", not {text!r}')


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


class Moment(_Model):
    """How the time of an event is read. ``zone`` counts for times that name none, ``time_of_day`` for dates without a time."""

    column: Column
    format: Annotated[
        list[Annotated[str, Field(min_length=2, max_length=100), AfterValidator(_format)]] | None,
        BeforeValidator(_as_list),
        Field(min_length=1),
    ] = None
    unit: Literal["s", "ms", "us", "ns"] | None = None
    zone: Annotated[str | None, AfterValidator(_zone)] = None
    time_of_day: Annotated[str | None, AfterValidator(_time_of_day)] = None

    @model_validator(mode="after")
    def _is_text_or_number(self) -> Moment:
        if self.format is not None and self.unit is not None:
            raise ValueError("give format for texts, or unit for numbers, not both")
        return self


class Meaning(_Model):
    """What an event is: its type, its ``name`` (of a ``track``), and fields of the payload beside those of all events.

    The types ``skip`` and ``reject`` mean that the row is none.
    """

    type: Literal[EventType, "skip", "reject"]
    name: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    payload: Payload = {}

    @model_validator(mode="after")
    def _only_track_has_a_name(self) -> Meaning:
        if self.name is not None and self.type != "track":
            raise ValueError(f"only track events have a name, not {self.type}")
        return self


def _meaning_in_short(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


_Meant = Annotated[Meaning, BeforeValidator(_meaning_in_short)]


def _texts_of(value: object) -> object:
    """YAML reads ``1`` and ``true`` as a number and a truth value; a cell is compared as text."""
    return {as_text(key): each for key, each in value.items()} if isinstance(value, dict) else value


class EventRule(_Model):
    """Which event a row is: always ``type``, or what the value of ``column`` means. Without ``values`` it is a type of the contract."""

    type: EventType | None = None
    name: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    column: Column | None = None
    values: Annotated[dict[str, _Meant] | None, BeforeValidator(_texts_of), Field(min_length=1)] = None
    name_column: Column | None = None
    otherwise: _Meant = Meaning(type="reject")

    @model_validator(mode="after")
    def _has_one_origin(self) -> EventRule:
        if (self.type is None) == (self.column is None):
            raise ValueError("it needs either type (all rows are such events), or column (its value decides)")
        if self.column is None and (self.values is not None or "otherwise" in self.model_fields_set):
            raise ValueError("values and otherwise go with column")
        if self.column is not None and self.name is not None:
            raise ValueError("with column, each of the values has its own name; name_column takes it from another column")
        if self.type is not None and self.type != "track" and (self.name is not None or self.name_column is not None):
            raise ValueError(f"only track events have a name, not {self.type}")
        return self


class Mapping(_Model):
    """How a row becomes an event. The names of its fields are those of the contract (``docs/events.md``)."""

    file: FileOptions = FileOptions()
    where: Conditions = {}
    eventId: Annotated[list[Taken] | None, BeforeValidator(_as_list), Field(min_length=1)] = None  # noqa: N815
    tenantId: Taken | None = None  # noqa: N815 - the contract's names
    userId: Taken | None = None  # noqa: N815
    anonymousId: Taken | None = None  # noqa: N815
    sessionId: Taken | None = None  # noqa: N815
    timestamp: Annotated[Moment, BeforeValidator(_column_in_short)]
    event: EventRule
    payload: Payload = {}
    payload_from: Column | None = None
    signup: Payload | None = None
    """Traits of the ``signup`` that is added before each user's first event; None adds none."""
    _lists_ids: bool = PrivateAttr(default=False)

    @model_validator(mode="wrap")
    @classmethod
    def _knows_a_list(cls, data: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        found = read(data)
        found._lists_ids = isinstance(data, dict) and isinstance(data.get("eventId"), list)  # noqa: SLF001 - it is being made
        return found

    @property
    def digests_ids(self) -> bool:
        """Whether ``eventId`` was given as a list, also of one column: then the id is a digest."""
        return self._lists_ids

    @model_validator(mode="after")
    def _names_a_user(self) -> Mapping:
        if self.userId is None and self.anonymousId is None:
            raise ValueError("it needs userId or anonymousId")
        return self

    def columns(self) -> list[str]:
        """Return the columns that the mapping reads, each once, in its own order."""
        return list(dict.fromkeys(self._columns()))

    def _columns(self) -> Iterator[str]:
        rule = self.event
        meanings = [*(rule.values or {}).values(), rule.otherwise]
        payloads = [self.payload, self.signup or {}, *(each.payload for each in meanings)]
        taken = [*(self.eventId or ()), self.tenantId, self.userId, self.anonymousId, self.sessionId]
        yield self.timestamp.column
        yield from (each.column for each in taken if each is not None and each.column is not None)
        yield from (column for column in (rule.column, rule.name_column, self.payload_from) if column is not None)
        yield from self.where
        yield from (each.column for payload in payloads for each in payload.values() if each.column is not None)


def parse_mapping(text: str, source: str) -> Mapping:
    """Read the mapping in ``text``; ``source`` names it in messages. Raises ``MappingError``."""
    try:
        document = yaml_text.read(text)
    except yaml_text.YamlError as error:
        raise MappingError([Fault(source, error.line, "", f"not valid YAML: {error}")]) from None
    if not isinstance(document.data, dict):
        raise MappingError([Fault(source, 1, "", "a mapping is YAML with userId, timestamp, event and more; docs/integrations.md has one")])
    faults = [Fault(source, line, field, "this key appears twice") for line, field in document.duplicates]
    if _loses_a_key(document):
        faults.append(Fault(source, *document.find(("event", "values")), "two keys mean the same, like 1 and true; put them in quotes"))
    try:
        mapping = Mapping.model_validate(document.data)
    except ValidationError as error:
        faults += [Fault(source, *document.find(location), message) for location, message in _complaints(error)]
        raise MappingError(sorted(faults, key=lambda fault: fault.line)) from None
    if faults:
        raise MappingError(faults)
    return mapping


def _loses_a_key(document: yaml_text.Document) -> bool:
    rule = document.data.get("event")
    values = rule.get("values") if isinstance(rule, dict) else None
    return isinstance(values, dict) and len(values) < len(document.place.inside["event"][1].inside["values"][1].inside)


def _complaints(error: ValidationError) -> Iterator[tuple[yaml_text.Location, str]]:
    for item in error.errors():
        location = item["loc"]
        if item["type"] == "model_type" and location == ("event",):
            yield location, "it needs a mapping: {column: …, values: …}, or {type: …} if all rows are such events"
        elif item["type"] == "model_type" and location[:1] == ("event",):
            yield location, "it needs skip, reject, a type of event, or a mapping with type"
        else:
            yield location, complaint(item)
