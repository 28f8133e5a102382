"""What is registered: portraits in the three ways, among them some that can only fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from orchestrator.demo.portraits.files import write_portraits
from orchestrator.records import SourceKind

PORTRAITS = 40
_WAYS = (SourceKind.PATH, SourceKind.URL, SourceKind.BLOB, SourceKind.BLOB)


@dataclass(frozen=True)
class Source:
    """A picture and the way it takes. `address`: its URL or path; `data`: what is uploaded instead."""

    name: str
    way: SourceKind
    address: str = ""
    data: bytes = b""


def sources(folder: Path, host: str) -> tuple[Source, ...]:
    """Draw portraits in `folder`, which `host` serves; every eighth source is a broken one."""
    good = []
    for number, portrait in enumerate(write_portraits(folder, PORTRAITS)):
        name, way = portrait.path.name, _WAYS[number % len(_WAYS)]
        address = {SourceKind.PATH: str(portrait.path), SourceKind.URL: f"{host}/{name}"}.get(way, "")
        good.append(Source(name, way, address, portrait.path.read_bytes()))
    jpeg = next(source.data for source in good if source.name.endswith(".jpg"))
    bad = (
        Source("gone", SourceKind.URL, f"{host}/gone.jpg"),
        Source("torn", SourceKind.BLOB, data=jpeg[: len(jpeg) // 2]),
        Source("no file", SourceKind.PATH, str(folder / "no-such-file.jpg")),
        Source("text", SourceKind.BLOB, data=b"this is no picture\n" * 40),
    )
    mixed: list[Source] = []
    for number, source in enumerate(good):
        mixed.append(source)
        if number % 8 == 3:
            mixed.append(bad[number // 8 % len(bad)])
    return tuple(mixed)


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
