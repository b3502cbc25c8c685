"""Errors between the job and ClickHouse. Every message is one sentence that says what to do.

::

    StoreError
    ├── StoreInUse          another process has locked the embedded store's directory: not retryable, choose another directory
    ├── StoreDamaged        the files of the embedded store cannot be opened: not retryable, restore them or free its disk
    ├── StoreUnreachable    no answer from the server: retryable
    ├── StoreDenied         the server refused the user, password or rights: not retryable
    ├── MigrationRefused    the database and the shipped migrations disagree: not retryable
    ├── QueryRefused        the query is not a read and was not sent
    ├── QueryFailed         the engine rejected a read
    ├── TransientInsert     an insert that may succeed when it is retried
    └── PermanentInsert     an insert that cannot succeed: its rows move to rejected/
    SpoolError
    ├── SpoolClosed         the job stopped while a worker waited for space; the epoch is not durable and runs again
    ├── DeliveryGoesOn      a delivery did not end for a backup, which waits for it: retryable
    └── SegmentDamaged      a spool file that cannot be read
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from sinks.tls_faults import advice_for_tls
from state.records.recommendation import Erase


class StoreError(Exception):
    """Base of all errors of the store."""


class StoreInUse(StoreError):  # noqa: N818 -- the name says what happened
    """Another process has locked the embedded store."""


class StoreDamaged(StoreError):  # noqa: N818
    """The engine cannot open the files of the embedded store."""


class StoreUnreachable(StoreError):  # noqa: N818
    """ClickHouse does not answer at its address. Retryable."""


class StoreDenied(StoreError):  # noqa: N818
    """The server refuses the user, or this operation of the user."""


class MigrationRefused(StoreError):  # noqa: N818
    """The schema in the database does not match the migrations of this version."""


class QueryRefused(StoreError):  # noqa: N818
    """The query is not a single read."""


class QueryFailed(StoreError):  # noqa: N818
    """The engine rejected a read."""


class TransientInsert(StoreError):  # noqa: N818
    """The insert may succeed when it is retried."""


class PermanentInsert(StoreError):  # noqa: N818
    """The insert cannot succeed with these rows."""


class SpoolError(Exception):
    """Base of all errors of the spool files."""


class SpoolClosed(SpoolError):  # noqa: N818
    """The spool was closed while a write waited for space. No row is lost: the epoch is not durable yet."""


class DeliveryGoesOn(SpoolError):  # noqa: N818
    """A delivery did not end in time."""


class SegmentDamaged(SpoolError):  # noqa: N818
    """A spool file is truncated or is not a segment. ``erasures``: the people whom it deletes, None if nobody can read that."""

    def __init__(self, message: str, erasures: Sequence[Erase] | None = None) -> None:
        super().__init__(message)
        self.erasures = erasures


class Fault(Enum):
    """Where the fault lies that a code or an HTTP status names."""

    DATA = "these rows can never be inserted"
    TOO_LARGE = "fewer rows at once may be inserted"
    DENIED = "an operator must change the user, its rights or the address"
    BUSY = "a retry may succeed"
    UNKNOWN = "a fault of the server or the statement, which can be mended there"


class Meaning(NamedTuple):
    """The fault, and what to do; empty where the server's own words say it."""

    fault: Fault
    advice: str = ""


_CHECK_USER: Final = Meaning(Fault.DENIED, "the user or password is wrong: check both in ONRAMP_CLICKHOUSE_URL")
_DATA, _BUSY, _UNKNOWN = Meaning(Fault.DATA), Meaning(Fault.BUSY), Meaning(Fault.UNKNOWN)

CODES: Final[dict[int, Meaning]] = {
    6: _DATA,  # CANNOT_PARSE_TEXT
    16: _DATA,  # NO_SUCH_COLUMN_IN_TABLE
    20: _DATA,  # NUMBER_OF_COLUMNS_DOESNT_MATCH
    25: _DATA,  # CANNOT_PARSE_ESCAPE_SEQUENCE
    26: _DATA,  # CANNOT_PARSE_QUOTED_STRING
    27: _DATA,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
    33: _DATA,  # CANNOT_READ_ALL_DATA
    38: _DATA,  # CANNOT_PARSE_DATE
    41: _DATA,  # CANNOT_PARSE_DATETIME
    43: _DATA,  # ILLEGAL_TYPE_OF_ARGUMENT
    47: _DATA,  # UNKNOWN_IDENTIFIER
    50: _DATA,  # UNKNOWN_TYPE
    53: _DATA,  # TYPE_MISMATCH
    69: _DATA,  # ARGUMENT_OUT_OF_BOUND
    70: _DATA,  # CANNOT_CONVERT_TYPE
    72: _DATA,  # CANNOT_PARSE_NUMBER
    117: _DATA,  # INCORRECT_DATA
    128: _DATA,  # TOO_LARGE_ARRAY_SIZE
    131: _DATA,  # TOO_LARGE_STRING_SIZE
    321: _DATA,  # VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
    349: _DATA,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
    469: _DATA,  # VIOLATED_CONSTRAINT
    636: _DATA,  # CANNOT_EXTRACT_TABLE_STRUCTURE
    164: Meaning(Fault.DENIED, "the user may only read: remove readonly from its profile"),  # READONLY
    192: _CHECK_USER,  # UNKNOWN_USER
    193: _CHECK_USER,  # WRONG_PASSWORD
    194: _CHECK_USER,  # REQUIRED_PASSWORD
    195: Meaning(Fault.DENIED, "allow the address of this machine for the user"),  # IP_ADDRESS_NOT_ALLOWED
    497: Meaning(  # ACCESS_DENIED
        Fault.DENIED, "grant this user SELECT, INSERT, CREATE TABLE, CREATE VIEW, DROP VIEW, ALTER DELETE and ALTER COLUMN on its database"
    ),
    516: _CHECK_USER,  # AUTHENTICATION_FAILED
    159: _BUSY,  # TIMEOUT_EXCEEDED
    160: _BUSY,  # TOO_SLOW
    201: _BUSY,  # QUOTA_EXCEEDED
    202: _BUSY,  # TOO_MANY_SIMULTANEOUS_QUERIES
    203: _BUSY,  # NO_FREE_CONNECTION
    209: _BUSY,  # SOCKET_TIMEOUT
    210: _BUSY,  # NETWORK_ERROR
    225: _BUSY,  # NO_ZOOKEEPER
    236: _BUSY,  # ABORTED
    241: _BUSY,  # MEMORY_LIMIT_EXCEEDED
    242: _BUSY,  # TABLE_IS_READ_ONLY
    243: Meaning(Fault.BUSY, "free space on the disk of the server"),  # NOT_ENOUGH_SPACE
    252: _BUSY,  # TOO_MANY_PARTS
    279: _BUSY,  # ALL_CONNECTION_TRIES_FAILED
    285: _BUSY,  # TOO_FEW_LIVE_REPLICAS
    286: _BUSY,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
    289: _BUSY,  # REPLICA_IS_NOT_IN_QUORUM
    319: _BUSY,  # UNKNOWN_STATUS_OF_INSERT
    394: _BUSY,  # QUERY_WAS_CANCELLED
    439: _BUSY,  # CANNOT_SCHEDULE_TASK
    473: _BUSY,  # DEADLOCK_AVOIDED
    499: _BUSY,  # S3_ERROR
    745: _BUSY,  # SERVER_OVERLOADED
    999: _BUSY,  # KEEPER_EXCEPTION
}
"""What each exception code of ClickHouse means. A fault of the data is permanent; every other one can be fixed on the server."""

UNKNOWN_DATABASE: Final = 81

STATUSES: Final[dict[int, Meaning]] = {
    401: _CHECK_USER,
    403: _CHECK_USER,
    404: Meaning(Fault.DENIED, "there is no ClickHouse at this path: correct the address in ONRAMP_CLICKHOUSE_URL"),
    408: _BUSY,
    413: Meaning(Fault.TOO_LARGE, "raise the limit for request bodies of the proxy before ClickHouse"),
    429: _BUSY,
    502: _BUSY,
    503: _BUSY,
    504: _BUSY,
}
"""What an HTTP status means that comes without an exception code: it is of a proxy before ClickHouse."""

# The driver gives a code only where the header X-ClickHouse-Exception-Code came through, and the status only in its text.
_STATUS: Final = re.compile(r"HTTP driver received HTTP status (\d{3})\b(?:, server response: Code: (\d+)\. DB::Exception)?")


def code_of(error: BaseException) -> int | None:
    """Return the exception code of ClickHouse, None where the error is no answer of ClickHouse."""
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return code
    answer = _STATUS.match(str(error))
    return int(answer[2]) if answer is not None and answer[2] is not None else None


def is_no_answer(error: BaseException) -> bool:
    """Return whether ``error`` of a request means that no server answered it."""
    return code_of(error) is None and _STATUS.match(str(error)) is None


def meaning_of(error: BaseException) -> Meaning:
    """Return what ``error`` means: by its exception code, or else by its HTTP status, or else as a connection that failed."""
    advice = advice_for_tls(error, ca="ca_cert", client="client_cert=/path/cert.pem&client_cert_key=/path/key.pem")
    if advice is not None:
        return Meaning(Fault.DENIED, advice)
    code = code_of(error)
    if code is not None:
        return CODES.get(code, _UNKNOWN)
    answer = _STATUS.match(str(error))
    return _BUSY if answer is None else STATUSES.get(int(answer[1]), _UNKNOWN)
