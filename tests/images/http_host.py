"""A real HTTP host on the loopback interface that misbehaves on request."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Behaviour = Callable[[asyncio.StreamWriter, str], Awaitable[None]]


class Host:
    """Serves `pages` by path and remembers what was asked for."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.pages: dict[str, Behaviour] = {}

    def url(self, path: str, *, name: str = "127.0.0.1") -> str:
        return f"http://{name}:{self.port}{path}"


def page(body: bytes, *, status: str = "200 OK", headers: tuple[str, ...] = ()) -> Behaviour:
    """A well-formed answer."""

    async def serve(writer: asyncio.StreamWriter, _path: str) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()

    return serve


def redirect(target: str, *, status: str = "302 Found") -> Behaviour:
    """A redirect to `target`."""
    return page(b"", status=status, headers=(f"Location: {target}",))


def drip(writer_interval: float = 0.05) -> Behaviour:
    """A byte now and then, for ever."""

    async def serve(writer: asyncio.StreamWriter, _path: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(writer_interval)

    return serve


def endless() -> Behaviour:
    """As many bytes as anyone will take, with no length stated."""

    async def serve(writer: asyncio.StreamWriter, _path: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while not writer.is_closing():
            writer.write(bytes(65536))
            await writer.drain()

    return serve


def cut_short(body: bytes, missing: int) -> Behaviour:
    """A body that ends before the length it stated."""

    async def serve(writer: asyncio.StreamWriter, _path: str) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body) + missing}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return serve


def zipped(body: bytes) -> Behaviour:
    """A body in gzip that nobody asked for."""
    return page(gzip.compress(body), headers=("Content-Encoding: gzip",))


@asynccontextmanager
async def running_host() -> AsyncIterator[Host]:
    """A host on a free port of 127.0.0.1."""
    host = Host(0)
    conversations: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = head.split(" ")[1]
                host.asked.append(path)
                host.heads.append(head)
                await host.pages.get(path, page(b"no such page", status="404 Not Found"))(writer, path)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.add(asyncio.create_task(converse(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    host.port = server.sockets[0].getsockname()[1]
    async with server:
        yield host
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)
