"""Long transfers of one object: an upload of many parts that is there whole or not at all, and a read that outlives cut connections."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

from typing_extensions import Buffer, override

from sources.errors import ObjectExistsError, ObjectStoreError
from sources.s3.bucket import Bucket, NotImplementedInStoreError, checksum_of
from sources.s3.location import Location

_PART: Final = 16 * 1024 * 1024
_MOST_PARTS: Final = 10_000  # S3 takes no more
_PIECE: Final = 1024 * 1024
_MARK: Final = "onramp-upload"  # metadata of the object: which upload wrote it
_CUT: Final = 5
"""So many cut connections in a row, without a byte between them, end a read."""


class Upload:
    """An upload that has begun. ``uploading`` makes one."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket, self._key, self._mark = bucket, key, uuid.uuid4().hex
        begun = bucket.request("create_multipart_upload", key, ChecksumAlgorithm="SHA256", Metadata={_MARK: self._mark})
        self._id: str = begun["UploadId"]

    def abort(self) -> None:
        """Remove the parts that were sent."""
        self._bucket.request("abort_multipart_upload", self._key, UploadId=self._id)

    def send(self, path: Path, on_bytes: Callable[[int], object]) -> None:
        """Send the file and finish the object, if there is still none of its name. The store compares each part with its SHA-256.

        Raises ``ObjectStoreError`` and ``OSError``; then there is no object.
        """
        size = path.stat().st_size
        length = max(_PART, -(-size // _MOST_PARTS))
        parts: list[dict[str, Any]] = []
        with path.open("rb") as file:
            while (data := file.read(length)) or not parts:
                number = len(parts) + 1
                checksum = {"ChecksumSHA256": checksum_of(data)}
                sent = self._bucket.request("upload_part", self._key, UploadId=self._id, PartNumber=number, Body=data, **checksum)
                parts.append({"PartNumber": number, "ETag": sent["ETag"], **checksum})
                on_bytes(len(data))
        refused: ObjectStoreError | None = None
        try:
            self._finish(parts)
        except ObjectStoreError as error:  # also if the first answer was lost, and the request was sent again
            refused = error
        self._check_finished(size, refused)

    def _finish(self, parts: list[dict[str, Any]]) -> None:
        arguments = {"UploadId": self._id, "MultipartUpload": {"Parts": parts}}
        try:
            self._bucket.request("complete_multipart_upload", self._key, **arguments, IfNoneMatch="*")
        except NotImplementedInStoreError:  # some stores know no condition here
            if _is_there(self._bucket, self._key):
                raise ObjectExistsError(f"{Location(self._bucket.name, self._key)} exists already; name another object.") from None
            self._bucket.request("complete_multipart_upload", self._key, **arguments)

    def _check_finished(self, size: int, refused: ObjectStoreError | None) -> None:
        try:
            found = self._bucket.request("head_object", self._key)
        except ObjectStoreError as error:
            raise refused or error from None
        if found.get("Metadata", {}).get(_MARK) != self._mark:
            raise refused or ObjectExistsError(f"{Location(self._bucket.name, self._key)} was written by another process just now.")
        if found["ContentLength"] != size:
            raise ObjectStoreError(
                f"{Location(self._bucket.name, self._key)} has {found['ContentLength']} bytes, and {size} were sent; delete it and repeat."
            )


@contextmanager
def uploading(location: Location) -> Iterator[Upload]:
    """Begin an upload, so that a bucket or credentials that are wrong are known before anything long is done. Abort it if it is not sent.

    Raises ``ObjectStoreError``, ``ObjectExistsError`` if there is an object of this name.
    """
    bucket = Bucket(location.bucket)
    try:
        if _is_there(bucket, location.key):
            raise ObjectExistsError(f"{location} exists already; name another object.")
        upload = Upload(bucket, location.key)
        try:
            yield upload
        except BaseException:
            with suppress(ObjectStoreError):
                upload.abort()
            raise
    finally:
        bucket.close()


def _is_there(bucket: Bucket, key: str) -> bool:
    """Whether there is an object, as far as this may be asked: the answer to a HEAD tells no reason, so what comes next tells it."""
    try:
        bucket.request("head_object", key)
    except ObjectStoreError:
        return False
    return True


@contextmanager
def downloading(location: Location) -> Iterator[io.BufferedReader]:
    """Open an object to read it once, from its beginning. Raises ``ObjectStoreError``, also from its ``read``."""
    bucket = Bucket(location.bucket)
    try:
        with cast(io.BufferedReader, io.BufferedReader(_Reading(bucket, location), _PIECE)) as file:
            yield file
    finally:
        bucket.close()


class _Reading(io.RawIOBase):
    """Reads an object. Where the connection is cut it goes on at that byte, of the same object or not at all."""

    def __init__(self, bucket: Bucket, location: Location) -> None:
        self._bucket, self._location = bucket, location
        answer, self._read = bucket.reading(location.key)
        self._size, self._tag = int(answer["ContentLength"]), answer["ETag"]
        self._at = self._cut = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        while self._at < self._size:
            try:
                data = self._read(min(len(view), self._size - self._at))
                if data:
                    view[: len(data)] = data
                    self._at += len(data)
                    self._cut = 0
                    return len(data)
                self._count_cut(None)
            except ObjectStoreError as error:
                self._count_cut(error)
            _, self._read = self._bucket.reading(self._location.key, Range=f"bytes={self._at}-", IfMatch=self._tag)
        return 0

    def _count_cut(self, error: ObjectStoreError | None) -> None:
        self._cut += 1
        if self._cut >= _CUT:
            raise error or ObjectStoreError(f"{self._location} ends at byte {self._at} of {self._size} every time; try again later.")
