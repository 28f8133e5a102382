"""A real HTTP server on this machine that serves files badly, as told."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = Callable[["Handler", bytes], None]


@dataclass
class Server:
    """What is served and how. `faults`: used up one a request; then everything goes well.

    `asked`: (path, Range header) of every request. `release`: set it to end stalls.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    etag: str = '"one"'
    faults: deque[Fault] = field(default_factory=deque)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    """Answers GET."""

    protocol_version = "HTTP/1.1"
    state: Server

    def do_GET(self) -> None:
        self.state.asked.append((self.path, self.headers.get("Range")))
        data = self.state.files.get(self.path.split("?")[0])
        if self.state.faults:
            self.state.faults.popleft()(self, data or b"")
        elif data is None:
            self.answer(404, b"")
        else:
            self.serve(data)

    def serve(self, data: bytes) -> None:
        """Answer as a good server would, ranges included."""
        wanted = self.headers.get("Range")
        if wanted is not None and self.headers.get("If-Range") == self.state.etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                self.answer(416, b"")
                return
            span = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.answer(206, data[start:], {"Content-Range": span})
        else:
            self.answer(200, data)

    def answer(
        self, status: int, data: bytes, headers: dict[str, str] | None = None, *, length: int | None = None
    ) -> None:
        """Send an answer; `length` lies about it."""
        self.send_response(status)
        for name, value in {
            "ETag": self.state.etag,
            "Content-Length": str(len(data) if length is None else length),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()
        if length is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def cut(after: int) -> Fault:
    """Send so many bytes of what was asked for, then close."""

    def fault(handler: Handler, data: bytes) -> None:
        wanted = handler.headers.get("Range")
        if wanted is None:
            handler.answer(200, data[:after], length=len(data))
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        span = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        handler.answer(206, data[start : start + after], span, length=len(data) - start)

    return fault


def status(code: int) -> Fault:
    return lambda handler, data: handler.answer(code, b"not now")


def stall(handler: Handler, data: bytes) -> None:
    """Send a few bytes and then nothing."""
    handler.answer(200, data[:10], length=len(data))
    handler.close_connection = True
    handler.state.release.wait(30)


def ignore_ranges(handler: Handler, data: bytes) -> None:
    handler.answer(200, data)


def redirect(to: str) -> Fault:
    return lambda handler, data: handler.answer(302, b"", {"Location": to})


def corrupt(handler: Handler, data: bytes) -> None:
    handler.answer(200, bytes([data[0] ^ 1]) + data[1:])


def too_long(handler: Handler, data: bytes) -> None:
    handler.answer(200, data + b"more", length=len(data))


def page(handler: Handler, data: bytes) -> None:
    handler.answer(200, b"<!DOCTYPE html><title>Sign in</title>")


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news here."""


@contextmanager
def serving() -> Iterator[Server]:
    """Serve until the block ends."""
    state = Server()
    handler = type("Bound", (Handler,), {"state": state})
    with _Quiet(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        state.url = f"http://127.0.0.1:{http.server_address[1]}"
        try:
            yield state
        finally:
            state.release.set()
            http.shutdown()
            thread.join()
