"""What is registered: portraits in the three ways, among them some that can only fail."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Thread

from PIL import Image

from orchestrator.demo.portraits.files import write_portraits
from orchestrator.records import SourceKind

PORTRAITS = 40
NOISE_BYTES = 900_000
"""About the size of the one large upload. It stays in memory; larger ones go through a temporary file."""

_WAYS = (SourceKind.PATH, SourceKind.URL, SourceKind.BLOB, SourceKind.BLOB)


@dataclass(frozen=True)
class Source:
    """A picture and the way it takes. `address`: its URL or path; `data`: what is uploaded instead; `reason`:
    the code with which it must fail."""

    name: str
    way: SourceKind
    address: str = ""
    data: bytes = b""
    reason: str = ""


def sources(folder: Path, host: str) -> tuple[Source, ...]:
    """Draw portraits in `folder`, which `host` serves; every eighth source is a broken one."""
    good = []
    for number, portrait in enumerate(write_portraits(folder, PORTRAITS)):
        name, way = portrait.path.name, _WAYS[number % len(_WAYS)]
        address = {SourceKind.PATH: str(portrait.path), SourceKind.URL: f"{host}/{name}"}.get(way, "")
        good.append(Source(name, way, address, portrait.path.read_bytes()))
    jpeg = next(source.data for source in good if source.name.endswith(".jpg"))
    bad = (
        Source("gone", SourceKind.URL, f"{host}/gone.jpg", reason="not_found"),
        Source("torn", SourceKind.BLOB, data=jpeg[: len(jpeg) // 2], reason="truncated"),
        Source("no file", SourceKind.PATH, str(folder / "no-such-file.jpg"), reason="not_found"),
        Source("text", SourceKind.BLOB, data=b"this is no picture\n" * 40, reason="not_an_image"),
    )
    mixed = [Source("noise", SourceKind.BLOB, data=noise(NOISE_BYTES))]
    for number, source in enumerate(good):
        mixed.append(source)
        if number % 8 == 3:
            mixed.append(bad[number // 8 % len(bad)])
    return tuple(mixed)


def named(pictures: Sequence[Source], name: str) -> Source:
    """Return the source of that name."""
    return next(source for source in pictures if source.name == name)


def noise(size: int) -> bytes:
    """Return a picture of `size` bytes, a multiple of 1500, or a few more: nothing makes it smaller."""
    height = 500
    buffer = io.BytesIO()
    Image.frombytes("RGB", (size // height // 3, height), Random(7).randbytes(size)).save(buffer, "PNG")
    return buffer.getvalue()


@contextmanager
def picture_host(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP on the loopback interface; yields the host's address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    class Host(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A caller that was killed in the middle of its answer is what these tests are about."""

    server = Host(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
