"""One connection: uvicorn's protocol, with limits for what a client can do before it is known.

uvicorn bounds neither the bytes of a head (the request line and the headers) nor the time it may take, and refuses every request once there
are enough connections. Here

- a head that is too large gets 431, and the connection is closed. Bytes between two pieces of a body, and after the last, count the same;
- a connection on which no request is under way must bring a head in ``head_seconds``, or is closed without an answer. The rest of a body
  whose request was answered before has ``body_seconds``, so that a slow client can read the answer;
- at the limit of connections the one that has waited longest for a request is closed for a new one; where none waits, the one whose
  client has longest been awaited, to send a body or to take an answer, unless the caller has a server key or a user token. Requests beyond
  the limit get 503, but the health addresses are always answered;
- requests that come before the last one is answered, and taken, wait for it, up to ``unanswered`` of them. What comes after these is
  dropped, and the connection closed once they are answered. Nothing waits for a stream: what comes behind one is dropped like this;
- ``Upgrade`` is passed over: the request is answered as any other, with its body;
- a client that takes nothing of its answer for ``send_seconds`` is cut off;
- heads that are not complete, requests that wait, large heads until they are answered, and answers that are not taken have a limit of
  memory together. Nothing else of an answered request is kept.

``tests/gateway/test_connection_*.py`` fail where a new uvicorn no longer works like this.
"""

from __future__ import annotations

import logging
from asyncio import TimerHandle, Transport
from collections import OrderedDict, deque
from functools import partial
from typing import Any, Final, cast
from weakref import WeakMethod

import msgspec
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.body import BODY_SECONDS
from gateway.byte_budget import ByteBudget
from gateway.caller import TRUSTED
from gateway.headers import RELEASE_HEAD
from gateway.refusals import Refusals
from gateway.stream_route import MOST_STREAMS

MOST_CONNECTIONS: Final = 2 * MOST_STREAMS
"""Open connections of a process. As many as all streams may have are left for events and reads."""
ALWAYS_ANSWERED: Final = frozenset({b"/healthz", b"/readyz", b"/metrics"})
"""What probes ask. Restarting a gateway because it has many clients would help nobody."""
_PIECE: Final = 16_384
"""Bytes that are parsed at once, so that no more than so many come between a limit and its check. The event loop reads up to 256,000."""
_REQUEST_COSTS: Final = 4_096
"""Bytes that a request takes in memory besides its head and body."""
_HEADER_COSTS: Final = 256
"""Bytes that a header takes in memory besides those that were sent: two texts, their pair, and their place in a list and a dictionary.

175 as Python counts, for a header of six bytes; some more as the allocator rounds, and as the framework copies::

    python -c "import tracemalloc as t; t.start(); h = [(b'h%02d' % i, b'v%02d' % i) for i in range(100)]; d = dict(h); \
        print(t.get_traced_memory()[0] / 100)"
"""
_ADDRESS_COSTS: Final = 8
"""Bytes that each byte of the address takes: it is kept as it came, split, and decoded, where a character may need four."""
_LARGE_HEAD: Final = 8_192
"""Bytes in memory of a head that counts until it is answered, or is released: one with more than about 28 headers."""
_UNREAD: Final = 1_024
"""Bytes of an answer that may wait for the client uncounted. The head of an answer has less, so that it is counted with its body."""
_LOG: Final = logging.getLogger("uvicorn.error.connection")
"""For uvicorn's protocol, which warns of every request that it refuses. ``Refusals`` tells of those."""
_LOG.setLevel(logging.ERROR)
_TOO_LARGE: Final = b'{"code":"headers_too_large","message":"the request line and the headers are too large; send fewer and shorter ones"}'


class Limits(msgspec.Struct, frozen=True):
    """What one connection may do, and how many there may be. A head of up to ``head_bytes`` passes, and one of 16 KiB more never does."""

    head_bytes: int = 32_768
    """Four times the longest ``Authorization`` header."""
    memory_bytes: int = 64 * 1_048_576
    """For all heads that are not complete or large, all requests that wait for another one, and all answers that are not taken, at once. A
    connection that would not fit is cut off. Most heads come whole, and most answers are taken at once, and need none of this.
    """
    unanswered: int = 16
    """Requests of one connection. Browsers and balancers have one at a time."""
    headers: int = 100
    head_seconds: float = 10.0
    body_seconds: float = BODY_SECONDS
    send_seconds: float = 30.0
    keep_alive_seconds: int = 75
    """Longer than the idle limit of usual load balancers (60 s): the side that closes first must be theirs."""
    connections: int = MOST_CONNECTIONS


