"""Maps one row to one event of the contract, or says why it is none. What it returns as an event is one that the job accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from sources.tables.mapping import EventRule, Payload, Take
from sources.tables.mapping import Mapping as TableMapping
from sources.tables.moments import MomentReader, fitting_unit
from sources.tables.values import as_id, as_object, as_text, digestible, encode, plain, shown, typed
from state.catalog.conditions import compile_test, find
from state.catalog.model import Condition
from state.decode import decode
from state.event import Event
from state.messages import Message
from state.times import rfc3339
from state.vocabulary import EVENT_TYPES

Row = Mapping[str, Any]
"""Column → value."""
_OBJECT_BEGINS: Final = ("{", b"{")
_DIGEST_BYTES: Final = 16
_OUT_OF_RANGE: Final = "timestamp_out_of_range"
_SIGN_UP: Final = "-signup"
"""What the id of a sign-up has behind that of the event."""


class Mapped(NamedTuple):
    """An event: its time in milliseconds, its JSON without a line end, what it is for a count, and who and which it is.

    ``has_ids``: whether it has a ``userId`` and an ``anonymousId``. ``sign_up`` is the JSON of the sign-up that goes before it if it is the
    user's first: None if the mapping adds none, empty if the event is one itself.
    """

    at: int
    line: bytes
    kind: str
    identity: tuple[str, str, str]
    has_ids: tuple[bool, bool]
    sign_up: bytes | None = None


class Rejected(NamedTuple):
    """Why a row is no event: a code of ``docs/events.md``, ``bad_value``, ``unknown_value`` or ``bad_row``; in words; the column."""

    reason: str
    detail: str
    column: str = ""


def mapped(event: Event, line: bytes, fields: Row) -> Mapped:
    """The event of ``fields``, whose JSON is ``line``."""
    kind = f"{event.type} {event.name}" if event.name else event.type
    has_ids = bool(fields.get("userId")), bool(fields.get("anonymousId"))
    return Mapped(event.timestamp, line, kind, (event.tenant, event.user, event.id), has_ids)


class _RowError(Exception):
    def __init__(self, reason: str, detail: str, column: str = "") -> None:
        self.rejected = Rejected(reason, detail, column)
        super().__init__(detail)


class Cells:
    """The cells of ``row``, by column: one of that very name, or a dotted path into nested ones, also into an object as JSON text."""

    __slots__ = ("_objects", "row")

    def __init__(self, row: Row) -> None:
        self.row = row
        self._objects: dict[str, dict[str, Any] | _RowError | None] | None = None  # made where it is needed: most rows have no JSON text

    def value(self, column: str) -> Any:
        """Return the value; None where there is none. Raises ``_RowError`` where a path leads into damaged JSON of an object.

        Text that does not begin like an object has no value inside: a column may hold an object in one row and a word in the next.
        """
        row = self.row
        if column in row:
            return row[column]
        first, *inside = column.split(".")
        if not inside or first not in row:
            return None
        value = row[first]
        if isinstance(value, str | bytes) and value.lstrip()[:1] in _OBJECT_BEGINS:
            value = self.object(first)
        return find(value, tuple(inside)) if isinstance(value, dict) else None

    def has(self, column: str) -> bool:
        """Whether the row has the column; whether there is a value in it, for a dotted path."""
        try:
            return column in self.row or self.value(column) is not None
        except _RowError:
            return False

    def object(self, column: str) -> dict[str, Any] | None:
        """Return the object in ``column``, or that of its JSON text, which is read once. Raises ``_RowError`` for anything else."""
        objects = self._objects
        if objects is None:
            objects = self._objects = {}
        if column not in objects:
            try:
                objects[column] = _read(column, as_object, self.value(column))
            except _RowError as error:
                objects[column] = error
        found = objects[column]
        if isinstance(found, _RowError):
            raise found
        return found


class Mapper:
    """Maps rows as ``mapping`` says. ``now`` (ms) bounds times in the future. ``unseen``: columns that no row had so far."""

    def __init__(self, mapping: TableMapping, *, now: int) -> None:
        self._mapping = mapping
        self._now = now
        self._decimal = mapping.file.decimal
        self._tests = [(column, _reading(condition, self._decimal), compile_test(condition)) for column, condition in mapping.where.items()]
        self._read_moment = MomentReader(mapping.timestamp)
        self.unseen = set(mapping.columns())

    @property
    def shown_twice(self) -> int:
        """Rows so far with a local time that clocks show twice, because they are put back; the first of the two is taken."""
        return self._read_moment.shown_twice

    def __call__(self, row: Row) -> Mapped | Rejected | None:
        """Return the event of a row; None for a row that the mapping leaves out."""
        cells = Cells(row)
        if self.unseen:
            self.unseen -= {column for column in self.unseen if cells.has(column)}
        try:
            return self._map(cells)
        except _RowError as error:
            return error.rejected

    def _map(self, cells: Cells) -> Mapped | Rejected | None:
        if not all(test(_read(column, reading, cells.value(column))) for column, reading, test in self._tests):
            return None
        meant = self._meaning(cells)
        if meant is None:
            return None
        kind, name, own_payload = meant
        mapping = self._mapping
        moment = _read(mapping.timestamp.column, self._read_moment, cells.value(mapping.timestamp.column))
        if moment is None:
            return Rejected("missing_timestamp", f"the column {mapping.timestamp.column} is empty")
        try:
            timestamp = rfc3339(moment)
        except OverflowError:
            return self._out_of_range(f"the column {mapping.timestamp.column} is a time beyond all calendars", moment)
        fields: dict[str, Any] = {"eventId": self._event_id(cells, kind, name, moment)}
        for field in ("tenantId", "userId", "anonymousId", "sessionId"):
            take: Take | None = getattr(mapping, field)
            if take is not None and (found := _taken(cells, take, as_id)) is not None:
                fields[field] = found
        if "userId" not in fields and "anonymousId" not in fields:
            takes = (mapping.userId, mapping.anonymousId)
            return Rejected("missing_user", f"the row has no value for {' and '.join(str(t.column) for t in takes if t is not None)}")
        fields |= (
            {"eventType": kind, "name": name, "timestamp": timestamp} if name is not None else {"eventType": kind, "timestamp": timestamp}
        )
        fields["payload"] = self._payload(cells, own_payload)
        line = encode(fields)
        event = decode(Message(line, None, "", 0, 0, self._now, self._now, 0))
        if not isinstance(event, Event):
            return self._out_of_range(event.detail, moment) if event.reason == _OUT_OF_RANGE else Rejected(event.reason, event.detail)
        sign_up = None if mapping.signup is None else b"" if kind == "signup" else self._sign_up(cells, fields, mapping.signup)
        return mapped(event, line, fields)._replace(sign_up=sign_up)

    def _sign_up(self, cells: Cells, fields: Mapping[str, Any], traits: Payload) -> bytes:
        """The sign-up of the user of ``fields``. Raises ``_RowError`` where it would be no event of the contract."""
        fields = {name: value for name, value in fields.items() if name not in {"name", "sessionId"}}
        own = {"eventId": f"{fields['eventId']}{_SIGN_UP}", "eventType": "signup", "payload": {"traits": self._fields(cells, {}, traits)}}
        line = encode({**fields, **own})
        event = decode(Message(line, None, "", 0, 0, self._now, self._now, 0))
        if not isinstance(event, Event):
            raise _RowError(event.reason, f"its sign-up is no event: {event.detail}")
        return line

    def _out_of_range(self, detail: str, moment: int) -> Rejected:
        """Reject a time; where the number would be a time by another unit, say so."""
        given = self._mapping.timestamp
        fits = None if given.unit is None else fitting_unit(moment, given.unit, self._now)
        return Rejected(_OUT_OF_RANGE, f"{detail}; the column {given.column} fits unit: {fits}" if fits is not None else detail)

    def _meaning(self, cells: Cells) -> tuple[str, str | None, Payload] | None:
        """Type, name and payload of the row's event; None to leave the row out."""
        rule: EventRule = self._mapping.event
        name = _read(rule.name_column, as_text, cells.value(rule.name_column)) if rule.name_column is not None else rule.name
        if rule.column is None:
            return str(rule.type), name, {}
        value = _read(rule.column, as_text, cells.value(rule.column))
        if rule.values is None and value in EVENT_TYPES:
            return str(value), name if value == "track" else None, {}
        meaning = rule.otherwise if rule.values is None or value is None else rule.values.get(value, rule.otherwise)
        if meaning.type == "skip":
            return None
        if meaning.type == "reject" or value is None:
            said = f"is {shown(value)}, which the mapping does not name" if value is not None else "is empty"
            detail = f"the column {rule.column} {said}; add it to event.values, or set event.otherwise"
            raise _RowError("unknown_value", detail, rule.column)
        return meaning.type, (meaning.name or name or value) if meaning.type == "track" else None, meaning.payload

    def _event_id(self, cells: Cells, kind: str, name: str | None, moment: int) -> str | None:
        """One column as it is; a list of columns, or the whole row, as a digest with the kind of event.

        So a table may be imported for two kinds of events, and both count, unless both mappings take the same column as it is.
        """
        takes = self._mapping.eventId
        if takes is None:
            content: list[Any] = [kind, name, moment, digestible(dict(cells.row))]
        else:
            given = [_taken(cells, take, as_id) for take in takes]
            if any(each is None for each in given):
                empty = ", ".join(str(take.column) for take, each in zip(takes, given, strict=True) if each is None)
                raise _RowError("missing_event_id", f"the column {empty} is empty")
            if not self._mapping.digests_ids:
                return str(given[0])
            content = [kind, name, *given]
        return f"row-{blake2b(encode(content, sort=True), digest_size=_DIGEST_BYTES).hexdigest()}"

    def _payload(self, cells: Cells, own: Payload) -> dict[str, Any]:
        found: dict[str, Any] = {}
        column = self._mapping.payload_from
        if column is not None:
            whole = cells.object(column)
            found = _read(column, plain, whole) if whole is not None else {}
        return self._fields(cells, self._fields(cells, found, self._mapping.payload), own)

    def _fields(self, cells: Cells, found: dict[str, Any], fields: Payload) -> dict[str, Any]:
        """Put the values of ``fields`` into ``found``."""
        for field, take in fields.items():
            if (value := _payload_value(cells, take, self._decimal)) is not None:
                _put(found, field, value)
        return found


