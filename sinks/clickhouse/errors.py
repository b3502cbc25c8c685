"""What can go wrong between the job and ClickHouse, each said in one sentence a person can act on.

::

    StoreError
    ├── StoreInUse          another process holds the embedded store's directory: not retryable, choose another directory
    ├── StoreUnreachable    no answer from the server: retryable
    ├── StoreDenied         the server answered and said no (user, password, rights): not retryable
    ├── MigrationRefused    the database and the shipped migrations disagree: not retryable
    ├── QueryRefused        not a read, so it was never sent
    ├── QueryFailed         the engine rejected a read
    ├── TransientInsert     an insert that is worth repeating
    └── PermanentInsert     an insert that will never succeed: its segment is set aside
    SpoolError
    ├── SpoolClosed         the job is stopping while a worker waited for room; the epoch is not durable and will run again
    └── SegmentDamaged      a spool file that cannot be read
"""

from __future__ import annotations


class StoreError(Exception):
    """Base of everything that concerns the store itself."""


class StoreInUse(StoreError):  # noqa: N818 -- reads as the sentence it is
    """Another process holds the embedded store."""


class StoreUnreachable(StoreError):  # noqa: N818
    """Nothing answers where ClickHouse should be. Worth retrying."""


class StoreDenied(StoreError):  # noqa: N818
    """The server does not let this user in, or does not let it do this."""


class MigrationRefused(StoreError):  # noqa: N818
    """The schema in the database does not follow from the migrations shipped here."""


class QueryRefused(StoreError):  # noqa: N818
    """The text is not a read."""


class QueryFailed(StoreError):  # noqa: N818
    """The engine rejected a read."""


class TransientInsert(StoreError):  # noqa: N818
    """The insert may succeed when repeated."""


class PermanentInsert(StoreError):  # noqa: N818
    """The insert cannot succeed as it is."""


class SpoolError(Exception):
    """Base of everything that concerns the files between the dataflow and the store."""


class SpoolClosed(SpoolError):  # noqa: N818
    """The spool was closed while a write waited for room. Nothing is lost: the epoch is not durable yet."""


class SegmentDamaged(SpoolError):  # noqa: N818
    """A spool file is cut short or is not one of ours."""
