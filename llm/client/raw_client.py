"""The HTTP client under the SDK: bodies as the server sent them, bounded, and requests without what the SDK adds about this machine.

Servers differ in ways that end an SDK: a body that says it is compressed and is not, endless bodies, other charsets. So the SDK gets every
body as plain bytes and never parses it; ``reply.py`` does.
"""

from __future__ import annotations

from typing import Any, Final

import httpx2
import openai
from typing_extensions import override

_CONTENT_TYPE: Final = "onramp_content_type"
"""The extension of a response that holds the server's content type. The SDK decodes an error's body by that header, and not every charset
can be decoded."""
_ABOUT_THE_BODY: Final = frozenset({"content-encoding", "content-length", "content-type", "transfer-encoding"})


class TooLargeError(httpx2.RequestError):
    """A body has more than ``most`` bytes. ``status`` is that of its response."""

    def __init__(self, most: int, status: int) -> None:
        super().__init__(f"the body has more than {most} bytes")
        self.most, self.status = most, status


class BrokenBodyError(httpx2.RequestError):
    """The connection broke in the middle of a body. ``status`` is that of its response."""

    def __init__(self, status: int) -> None:
        super().__init__("the connection broke in the middle of a body")
        self.status = status


class RawClient(openai.DefaultAsyncHttpxClient):
    """``largest``: bytes of a body. ``anonymous``: the server needs no key, and none is sent. The environment's proxies count, unless
    ``transport`` replaces the network.
    """

    def __init__(self, *, largest: int, anonymous: bool, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        """Open no connection. Raises ``ValueError``, ``ImportError`` or ``httpx2.InvalidURL`` for a proxy that cannot be used."""
        super().__init__(
            follow_redirects=False,  # a redirect would send the prompt to an address that the operator did not choose
            limits=httpx2.Limits(max_connections=1000, max_keepalive_connections=100),
            transport=transport,
        )
        self._largest, self._anonymous = largest, anonymous

    @override
    async def send(self, request: httpx2.Request, *, stream: bool = False, **more: Any) -> httpx2.Response:
        """Send ``request`` and read the whole body, with ``stream`` too. Raises ``httpx2.HTTPError``, which includes the errors above."""
        hidden = ("x-stainless-", "authorization") if self._anonymous else ("x-stainless-",)
        headers = [(name, value) for name, value in request.headers.multi_items() if not name.lower().startswith(hidden)]
        # A request of its own: the SDK reads its headers again from the one it made.
        sent = httpx2.Request(request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions)
        sent.headers["User-Agent"] = "onramp"
        sent.headers["Accept-Encoding"] = "identity"
        response = await super().send(sent, stream=True, **more)
        body = bytearray()
        try:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._largest:
                    raise TooLargeError(self._largest, response.status_code)
        except (httpx2.TimeoutException, TooLargeError):
            raise
        except httpx2.HTTPError as error:
            raise BrokenBodyError(response.status_code) from error
        finally:
            await response.aclose()
        kept = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in _ABOUT_THE_BODY]
        extensions = {_CONTENT_TYPE: response.headers.get("content-type", "")}
        return httpx2.Response(response.status_code, headers=kept, content=bytes(body), request=request, extensions=extensions)


def content_type_of(response: httpx2.Response) -> str:
    """The content type that the server sent with a ``response`` of ``RawClient``; empty where it sent none."""
    return str(response.extensions[_CONTENT_TYPE])