def _read(column: str | None, reader: Callable[[Any], Any], value: Any) -> Any:
    try:
        return reader(value)
    except ValueError as error:
        raise _RowError("bad_value", f"the column {column} {error}" if column else f"the row {error}", column or "") from None


def _taken(cells: Cells, take: Take, reader: Callable[[Any], Any]) -> Any:
    if take.column is None:
        return as_text(take.value)
    return _read(take.column, reader, cells.value(take.column))


def _payload_value(cells: Cells, take: Take, decimal: str | None) -> Any:
    if take.column is None:
        return take.value
    return _read(take.column, lambda given: typed(given, take.type, decimal), cells.value(take.column))


def _put(payload: dict[str, Any], field: str, value: Any) -> None:
    *outer, last = field.split(".")
    for part in outer:
        inside = payload.get(part)
        if not isinstance(inside, dict):
            inside = payload[part] = {}
        payload = inside
    payload[last] = value


def _reading(condition: Condition, decimal: str | None) -> Callable[[Any], Any]:
    """How a cell is read for a condition: text as the number or truth value that it is compared with, and the other way round."""
    wanted = [
        each
        for value in (getattr(condition, name) for name in condition.model_fields_set if name != "exists")
        for each in (value if isinstance(value, list) else [value])
    ]
    truths = any(isinstance(each, bool) for each in wanted)
    numbers = any(isinstance(each, int | float) and not isinstance(each, bool) for each in wanted)
    texts = any(isinstance(each, str) for each in wanted)

    def reading(value: Any) -> Any:
        if isinstance(value, str):
            value = value.strip()
            if truths and value.lower() in {"true", "false"}:
                return value.lower() == "true"
            if numbers:
                try:
                    return typed(value, "number", decimal)
                except ValueError:
                    return value
            return value or None
        value = plain(value)
        return as_text(value) if texts and not numbers and not truths and not isinstance(value, list | dict) else value

    return reading
