"""What can go wrong with an input. Every message is one sentence that says what to do.

::

    SourceError
    ├── InputError          a file cannot be read, or is not the one that was read before: a person must act
    ├── BrokerError         the broker refuses us, or knows no such topic: a person must act
    │   └── OffsetGapError  messages between the last position and now are gone: a person must accept that, or bring them back
    └── UnreachableError    nobody answered for a bounded time: a supervisor may try again
"""

from __future__ import annotations


class SourceError(Exception):
    """An input cannot be read."""


class InputError(SourceError):
    """A file cannot be read, or is not the one that was read before."""


class BrokerError(SourceError):
    """The broker refuses us for good, or knows no such topic."""


class OffsetGapError(BrokerError):
    """The position to go on from is no longer in the topic."""


class UnreachableError(SourceError):
    """The broker did not answer for a bounded time. The same start may succeed later."""
