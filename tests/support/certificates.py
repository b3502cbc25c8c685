"""Certificates for tests of TLS, made by the program ``openssl``: an authority, and servers and clients that it signed."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE

_CONFIG = """
[ca]
default_ca = default
[default]
database = index.txt
new_certs_dir = .
serial = serial
default_md = sha256
policy = policy
copy_extensions = copy
unique_subject = no
[policy]
commonName = supplied
"""
_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
_LONG_AGO, _PAST, _FUTURE = "20200101000000Z", "20200102000000Z", "20490101000000Z"


@dataclass(frozen=True)
class Certificate:
    """Two files in PEM: the certificate and its private key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """An authority in a directory of its own. ``file`` is its certificate, which clients and servers name to trust it."""

    directory: Path

    @property
    def file(self) -> Path:
        """The certificate of the authority."""
        return self.directory / "ca.pem"

    def sign(self, name: str, *, host: str = "localhost", address: str = "127.0.0.1", expired: bool = False) -> Certificate:
        """A certificate for ``host`` and ``address``, for servers and clients alike. ``name`` names its files."""
        made = Certificate(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        alternatives = f"subjectAltName=DNS:{host},IP:{address}"
        self._openssl("req", "-new", *_KEY, "-keyout", made.key, "-out", f"{name}.csr", "-subj", f"/CN={host}", "-addext", alternatives)
        dates: list[str | Path] = ["-startdate", _LONG_AGO, "-enddate", _PAST if expired else _FUTURE]
        files: list[str | Path] = ["-cert", "ca.pem", "-keyfile", "ca.key", "-in", f"{name}.csr", "-out", made.certificate]
        self._openssl("ca", "-config", "ca.cnf", "-batch", "-notext", *dates, *files)
        return made

    def _openssl(self, *words: str | Path) -> None:
        command = ["openssl", *map(str, words)]
        done = subprocess.run(command, check=False, cwd=self.directory, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr


def make_authority(directory: Path) -> Authority:
    """Make an authority. Skips the test where the program ``openssl`` is missing."""
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl, which makes the certificates, is not installed")
    made = Authority(directory)
    (directory / "ca.cnf").write_text(_CONFIG)
    (directory / "index.txt").touch()
    (directory / "serial").write_text("01\n")
    extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]
    made._openssl("req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test", "-days", "3650", *extensions)
    return made
