"""Errors between the job and ClickHouse. Every message is one sentence that says what to do.

::

    StoreError
    ├── StoreInUse          another process has locked the embedded store's directory: not retryable, choose another directory
    ├── StoreUnreachable    no answer from the server: retryable
    ├── StoreDenied         the server refused the user, password or rights: not retryable
    ├── MigrationRefused    the database and the shipped migrations disagree: not retryable
    ├── QueryRefused        the query is not a read and was not sent
    ├── QueryFailed         the engine rejected a read
    ├── TransientInsert     an insert that may succeed when it is retried
    └── PermanentInsert     an insert that cannot succeed: its segment moves to rejected/
    SpoolError
    ├── SpoolClosed         the job stopped while a worker waited for space; the epoch is not durable and runs again
    └── SegmentDamaged      a spool file that cannot be read
"""

from __future__ import annotations


class StoreError(Exception):
    """Base of all errors of the store."""


class StoreInUse(StoreError):  # noqa: N818 -- the name says what happened
    """Another process has locked the embedded store."""


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


class SegmentDamaged(SpoolError):  # noqa: N818
    """A spool file is truncated or is not a segment."""
