"""Finds the TLS fault below an error of a client, and says what to do about it. By the codes of OpenSSL, not by its texts."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Final

_EXPIRED, _NOT_YET_VALID, _OTHER_HOST, _OTHER_ADDRESS = 10, 9, 62, 64  # X509_V_ERR_… of OpenSSL

_OF_CERTIFICATE: Final = {
    _EXPIRED: "the server's certificate has expired: renew it on the server",
    _NOT_YET_VALID: "the server's certificate is not valid yet: check the clocks of both machines",
    _OTHER_HOST: "the server's certificate is for another host name: use the name in the certificate",
    _OTHER_ADDRESS: "the server's certificate is for another address: use the name in the certificate",
}
_UNKNOWN_AUTHORITY: Final = (
    "the authority that signed the server's certificate is not known here: name its file in the address, {ca}=/path/ca.pem"
)

_OF_HANDSHAKE: Final = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS at this port: use the address without TLS, or the TLS port",
    "HTTP_REQUEST": "the server does not speak TLS at this port: use the address without TLS, or the TLS port",
    "RECORD_LAYER_FAILURE": "the server does not speak TLS at this port: use the address without TLS, or the TLS port",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server wants a certificate of the client: name its files in the address, {client}",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server refused the handshake; if it wants a certificate of the client, name its files, {client}",
    "TLSV1_ALERT_UNKNOWN_CA": "the server does not know the authority that signed the client's certificate: use a certificate it accepts",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the server refused the client's certificate: use a certificate it accepts",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the client's certificate has expired: renew it",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "the client's certificate was revoked: use another one",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the server refused the client's certificate: use a certificate it accepts",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "the server refused the client's certificate: use a certificate it accepts",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the server speaks only other versions of TLS: allow TLS 1.2 or newer on the server",
    "UNSUPPORTED_PROTOCOL": "the server speaks only other versions of TLS: allow TLS 1.2 or newer on the server",
    "NO_SHARED_CIPHER": "the server and this machine share no cipher: allow a current one on the server",
}


def advice_for_tls(error: BaseException, *, ca: str, client: str) -> str | None:
    """Return what to do where a retry cannot help: a certificate or a setting is wrong. None where the fault is no such TLS fault.

    ``ca`` and ``client`` are the names of the options of an address for the file of an authority, and for the client's own files.
    """
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _OF_CERTIFICATE.get(getattr(cause, "verify_code", 0), _UNKNOWN_AUTHORITY).format(ca=ca)
        if isinstance(cause, ssl.SSLError) and (advice := _OF_HANDSHAKE.get(cause.reason or "")):
            return advice.format(client=client)
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and what it came from: causes, contexts, and errors that clients keep in ``reason`` or as an argument."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inside = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
        waiting += [one for one in inside if isinstance(one, BaseException)]
