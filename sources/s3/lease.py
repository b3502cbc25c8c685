"""A claim that one process at a time holds, as an object in a bucket. It ends by itself when its holder does not renew it.

The object says who holds it and for how many seconds. Whoever takes it writes the object under the condition that it is still the one that
was read, so of two only one succeeds. Whether it has ended is judged by the clock of the store: its time of now, and that of the object.
The holder counts from before its own request, on a clock that only grows, so it stops believing in the claim before anybody else does.

What no such claim can rule out: a process that is frozen for a minute between its last look at the claim and the request that follows.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

import msgspec

from sources.errors import ObjectExistsError, ObjectMissingError, ObjectStoreError
from sources.s3.bucket import Bucket

_LOG = logging.getLogger(__name__)
SECONDS: Final = 60.0
_MARGIN_S: Final = 5.0
"""The store's times are whole seconds."""
_RENEWALS: Final = 4  # in the time after which a claim ends
_JOIN_S: Final = 5.0


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    """``owner`` is empty once the claim was given back. ``renewal`` makes each content, and so each entity tag, another one.

    Otherwise a claim that was renewed between the look at it and the write in its place would seem unchanged.
    """

    owner: str
    seconds: float
    renewal: str


class Held(NamedTuple):
    """What the object says: who holds the claim, its entity tag, for how many seconds it was not renewed, and whether it has ended."""

    owner: str
    tag: str
    age: float
    ended: bool


def look(bucket: Bucket, key: str) -> Held | None:
    """Read a claim; None where nobody ever had it. Raises ``ObjectStoreError``."""
    try:
        data, answer = bucket.get_with_answer(key)
    except ObjectMissingError:
        return None
    try:
        content = msgspec.json.decode(data, type=_Content)
    except ValueError:
        content = _Content("?", SECONDS, "")  # of another program; it ends as any other
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if date is None:
        raise ObjectStoreError(f"{bucket.endpoint} tells no time in its answers, so a claim in it would never end; use another store.")
    now = parsedate_to_datetime(date)
    age = max(0.0, (now - answer["LastModified"]).total_seconds())
    return Held(content.owner, answer["ETag"], age, not content.owner or age > content.seconds + _MARGIN_S)


class Lease:
    """A claim of this process on the object ``key``. A thread renews it until it is given back."""

    def __init__(self, bucket: Bucket, key: str, *, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Claim nothing yet."""
        self._bucket, self._key, self._seconds, self._clock = bucket, key, seconds, clock
        self._owner = uuid.uuid4().hex
        self._tag = ""
        self._until = -1.0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self) -> bool:
        """Try to take the claim, once. Raises ``ObjectStoreError``."""
        if not self._write(look(self._bucket, self._key)):
            return False
        self._ended.clear()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()
        return True

    def holds(self) -> bool:
        """Whether the claim is still that of this process, as far as it knows. Asks nobody."""
        return self._clock() < self._until

    def give_back(self) -> None:
        """End the claim. If that cannot be written, it ends by itself."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
            self._thread = None
        if self.holds():
            self._until = -1.0
            with suppress(ObjectStoreError):
                self._bucket.put(self._key, msgspec.json.encode(_Content("", self._seconds, uuid.uuid4().hex)), instead_of=self._tag)

    def _write(self, found: Held | None) -> bool:
        """Write the object as this process's, in the place of the one that was found. Return whether it is."""
        if found is not None and not found.ended and found.owner != self._owner:
            return False
        started = self._clock()
        data = msgspec.json.encode(_Content(self._owner, self._seconds, uuid.uuid4().hex))
        try:
            self._tag = (
                self._bucket.put(self._key, data, new=True) if found is None else self._bucket.put(self._key, data, instead_of=found.tag)
            )
        except (ObjectExistsError, ObjectMissingError):  # another one was faster; or the answer was lost, and the request was sent again
            again = look(self._bucket, self._key)
            if again is None or again.owner != self._owner:
                return False
            self._tag = again.tag
        self._until = started + self._seconds
        return True

    def _renew(self) -> None:
        while not self._ended.wait(self._seconds / _RENEWALS):
            try:
                if not self._write(Held(self._owner, self._tag, 0.0, ended=False)):
                    self._until = -1.0
                    return
            except ObjectStoreError as error:
                _LOG.warning("The claim %s was not renewed: %s", self._key, error)
