"""A wire between the application and a server, which a test can cut or let hang."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Wire:
    """A TCP relay on a port of its own."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def hang(self) -> None:
        """Take what comes and hand nothing on."""
        self._flowing.clear()

    def flow(self) -> None:
        """Hand on again."""
        self._flowing.set()

    async def cut(self) -> None:
        """End every connection and take no new one, as when the server dies."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection(*self._to)
                try:
                    await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
                finally:
                    far_writer.close()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def wire_to(url: str) -> AsyncIterator[tuple[Wire, str]]:
    """Lay a wire to the server of `url`; yields it, and the URL that leads through it."""
    parts = urlsplit(url)
    wire = Wire(parts.hostname or "", parts.port or 0)
    await wire.start()
    try:
        yield wire, url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{wire.port}", 1)
    finally:
        wire.flow()
        await wire.cut()
