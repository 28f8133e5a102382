"""`tagdesk demo`: the whole path on drawn portraits, from an empty database to suggestions to review."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from orchestrator.client import ApiError, ApiUnavailable
from orchestrator.demo.agreement import Agreement, Truth, total
from orchestrator.demo.people import read_tokens
from orchestrator.demo.pictures import draw, register
from orchestrator.demo.portraits.files import PortraitFile
from orchestrator.demo.setup import DemoFailed, set_up, until_ready
from orchestrator.local.stack import Stack
from orchestrator.records import (
    Image,
    ImageState,
    Role,
    SuggestionView,
    as_probability,
)
from orchestrator.settings import Settings
from orchestrator.store import images, mappings, suggestions, tags
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

ANALYSED_WITHIN = 300.0
ROWS_SHOWN = 12
TOP = 4
_POLL = 0.1


@dataclass(frozen=True, slots=True)
class Looked:
    """A portrait with what became of it."""

    portrait: PortraitFile
    image: Image
    suggestions: tuple[SuggestionView, ...]


class Demo:
    """One run of the demo against a running stack."""

    def __init__(self, stack: Stack, settings: Settings, console: Console) -> None:
        self._stack = stack
        self._settings = settings
        self._console = console
        self._url = stack.environment()["TAGDESK_PUBLIC_URL"]

    async def run(self, count: int) -> None:
        """Load the board, register the models, take in `count` portraits, show what was suggested.

        Twice changes nothing. Raises DemoFailed, StoreUnavailable, ManifestError.
        """
        store = await Store.connect(self._settings)
        try:
            await self._prepare(store)
            ids, portraits = await self._take_in(count)
            await self._wait(store, ids)
            looked = await self._look(store, ids, portraits)
            self._show(looked, await self._agreement(store, looked))
        finally:
            await store.close()

    async def _prepare(self, store: Store) -> None:
        await set_up(store, self._settings, self._stack.instance.tokens_file, say=self._say)
        with self._console.status("waiting for Triton to load the models"):
            await until_ready(self._url)
        self._say("Triton has loaded the models")

    async def _take_in(self, count: int) -> tuple[list[int], list[PortraitFile]]:
        with self._progress() as progress:
            drawing = progress.add_task("drawing portraits", total=count)
            portraits = await asyncio.to_thread(
                draw,
                self._stack.instance.pictures,
                count,
                lambda done: progress.update(drawing, completed=done),
            )
            sending = progress.add_task("registering them", total=count)
            try:
                ids = await register(
                    self._url,
                    read_tokens(self._stack.instance.tokens_file),
                    portraits,
                    lambda done: progress.update(sending, completed=done),
                )
            except (ApiError, ApiUnavailable) as error:
                raise DemoFailed(
                    f"the API does not take pictures: {error}; see `tagdesk logs api`"
                ) from error
        return ids, portraits

    async def _wait(self, store: Store, ids: Sequence[int]) -> None:
        """Wait until every picture is done or failed."""
        waiting = set(ids)
        with self._progress() as progress:
            analysing = progress.add_task("looking at them", total=len(ids))
            try:
                async with asyncio.timeout(ANALYSED_WITHIN):
                    while waiting:
                        for image in await store.read(lambda tx: _load(tx, sorted(waiting))):
                            if image.state in (ImageState.DONE, ImageState.FAILED):
                                waiting.discard(image.id)
                        progress.update(analysing, completed=len(ids) - len(waiting))
                        await asyncio.sleep(_POLL if waiting else 0)
            except TimeoutError:
                raise DemoFailed(
                    f"{len(waiting)} pictures are not analysed after {ANALYSED_WITHIN:.0f} s; see"
                    " `tagdesk status` and `tagdesk logs worker-live`"
                ) from None

    async def _look(
        self, store: Store, ids: Sequence[int], portraits: Sequence[PortraitFile]
    ) -> tuple[Looked, ...]:
        async def work(tx: Transaction) -> tuple[Looked, ...]:
            loaded = await _load(tx, ids)
            return tuple(
                [
                    Looked(portrait, image, tuple(await suggestions.for_image(tx, image.id)))
                    for portrait, image in zip(portraits, loaded, strict=True)
                ]
            )

        return await store.read(work)

    async def _agreement(self, store: Store, looked: Sequence[Looked]) -> Agreement:
        async def work(tx: Transaction) -> Truth:
            return Truth(await tags.load_all(tx), await mappings.load_all(tx))

        truth = await store.read(work)
        return total(
            [
                truth.compare(
                    truth.expected(one.portrait.labels, one.portrait.themes),
                    {view.tag.alias_of or view.tag.id: view.inferred for view in one.suggestions},
                )
                for one in looked
            ]
        )

    def _show(self, looked: Sequence[Looked], agreement: Agreement) -> None:
        table = Table("picture", "state", "top suggestions", "confidence", "model", title="What tagdesk saw")
        rows = min(ROWS_SHOWN, len(looked))
        for one in (looked[number * len(looked) // rows] for number in range(rows)):
            top = one.suggestions[:TOP]
            failure = f": {one.image.failure.code}" if one.image.failure else ""
            for line, view in enumerate(top):
                table.add_row(
                    one.portrait.path.name if line == 0 else "",
                    str(one.image.state) if line == 0 else "",
                    view.tag.title,
                    f"{as_probability(view.confidence):.2f}",
                    f"{view.model_name} {view.model_version}",
                    end_section=line == len(top) - 1,
                )
            if not top:
                table.add_row(
                    one.portrait.path.name, f"{one.image.state}{failure}", "nothing", end_section=True
                )
        console = self._console
        console.print(table)
        done = sum(one.image.state is ImageState.DONE for one in looked)
        pending = sum(view.status.value == "pending" for one in looked for view in one.suggestions)
        self._say(f"{done} of {len(looked)} pictures analysed, {pending} suggestions wait for a person")
        self._say(
            f"{agreement.found} of the {agreement.drawn} drawn attributes that the board has a tag for were"
            f" suggested ({_share(agreement.found, agreement.drawn)})"
        )
        inferred = sum(view.inferred for one in looked for view in one.suggestions)
        self._say(
            f"{agreement.right} of the {agreement.suggested} suggestions from models are right"
            f" ({_share(agreement.right, agreement.suggested)}); {inferred} more follow from characters"
        )
        self._where_to_go(read_tokens(self._stack.instance.tokens_file))

    def _where_to_go(self, tokens: Mapping[Role, str]) -> None:
        console = self._console
        console.print()
        console.print(f"[bold]Review page[/]  {self._url}/desk", highlight=False)
        console.print(f"[bold]Token[/]        {tokens[Role.MODERATOR]}  (moderator)", highlight=False)
        others = ", ".join(role for role in tokens if role is not Role.MODERATOR)
        console.print(f"             tokens of {others}: `tagdesk status`", highlight=False)
        console.print(f"[bold]API[/]          {self._url}/api/v1/docs", highlight=False)
        console.print("[bold]Stop[/]         make down", highlight=False)

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("  {task.description:20}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
        )

    def _say(self, text: str) -> None:
        self._console.print(f"  {text}", highlight=False)


async def _load(tx: Transaction, ids: Sequence[int]) -> tuple[Image, ...]:
    return tuple([await images.get(tx, image_id) for image_id in ids])


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"
