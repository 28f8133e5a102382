"""Real HTTP servers on loopback addresses, whose answers are written byte by byte."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address

from orchestrator.images.addresses import Address

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class RawHost:
    """Listens at `address`; gives `answer` to everyone, and counts who connected."""

    def __init__(self, address: str, answer: Answer) -> None:
        self.address, self.answer = address, answer
        self.port = 0
        self.connections = 0

    def url(self, *, name: str | None = None, path: str = "/a.png") -> str:
        """Return an address of this host, under any name."""
        return f"http://{name or self.address}:{self.port}{path}"


def says(data: bytes) -> Answer:
    """Write these bytes and end the conversation."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer


def says_for_ever(head: bytes, again: bytes) -> Answer:
    """Write `head`, then `again` for as long as anybody listens."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(again)
            await writer.drain()

    return answer


def drips(head: bytes, again: bytes) -> Answer:
    """Write `head`, then `again` every few milliseconds: no single read ever waits long."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(0.02)

    return answer


def response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A well-formed answer that ends with the connection; `headers` replace any stated length."""
    lines = [f"HTTP/1.1 {status}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def resolving(*answers: str) -> Callable[[str, int], Awaitable[tuple[Address, ...]]]:
    """A resolver that gives one answer after the other, and the last one from then on."""
    left = list(answers)

    async def resolve(_name: str, _port: int) -> tuple[Address, ...]:
        return (ip_address(left.pop(0) if len(left) > 1 else left[0]),)

    return resolve


@asynccontextmanager
async def listening(*hosts: RawHost) -> AsyncIterator[None]:
    """Let hosts listen, each on a free port of its own."""
    conversations: set[asyncio.Task[None]] = set()

    async def converse(host: RawHost, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                await host.answer(writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def accepting(host: RawHost) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        return lambda reader, writer: conversations.add(asyncio.create_task(converse(host, reader, writer)))

    async with AsyncExitStack() as servers:
        for host in hosts:
            server = await asyncio.start_server(accepting(host), host.address, 0)
            host.port = server.sockets[0].getsockname()[1]
            await servers.enter_async_context(server)
        yield
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)
