"""The transport under the SDK: bodies as the server sent them, bounded, and requests without what the SDK adds about this machine.

Servers differ in ways that end an SDK: a body that says it is compressed and is not, endless bodies, other charsets. So the SDK gets every
body as plain bytes and never parses it; ``reply.py`` does.
"""

from __future__ import annotations

from typing import Final

import httpx2
from typing_extensions import override

CONTENT_TYPE: Final = "onramp-content-type"
"""Header of the response that holds the server's content type. The SDK decodes an error's body by that type, and some types cannot be."""
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


class RawTransport(httpx2.AsyncBaseTransport):
    """Wraps a transport. ``largest``: bytes of a body. ``anonymous``: the server needs no key, and none is sent."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, *, largest: int, anonymous: bool) -> None:
        self._inner, self._largest, self._anonymous = inner, largest, anonymous

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        hidden = ("x-stainless-", "authorization") if self._anonymous else ("x-stainless-",)
        headers = [(name, value) for name, value in request.headers.multi_items() if not name.lower().startswith(hidden)]
        # A request of its own: the SDK reads its headers again from the one it made.
        sent = httpx2.Request(request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions)
        sent.headers["User-Agent"] = "onramp"
        sent.headers["Accept-Encoding"] = "identity"
        response = await self._inner.handle_async_request(sent)
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
        kept.append((CONTENT_TYPE, response.headers.get("content-type", "")))
        return httpx2.Response(response.status_code, headers=kept, content=bytes(body), request=request)

    @override
    async def aclose(self) -> None:
        await self._inner.aclose()
