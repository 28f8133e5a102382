"""A served desk, a browser on it, and pictures to decide on."""

import io
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import anyio
import uvicorn
from playwright.async_api import Browser, Page, async_playwright
from small_board import SmallBoard

from orchestrator import accounts
from orchestrator.api.app import create_app
from orchestrator.demo.portraits import draw_portrait
from orchestrator.images.blobs import store_blob
from orchestrator.records import ImageSource, Priority, SourceKind, User
from orchestrator.settings import Settings
from orchestrator.store import images

CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_TIMEOUT = 20.0


class _Server(uvicorn.Server):
    """A server that says when it is ready, or that it never will be."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets=None)
        self.ready.set()


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """Serve the application on a free port, in a thread with a loop of its own; yields its address."""
    config = uvicorn.Config(
        create_app(settings), host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="on"
    )
    server = _Server(config)
    thread = threading.Thread(target=server.run, name="desk")
    thread.start()
    try:
        assert server.ready.wait(START_TIMEOUT), "the application did not start"
        assert server.started, "the application did not start"
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start the machine's Chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found is not None, "the browser tests need Chromium: install Debian's package `chromium`"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=list(CHROMIUM))
        yield browser
        await browser.close()


@dataclass
class Desk:
    """The desk at an address, with a board behind it."""

    address: str
    browser: Browser
    board: SmallBoard
    settings: Settings
    _seed: int = 0

    async def portrait(self, scores: dict[str, int], uploader: User | None = None) -> int:
        """Upload a drawn portrait and store these suggestions for it; returns the image's id."""
        self._seed += 1
        buffer = io.BytesIO()
        portrait = draw_portrait(self._seed, longer_side=460, clean=True)
        portrait.image.save(buffer, "PNG")
        key = await anyio.to_thread.run_sync(store_blob, self.settings.blob_dir, buffer.getvalue())
        owner = uploader or self.board.uploader
        registered = await self.board.store.write(
            lambda tx: images.register(
                tx,
                source=ImageSource(SourceKind.BLOB, key),
                uploader_id=owner.id,
                external_id=None,
                priority=Priority.LIVE,
            )
        )
        await self.board.analyse(registered.id, scores)
        return registered.id

    @asynccontextmanager
    async def visitor(self, **context: object) -> AsyncIterator[Page]:
        """Open a page in a session of its own. What the browser complains of fails the test."""
        complaints: list[str] = []
        session = await self.browser.new_context(base_url=self.address, **context)  # type: ignore[arg-type]
        page = await session.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text)
                if message.type == "error" and "status of 4" not in message.text
                else None
            ),
        )
        yield page
        await session.close()
        assert complaints == []

    @asynccontextmanager
    async def signed_in(self, user: User, **context: object) -> AsyncIterator[Page]:
        """Open the queue as this person."""
        token = await accounts.issue_token(self.board.store, user, name="browser")
        async with self.visitor(**context) as page:
            await page.goto("/desk")
            await page.get_by_label("Your token").fill(token)
            await page.get_by_role("button", name="Sign in").click()
            await page.wait_for_url(f"{self.address}/desk")
            yield page