class HeadTooLargeError(Exception):
    """The parser must stop. uvicorn answers what it raises by ``send_400_response``."""


class TooManyUnansweredError(Exception):
    """The parser must stop, too, and the requests before this one be answered."""


class Connection(HttpToolsProtocol):
    """The protocol of one connection. Used from the event loop only; nothing here blocks."""

    def __init__(
        self,
        *,
        limits: Limits,
        idle: OrderedDict[Connection, None],
        stalled: OrderedDict[Connection, None],
        memory: ByteBudget,
        refusals: Refusals,
        **uvicorns: Any,
    ) -> None:
        """``idle``: the connections of the server on which no request is under way, the longest waiting one first. ``stalled``: those with
        a request whose client is awaited, in the same order, except where the caller was found to be trusted. ``memory`` is for what all of
        them hold. What is refused is counted in ``refusals``.
        """
        super().__init__(**uvicorns)
        self.logger = _LOG
        self._refusals = refusals
        self._limits = limits
        self._idle = idle
        self._stalled = stalled
        self._memory = memory
        self._served: RequestResponseCycle | None = None
        """The request that the application answers, or answered last. uvicorn's ``cycle`` is the last one that came."""
        self._postponed: tuple[RequestResponseCycle, Any] | None = None
        """The next request, and what answers it, where the client has not taken the answer before it."""
        self._unfinished = 0
        """Bytes since the parser last completed a head or a piece of a body."""
        self._began = 0
        """Bytes of the piece in which the head began that is not complete, where something else ended in that piece."""
        self._held = 0
        """Bytes of ``memory`` that the connection has taken."""
        self._costs: deque[int] = deque()
        """Bytes of each request without an answer that count until it is answered, the one that is served first. They are of those that had
        to wait for another one, and of large heads.
        """
        self._kept = 0
        """The sum of ``_costs``."""
        self._unread = 0
        """Bytes of answers that the client has not taken, where they count."""
        self._asks_upgrade = False
        """Whether the parser has just ended at a head with ``Upgrade``."""
        self._too_large = False
        self._full = False
        """Whether too many requests came before an answer, or any behind a stream. What comes from now on is dropped."""
        self._released = False
        """Whether the request that is served goes on for long, so that nothing may wait for it."""
        self._release = WeakMethod(self._release_head)
        self._busy = False
        """Whether a request is under way."""
        self._in_body = False
        """Whether more of a message must come, answered or not."""
        self._head_timer: TimerHandle | None = None
        self._send_timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request. At the limit close another connection."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_UNREAD)
        if len(self.connections) >= self._limits.connections:
            self._make_room()
        self._idle[self] = None
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and tell the request that is served. uvicorn tells only the last one that came."""
        self._forget_requests()
        if self._served is not None:
            self._served.disconnected = True
            self._served.message_event.set()
        self._idle.pop(self, None)
        self._stalled.pop(self, None)
        self._costs.clear()
        self._memory.take(-self._held)
        self._held = self._kept = 0
        self._end_head_timer()
        self._unset_keepalive_if_required()  # uvicorn lets it run on after an error
        if self._send_timer is not None:
            self._send_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless too many requests wait for an answer."""
        if len(data) <= _PIECE and not self._full:
            self._parse(data)
            return
        for start in range(0, len(data), _PIECE):
            if self._full or self.transport.is_closing():
                return
            self._parse(data[start : start + _PIECE])

    def _parse(self, data: bytes) -> None:
        self._unfinished += len(data)  # the parser's callbacks set it to 0
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        if self._full:
            self._unfinished = 0
        elif not self._unfinished and (self.url or self.headers):
            self._began = len(data)
        if self._released and self._has_more():
            self._drop_what_waits()
        if self._busy and not (self._unfinished or self._began or self._held or self._kept):
            return  # a request, and nothing else
        if self.transport.is_closing():
            return
        if not self._hold():
            return
        if self._unfinished and (self._unfinished > self._limits.head_bytes or self._has_too_many_headers()):
            self._too_large = True
            self.send_400_response("")
        elif self._head_timer is None and self.timeout_keep_alive_task is None and not self._busy:
            self._await_head()

    def _feed(self, data: bytes) -> None:
        """Let the parser read ``data``. It takes what follows a head with ``Upgrade`` for another protocol, so that it gets such a head
        again without that header. Raises ``HttpParserError``.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as ended:
                if not self._asks_upgrade:
                    return  # CONNECT: nobody may read what follows as a request
                self._asks_upgrade = False
                data = self._head_without_upgrade() + data[ended.args[0] :]
                self.parser = HttpRequestParser(self)  # the old one reads nothing more after "connection: close"
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        """Return the head that the parser has read, as it came but for ``Upgrade``."""
        first = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        return first + b"".join(b"%b: %b\r\n" % each for each in self.headers if each[0] != b"upgrade") + b"\r\n"

    def on_headers_complete(self) -> None:
        """Begin a request."""
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._asks_upgrade = True
            return
        if len(self.headers) > self._limits.headers:
            self._too_large = True
            raise HeadTooLargeError
        if self._released or len(self.pipeline) >= self._limits.unanswered - 1:
            self._full = True
            raise TooManyUnansweredError
        parsed = _HEADER_COSTS * len(self.headers) + _ADDRESS_COSTS * len(self.url)
        cost = 0
        waits = self._busy or self.flow.write_paused
        if waits or parsed + self._unfinished + self._began > _LARGE_HEAD:  # perhaps for what came with it
            cost = parsed + sum(len(name) + len(value) for name, value in self.headers)
            if waits:
                cost += _REQUEST_COSTS
            elif cost <= _LARGE_HEAD:
                cost = 0
        self._costs.append(cost)
        self._kept += cost
        self._unfinished = 0
        if self._head_timer is not None:
            self._end_head_timer()
        self._unset_keepalive_if_required()  # it runs if the head came in one read with the rest of the body before it
        self._idle.pop(self, None)
        self._stalled[self] = None  # until the body is there
        self._busy = self._in_body = True
        self.limit_concurrency = limit = None if self.url in ALWAYS_ANSWERED else self._limits.connections
        if limit is not None and (len(self.connections) >= limit or len(self.tasks) >= limit):
            self._refusals.add("connections")
        self.scope["state"][RELEASE_HEAD] = self._release
        super().on_headers_complete()
        self._forget_head()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._complete_piece(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the body. If its request was answered before, the connection waits for the next one from now on."""
        if self._asks_upgrade:
            return  # the head comes again, and the body with it
        self._complete_piece(0)
        self._in_body = False
        if self.headers:  # what came behind the body: nobody asks for it
            self._forget_head()
        if self._send_timer is None:
            self._stalled.pop(self, None)
        super().on_message_complete()
        if not self._busy:
            self._end_head_timer()
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the client to take the last answer."""
        answered = self._served
        assert answered is not None
        answered.scope = {"state": answered.scope["state"]}  # type: ignore[typeddict-item] # the rest may be large
        answered.body = bytearray()
        self._released = False
        super().on_response_complete()
        if self.transport.is_closing():
            self._await_reader()
            return
        if cost := self._costs.popleft():
            self._kept -= cost
            self._hold()
        if self.timeout_keep_alive_task is not None:  # no further request came already
            self._busy = False
            self._stalled.pop(self, None)
            self._idle[self] = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP with 400, or with 431 if it was too large, and close the connection; after too many requests later."""
        if self._full:
            self._refusals.add("unanswered")
            self.cycle.keep_alive = False  # of the last request that was taken: its answer closes the connection
            self._forget_head()
            return
        self._refusals.add("headers_too_large" if self._too_large else "not_http")
        self._forget_head()
        if self._too_large:
            head = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
            self.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(_TOO_LARGE), _TOO_LARGE))
            self.transport.close()
        else:
            super().send_400_response(msg)
        self._await_reader()

    def pause_writing(self) -> None:
        """Give the reader ``send_seconds`` to take something, and count what it has to take."""
        super().pause_writing()
        self._await_reader()
        self._unread = self.transport.get_write_buffer_size()
        self._hold()

    def resume_writing(self) -> None:
        """Let the answer go on, or the next one begin."""
        super().resume_writing()
        self._unread = 0
        self._hold()
        if self._postponed is not None:
            postponed, self._postponed = self._postponed, None
            self._start_asgi_task(*postponed)
        if self._send_timer is not None and not self.transport.is_closing():
            self._send_timer.cancel()
            self._send_timer = None
            if not self._in_body:
                self._stalled.pop(self, None)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that brings no further request. Closing in order would wait for a reader that takes nothing."""
        self.transport.abort()

    def has_trusted_caller(self) -> bool:
        """Whether the request that is served came with a server key or a user token, as the application noted."""
        return self._served is not None and TRUSTED in self._served.scope["state"]

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self.flow.write_paused:
            self._postponed = cycle, app
            return
        self._served = cycle
        super()._start_asgi_task(cycle, app)

    def _make_room(self) -> None:
        """Close the connection that is the least loss, if there is one that may be closed."""
        if self._idle:
            self._close_for_another(self._idle.popitem(last=False)[0])
            return
        while self._stalled:
            longest, _ = self._stalled.popitem(last=False)
            if not longest.has_trusted_caller():
                self._close_for_another(longest)
                return

    def _close_for_another(self, connection: Connection) -> None:
        self._refusals.add("made_room")
        connection.transport.abort()

    def _complete_piece(self, size: int) -> None:
        """Begin to count anew: the parser has completed ``size`` bytes of a body. What waits for another request goes on to count."""
        if self.pipeline or self._postponed is not None:
            self._costs[-1] += size
            self._kept += size
        self._unfinished = 0

    def _hold(self) -> bool:
        """Count what the connection holds now, and return whether it may. One that may not is cut off."""
        needed = self._unfinished + self._began + self._kept + self._unread
        if self._unfinished or self._began:
            needed += _HEADER_COSTS * len(self.headers or ())
        if not self._memory.take(needed - self._held):
            self._refusals.add("memory")
            self.transport.abort()
            self._forget_requests()  # now: many connections may be cut off before the first of them is lost
            return False
        self._held = needed
        return True

    def _forget_requests(self) -> None:
        """Keep nothing of the requests that were not begun. The collector would find each long after the connection is gone."""
        self.pipeline.clear()
        self._postponed = None
        self.cycle = self._served  # type: ignore[assignment] # None before the first request
        self._forget_head()

    def _release_head(self) -> None:
        """The application goes on for long with the request that it answers, and needs no more of what came. Nothing may wait for it."""
        if self._served is None or self._served.response_complete or not self._costs:
            return
        self._released = True
        self._served.scope["headers"] = []
        self._served.body = bytearray()
        self._kept -= self._costs[0]
        self._costs[0] = 0
        if self.pipeline or self._has_more():
            self._drop_what_waits()
        self._hold()

    def _has_more(self) -> bool:
        """Whether something came behind the last request that is complete."""
        return not self._in_body and bool(self._unfinished or self._began)

    def _drop_what_waits(self) -> None:
        """Keep only the request that is served, read on to see the client leave, and close the connection after the answer."""
        self._forget_requests()
        while len(self._costs) > 1:
            self._kept -= self._costs.pop()
        self._unfinished = 0
        self.parser = HttpRequestParser(self)  # the old one may keep a part of a head
        if not self._full:
            self._full = True
            self.send_400_response("")
        self.cycle.keep_alive = False
        self.flow.resume_reading()

    def _forget_head(self) -> None:
        """Keep nothing of the head that was parsed: its request has what it needs."""
        self._began = 0
        self.url, self.headers, self.scope = b"", [], {}  # type: ignore[typeddict-item]

    def _has_too_many_headers(self) -> bool:
        return len(self.headers or ()) > self._limits.headers

    def _await_head(self) -> None:
        """Bound what comes now: a head, or the rest of a body whose request was answered before."""
        seconds = self._limits.body_seconds if self._in_body else self._limits.head_seconds
        self._head_timer = self.loop.call_later(seconds, self.transport.abort)

    def _end_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _await_reader(self) -> None:
        if self._send_timer is None and (unread := self.transport.get_write_buffer_size()):
            self._send_timer = self.loop.call_later(self._limits.send_seconds, self._check_reader, unread)
            if self not in self._idle:
                self._stalled[self] = None

    def _check_reader(self, unread: int) -> None:
        """Cut off a client that has taken none of the ``unread`` bytes since they were counted. Wait again for one that has."""
        self._send_timer = None
        left = self.transport.get_write_buffer_size()
        if left < unread:
            self._unread = min(self._unread, left)
            self._hold()
            self._await_reader()
        else:
            self.transport.abort()


def connection_factory(limits: Limits, refusals: Refusals) -> type[Connection]:
    """Return what makes the connections of one server. uvicorn asks for a class and only calls it."""
    idle: OrderedDict[Connection, None] = OrderedDict()
    stalled: OrderedDict[Connection, None] = OrderedDict()
    memory = ByteBudget(limits.memory_bytes)
    return cast("type[Connection]", partial(Connection, limits=limits, idle=idle, stalled=stalled, memory=memory, refusals=refusals))
