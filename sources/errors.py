"""Errors of inputs. Every message is one sentence that says what to do.

::

    SourceError
    ├── InputError          a file cannot be read, or differs from the one that was read before: an operator must act
    ├── BrokerError         the broker rejects the job, or has no such topic: an operator must act
    │   └── UnknownTopicError  it has no such topic or partition: an operator must create it
    ├── LogError            the local event log cannot be read or written: an operator must act
    │   └── LogFullError    it cannot grow: appending succeeds once there is space
    ├── ArchiveError        the archive of the log cannot be read or written: an operator must act
    │   └── ArchiveFileError    a file of it is damaged, or of another program: an operator must restore it
    ├── ObjectStoreError    a bucket of S3, or an object in it, cannot be used: an operator must act
    │   ├── ObjectMissingError   there is no such object
    │   └── ObjectExistsError    there is one already, or it is another one than expected
    ├── OffsetGapError      messages after the last position are gone: an operator must restore them or accept the gap
    └── UnreachableError    no broker answered within the time limit: retryable
"""

from __future__ import annotations


class SourceError(Exception):
    """An input cannot be read."""


class InputError(SourceError):
    """A file cannot be read, or differs from the one that was read before."""


class BrokerError(SourceError):
    """The broker rejects the job, or has no such topic. A retry does not help."""


class UnknownTopicError(BrokerError):
    """The cluster has no such topic or partition."""


class LogError(SourceError):
    """The local event log cannot be read or written."""


class LogFullError(LogError):
    """The local event log cannot grow: the disk is full, or a limit is reached. What was appended before is safe."""


class ArchiveError(SourceError):
    """The archive of the log cannot be read or written."""


class ArchiveFileError(ArchiveError):
    """A file of the archive is damaged, or of another program."""


class ObjectStoreError(SourceError):
    """A bucket of S3, or an object in it, cannot be used."""


class ObjectMissingError(ObjectStoreError):
    """There is no such object."""


class ObjectExistsError(ObjectStoreError):
    """There is an object of this name already, or it is another one than expected. Nothing was changed."""


class OffsetGapError(SourceError):
    """The position to resume from is no longer in the topic or log. A retry does not help."""


class UnreachableError(SourceError):
    """No broker answered within the time limit. The same start may succeed later."""
