"""An S3 server on the loopback interface: moto's, with faults that a test asks for."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal
from unittest.mock import patch

import pytest
from werkzeug.serving import make_server

from sources.s3.bucket import Bucket

Environment = dict[str, Any]
REGION = "us-east-1"


@dataclass
class Fault:
    """What happens to requests that ``matches``, ``times`` times.

    ``refuse``: nothing is done, the answer is the error ``code``. ``lose``: it is done, and the answer is an error. ``cut``: the answer
    ends after half of its body. ``wait``: ``meanwhile`` is called before it is done. ``unconditional``: its header ``code`` is ignored.
    """

    matches: Callable[[str, str], bool]
    """Gets the method, and the path with the query."""
    kind: Literal["refuse", "lose", "cut", "wait", "unconditional"]
    code: str = "InternalError"
    status: str = "500 Internal Server Error"
    times: int = 1
    meanwhile: Callable[[], object] = lambda: None


@dataclass
class S3Server:
    """A running server. ``seen`` has the method and the path of every request."""

    endpoint: str = ""
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)

    def bucket(self, name: str) -> Bucket:
        """Create the bucket ``name`` and return it. The caller closes it."""
        bucket = Bucket(name)
        bucket.request("create_bucket")
        return bucket

    def _fault(self, method: str, where: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.matches(method, where):
                fault.times -= 1
                return fault
        return None


class _Faulty:
    """The application of moto behind the faults of ``server``."""

    def __init__(self, application: Any, server: S3Server) -> None:
        self._application, self._server = application, server

    def __call__(self, environ: Environment, start_response: Callable[..., Any]) -> Iterable[bytes]:
        query = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else ""
        method, where = environ["REQUEST_METHOD"], f"{environ['PATH_INFO']}{query}"
        self._server.seen.append((method, where))
        fault = self._server._fault(method, where)
        if not _is_what_was_sent(environ):
            return _error(Fault(lambda _method, _where: True, "refuse", "BadDigest", "400 Bad Request"), start_response)
        if fault is None:
            answer: Iterable[bytes] = self._application(environ, start_response)
            return answer
        if fault.kind == "wait":
            fault.meanwhile()
            return list(self._application(environ, start_response))
        if fault.kind == "unconditional":
            environ.pop(fault.code, None)
            return list(self._application(environ, start_response))
        if fault.kind == "refuse":
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return _error(fault, start_response)
        if fault.kind == "lose":
            list(self._application(environ, lambda *_arguments: None))
            return _error(fault, start_response)
        body = b"".join(self._application(environ, start_response))  # the header has the whole length
        return [body[: len(body) // 2]]


def _is_what_was_sent(environ: Environment) -> bool:
    """Compare the content with its checksum, which moto leaves out. S3 would refuse a part without one, too."""
    if environ["REQUEST_METHOD"] != "PUT" or "/" not in environ["PATH_INFO"].strip("/"):  # of a bucket
        return True
    data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(data)
    checksum = environ.get("HTTP_X_AMZ_CHECKSUM_SHA256")
    expected = base64.b64encode(hashlib.sha256(data).digest()).decode()
    return bool(checksum == expected)


def _error(fault: Fault, start_response: Callable[..., Any]) -> list[bytes]:
    body = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>the key is {SECRET}</Message></Error>".encode()
    start_response(fault.status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


SECRET = "moto-secret-that-nobody-may-see"


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run a server for the block."""
    from botocore import session
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = S3Server()
    application = _Faulty(DomainDispatcherApplication(create_backend_app), server)
    listener = make_server("127.0.0.1", 0, application, threaded=True)
    server.endpoint = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, name="s3", daemon=True)
    thread.start()
    try:
        with patch.object(session, "create_loader", cache(session.create_loader)):  # reads megabytes of JSON, for each client
            yield server
    finally:
        listener.shutdown()
        thread.join(30)
        listener.server_close()


def point_to(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let programs for AWS in this process use the server, and nothing of this machine."""
    for name, value in environment_of(server).items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)


def environment_of(server: S3Server) -> dict[str, str]:
    """The variables with which a program uses the server."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }
