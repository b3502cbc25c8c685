"""One bucket: small objects whole, and the requests of longer transfers. Every failure is one sentence.

Credentials, region and endpoint come from where all programs for AWS take them: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE,
AWS_REGION, AWS_ENDPOINT_URL, ~/.aws, or the role of the machine. The library, botocore, is an optional extra (``onramp[s3]``).
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from sources.errors import ObjectExistsError, ObjectMissingError, ObjectStoreError
from sources.s3.location import Location

_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 60.0  # of a single read from the connection, not of a whole transfer
_ATTEMPTS: Final = 5
_MISSING: Final = frozenset({"NoSuchKey", "NotFound", "404"})
_EXISTS: Final = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
_DENIED: Final = frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "403"})
_BAD_CREDENTIALS: Final = frozenset(
    "InvalidAccessKeyId SignatureDoesNotMatch ExpiredToken ExpiredTokenException InvalidToken TokenRefreshRequired InvalidSecurity"
    " UnrecognizedClientException InvalidClientTokenId".split()
)
_OTHER_REGION: Final = frozenset("PermanentRedirect AuthorizationHeaderMalformed IllegalLocationConstraintException 301 307".split())
_DAMAGED: Final = frozenset("BadDigest InvalidDigest XAmzContentChecksumMismatch XAmzContentSHA256Mismatch".split())
_BUSY: Final = frozenset("SlowDown ServiceUnavailable InternalError RequestTimeout Throttling 500 502 503 504".split())
CREDENTIALS: Final = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this machine a role"


class NotImplementedInStoreError(ObjectStoreError):
    """The store speaks the protocol in part only."""


class Stored(NamedTuple):
    """An object of a list."""

    key: str
    size: int


class Bucket:
    """The bucket ``name``. Every method blocks, tries again what may succeed later, and raises ``ObjectStoreError``."""

    def __init__(self, name: str) -> None:
        """Connect to nothing yet. Raises ``ObjectStoreError`` if the library is not installed or the settings of AWS cannot be used."""
        try:
            import botocore.config  # noqa: PLC0415 -- an optional extra, which takes 0.3 s to import
            import botocore.exceptions  # noqa: PLC0415
            import botocore.session  # noqa: PLC0415
        except ImportError as error:
            raise ObjectStoreError(
                f"{_place(name)} needs a library that is not installed ({error.name} is missing); install onramp[s3]."
            ) from error
        logging.getLogger("botocore").setLevel(logging.WARNING)  # at debug it shows session tokens
        self.name = name
        self._exceptions: Any = botocore.exceptions
        self.endpoint = "S3"

        def connect(style: str | None) -> Any:
            retries = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
            s3 = {} if style is None else {"s3": {"addressing_style": style}}
            config = botocore.config.Config(connect_timeout=_CONNECT_S, read_timeout=_ANSWER_S, retries=retries, **s3)
            return session.create_client("s3", config=config)

        with self._errors():
            session = botocore.session.get_session()
            client = connect(None)
            own = session.get_scoped_config().get("s3", {})
            if "amazonaws.com" not in client.meta.endpoint_url and not (isinstance(own, dict) and "addressing_style" in own):
                client.close()
                client = connect("path")  # most other servers have no name of their own for each bucket
            self.endpoint = _shown(client.meta.endpoint_url)
        self._client = client

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def request(self, operation: str, key: str = "", **arguments: Any) -> dict[str, Any]:
        """Send one request of the S3 protocol about this bucket, or an object of it, and return the answer."""
        with self._errors(key):
            answer: dict[str, Any] = getattr(self._client, operation)(Bucket=self.name, **({"Key": key} if key else {}), **arguments)
            return answer

    def reading(self, key: str, **arguments: Any) -> tuple[dict[str, Any], Callable[[int], bytes]]:
        """Like ``request`` for reading an object: the answer, and a function that returns its next bytes."""
        answer = self.request("get_object", key, **arguments)
        body = answer["Body"]

        def read(size: int) -> bytes:
            with self._errors(key):
                data: bytes = body.read(size)
                return data

        return answer, read

    def get(self, key: str) -> tuple[bytes, str]:
        """Return an object and its entity tag. Raises ``ObjectMissingError``."""
        data, answer = self.get_with_answer(key)
        return data, answer["ETag"]

    def get_with_answer(self, key: str) -> tuple[bytes, dict[str, Any]]:
        """Return an object, and what the store said about it. Raises ``ObjectMissingError``."""
        answer = self.request("get_object", key, ChecksumMode="ENABLED")
        with self._errors(key), answer["Body"] as body:
            return body.read(), answer

    def keeps_versions(self) -> bool:
        """Whether an object that is replaced or deleted stays in the bucket, as an old version."""
        try:
            return "Status" in self.request("get_bucket_versioning")
        except NotImplementedInStoreError:
            return False

    def put(self, key: str, data: bytes, *, new: bool = False, instead_of: str | None = None) -> str:
        """Write an object whole and return its entity tag.

        Raises ``ObjectExistsError``, and changes nothing, if it is there with ``new``, or is not the one with the tag ``instead_of``.
        """
        condition = {"IfNoneMatch": "*"} if new else {} if instead_of is None else {"IfMatch": instead_of}
        tag: str = self.request("put_object", key, Body=data, ChecksumSHA256=checksum_of(data), **condition)["ETag"]
        return tag

    def remove(self, key: str) -> None:
        """Delete an object, also if it is not there."""
        self.request("delete_object", key)

    def list(self, prefix: str) -> Iterator[Stored]:
        """Yield all objects whose keys begin with ``prefix``, by key."""
        more: dict[str, str] = {}
        while True:
            answer = self.request("list_objects_v2", Prefix=prefix, **more)
            for each in answer.get("Contents", ()):
                yield Stored(each["Key"], each["Size"])
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def _errors(self, key: str = "") -> _Errors:
        return _Errors(self, str(Location(self.name, key)) if key else _place(self.name))

    def sentence(self, error: Exception, what: str) -> ObjectStoreError | None:
        """Return the error for the user; None for one that is not of S3. It quotes no text of the server: that may hold a secret."""
        kinds = self._exceptions
        if isinstance(error, kinds.ClientError):
            answer: dict[str, Any] = error.response
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return self._refused(what, str(answer.get("Error", {}).get("Code", "")), status)
        credentials = "NoCredentialsError PartialCredentialsError CredentialRetrievalError ProfileNotFound TokenRetrievalError SSOError"
        if isinstance(error, tuple(getattr(kinds, name) for name in credentials.split())):
            return ObjectStoreError(f"There are no credentials for {what}: {CREDENTIALS}.")
        if isinstance(error, kinds.NoRegionError):
            return ObjectStoreError(f"The region of {what} is not known; set AWS_REGION.")
        if isinstance(error, kinds.SSLError):
            return ObjectStoreError(
                f"The certificate of {self.endpoint} cannot be checked, so {what} was not used; set AWS_CA_BUNDLE or AWS_ENDPOINT_URL."
            )
        network = (kinds.HTTPClientError, kinds.ConnectionError, kinds.IncompleteReadError, OSError)
        if isinstance(error, network) or type(error).__module__.startswith("urllib3"):
            return ObjectStoreError(
                f"{self.endpoint} does not answer ({type(error).__name__}), so {what} was not used; check AWS_ENDPOINT_URL and the network."
            )
        if isinstance(error, kinds.ChecksumError | kinds.FlexibleChecksumError):
            return ObjectStoreError(f"{what} was damaged on its way, or in the store; repeat the command, or use another copy.")
        bad_endpoint = isinstance(error, ValueError | kinds.BotoCoreError) and "endpoint" in str(error).lower()
        if bad_endpoint or type(error).__name__ == "ResponseParserError":
            return ObjectStoreError(
                f"AWS_ENDPOINT_URL is no address of an S3 service, so {what} was not used; set it right or leave it unset."
            )
        if isinstance(error, kinds.BotoCoreError):
            return ObjectStoreError(f"The settings of AWS cannot be used for {what} ({type(error).__name__}); check AWS_* and ~/.aws.")
        return None

    def _refused(self, what: str, code: str, status: int) -> ObjectStoreError:
        if code == "NoSuchBucket":
            return ObjectStoreError(f"There is no bucket {self.name} at {self.endpoint}; create it, name another, or set AWS_ENDPOINT_URL.")
        if code in _MISSING:
            return ObjectMissingError(f"There is no object {what}; name one that is there.")
        if code in _EXISTS:
            return ObjectExistsError(f"{what} exists already; name another object.")
        if code in _DENIED:
            return ObjectStoreError(f"The credentials do not allow to use {what}; allow them to read, write, list and delete there.")
        if code in _BAD_CREDENTIALS:
            return ObjectStoreError(f"The credentials for {what} are refused ({code}): {CREDENTIALS}.")
        if code == "RequestTimeTooSkewed":
            return ObjectStoreError(f"The clock of this machine differs too much from that of {self.endpoint}; set the clock.")
        if code in _OTHER_REGION:
            return ObjectStoreError(f"The bucket {self.name} is in another region; set AWS_REGION to its own.")
        if code in _DAMAGED:
            return ObjectStoreError(f"{what} was damaged on its way; repeat the command.")
        if code == "NotImplemented":
            return NotImplementedInStoreError(f"{self.endpoint} cannot do what {what} needs; use another store.")
        if code in _BUSY:
            return ObjectStoreError(f"{self.endpoint} fails for now ({code}), so {what} was not used; try again later.")
        shown = code if code.isalnum() else ""
        return ObjectStoreError(f"{self.endpoint} refuses {what} ({shown or f'HTTP {status}'}); check the address and AWS_ENDPOINT_URL.")


def checksum_of(data: bytes) -> str:
    """The checksum that a store compares with what it got. In a header: older stores do not know those that follow the content."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


class _Errors:
    """For the block: turn what the library raises into ``ObjectStoreError``."""

    def __init__(self, bucket: Bucket, what: str) -> None:
        self._bucket, self._what = bucket, what

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> None:
        """Raise the sentence, without the library's own text."""
        if isinstance(error, Exception) and (found := self._bucket.sentence(error, self._what)) is not None:
            raise found from None


def _place(bucket: str) -> str:
    return f"the bucket {bucket}"


def _shown(endpoint: str) -> str:
    """The address without a user and a password."""
    scheme, _, rest = endpoint.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"
