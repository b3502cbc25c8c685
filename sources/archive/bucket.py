"""An archive's files in a bucket of S3. Locks are claims that end by themselves (``sources/s3/lease.py``).

A put is whole or nothing, and names are listed as soon as they are there. Before each change this process looks whether it still holds its
claims. If it was frozen and lost them, another process may append too: then two files may have the same offsets, of which each counts once.
"""

from __future__ import annotations

import errno
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Final

from sources.archive.store import APPEND, CHANGE
from sources.errors import ArchiveError, ObjectExistsError, ObjectMissingError
from sources.s3.bucket import Bucket
from sources.s3.lease import SECONDS, Lease, look
from sources.s3.location import Location

_LOG = logging.getLogger(__name__)
_WAIT_S: Final = 2 * SECONDS
"""How long to wait for another process that changes files; one that was killed holds its claim until that ends."""
_PAUSE_S: Final = 0.25
_PROBE: Final = "probe-"  # and what is different for each start: another one may begin at the same time
_LONGEST_FLIGHT_S: Final = 900.0
"""S3 takes no request that was signed longer ago. So long after its last sign of life a process may still write a file."""


class BucketPlace:
    """The objects whose keys begin with the key of ``location``."""

    def __init__(self, location: Location) -> None:
        """Connect to nothing yet."""
        self._location = location._replace(key=location.key.rstrip("/"))
        self._prefix = f"{self._location.key}/" if self._location.key else ""
        self.place = str(location)
        self._leases: list[Lease] = []

    @cached_property
    def _bucket(self) -> Bucket:
        return Bucket(self._location.bucket)

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def prepare(self) -> None:
        """Refuse a store that cannot keep the promises of an archive: one that ignores conditions, and one that keeps old versions."""
        self.check_erasing()
        probe = self._key(f"{_PROBE}{uuid.uuid4().hex}")
        self._bucket.put(probe, b"")
        try:
            for condition in ({"new": True}, {"instead_of": '"0"'}):
                try:
                    self._bucket.put(probe, b"", **condition)
                except ObjectExistsError:
                    continue
                raise ArchiveError(
                    f"The store of {self.place} ignores conditions (If-None-Match, If-Match), by which one process alone archives; use a "
                    "store that knows them, or a directory."
                )
        finally:
            self._bucket.remove(probe)

    def check_erasing(self) -> None:
        """Refuse a bucket with versions."""
        if self._bucket.keeps_versions():
            raise ArchiveError(
                f"The bucket of {self.place} keeps old versions of objects, and would keep what is forgotten; use one without versioning."
            )

    def foreign(self) -> str | None:
        """Return the name of an object that is of no archive."""
        names = (each.key.removeprefix(self._prefix) for each in self._bucket.list(self._prefix))
        return next((name for name in names if name not in {APPEND, CHANGE} and not name.startswith(_PROBE)), None)

    def names(self) -> Iterator[str]:
        """Yield the names of all objects in places ``day=…``."""
        return (name for name, _ in self.sizes())

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield the same names with their bytes."""
        for each in self._bucket.list(self._key("day=")):
            yield each.key.removeprefix(self._prefix), each.size

    def where(self, name: str) -> str:
        """The address of an object."""
        return str(self._location._replace(key=self._key(name)))

    def read(self, name: str) -> bytes:
        """Return an object. Raises ``FileNotFoundError``."""
        try:
            return self._bucket.get(self._key(name))[0]
        except ObjectMissingError as error:
            raise FileNotFoundError(errno.ENOENT, "there is no such object", self.where(name)) from error

    def create(self, name: str, data: bytes) -> None:
        """Write an object. One that is there stays: the answer to the first request was lost, or another process wrote the same offsets."""
        self._check_claims()
        try:
            self._bucket.put(self._key(name), data, new=True)
        except ObjectExistsError:
            return

    def replace(self, name: str, data: bytes) -> None:
        """Write an object, in the place of one of this name."""
        self._check_claims()
        self._bucket.put(self._key(name), data)

    def remove(self, name: str) -> None:
        """Remove an object."""
        self._check_claims()
        self._bucket.remove(self._key(name))

    def tidy(self) -> None:
        """Do nothing: an object is there whole or not at all."""

    def _check_claims(self) -> None:
        if not all(lease.holds() for lease in self._leases):
            raise ArchiveError(
                f"This process could not renew its claim on {self.place} for {SECONDS:.0f} s, so another one may archive now; start it "
                "again. What was written is safe."
            )

    @contextmanager
    def appending(self) -> Iterator[None]:
        """Be the one process that appends. After one that was killed, wait until its claim ends, a minute at most."""
        with self._claim(APPEND, f"Another process archives into {self.place}; end it, or name another place.", patient=False):
            yield

    def is_appended_to(self) -> bool:
        """Whether a process appends now, or was killed so shortly ago that a request of it may still arrive."""
        found = look(self._bucket, self._key(APPEND))
        return found is not None and bool(found.owner) and found.age < _LONGEST_FLIGHT_S

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Be the one process that changes objects."""
        with self._claim(CHANGE, f"Another process has been changing the archive {self.place} for {_WAIT_S:.0f} s; end it if it hangs."):
            yield

    @contextmanager
    def _claim(self, name: str, refusal: str, *, patient: bool = True) -> Iterator[None]:
        """Hold a claim for the block. Without ``patient`` give up as soon as another process is seen to renew it."""
        key, deadline, first = self._key(name), time.monotonic() + _WAIT_S, None
        lease = Lease(self._bucket, key, seconds=SECONDS)
        while not lease.take():
            if first is None:
                _LOG.info("Another process holds %s; waiting until it gives that back, or does not renew it.", self.where(name))
            seen = look(self._bucket, key)
            first = first or seen
            renewed = first is not None and seen is not None and first.owner == seen.owner and first.tag != seen.tag
            if time.monotonic() > deadline or (renewed and not patient):
                raise ArchiveError(refusal)
            time.sleep(_PAUSE_S)
        self._leases.append(lease)
        try:
            yield
        finally:
            self._leases.remove(lease)
            lease.give_back()
