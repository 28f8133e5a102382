"""`tagdesk demo-rollout`: a worse version is caught before it does harm, and a better one gets through.

A reviewer who knows what was drawn decides on the demo's pictures. A version of the theme model with two
labels mixed up looks at them as a shadow, is compared and refused; it is then forced in, so that the right
head, published once more, is a better one: it passes without force, and stays in use.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from orchestrator.backfill import runs
from orchestrator.client import ApiError, Client
from orchestrator.demo.agreement import Truth
from orchestrator.demo.heads import write_head
from orchestrator.demo.people import read_tokens
from orchestrator.demo.pictures import FIRST_EXTERNAL_ID, drawn
from orchestrator.demo.reviewer import review
from orchestrator.demo.setup import DemoFailed
from orchestrator.inference.client import TritonClient
from orchestrator.local.instance import checkout
from orchestrator.local.stack import Stack
from orchestrator.records import Role, VersionState
from orchestrator.registry.publish import Publisher
from orchestrator.settings import Settings
from orchestrator.store import images, mappings, models, shadows, tags
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.wire.comparison import EstimateAnswer
from orchestrator.wire.models import PromotionRequest, ShadowRequest

MODEL = "custom_theme"
SWAPPED = (0, 7)
"""The labels `happy` and `sunny day`."""
MIN_IMAGES = 40
REASON = "the demo wants a worse version in use for once"
SEEN_WITHIN = 180.0
_AGAIN_AFTER = 10.0
_POLL = 0.2


class Rollout:
    """One telling of the story on a demo that runs."""

    def __init__(self, stack: Stack, settings: Settings, store: Store, console: Console) -> None:
        self._stack = stack
        self._settings = settings
        self._store = store
        self._console = console
        self._table = Table("version", "F1 (in use)", "F1 (new)", "change", "promote", title="Rolling out")

    async def tell(self) -> None:
        """Tell it. Raises DemoFailed when it does not end as it should, ApiError, StoreUnavailable."""
        url = self._stack.environment()["TAGDESK_PUBLIC_URL"]
        tokens = read_tokens(self._stack.instance.tokens_file)
        ids, truth, expected = await self._pictures()
        async with (
            Client(url, tokens[Role.MODERATOR]) as moderator,
            Client(url, tokens[Role.ENGINEER]) as engineer,
        ):
            decided = await review(moderator, truth, expected)
            self._say(f"a reviewer who knows what was drawn decided on {decided} suggestions")
            worse = await self._shadowed(engineer, ids, "two labels mixed up", swapped=SWAPPED)
            if await self._promoted(engineer, worse, PromotionRequest(min_images=MIN_IMAGES)):
                raise DemoFailed(f"{MODEL} {worse}, which is worse, was promoted")
            forced = PromotionRequest(min_images=MIN_IMAGES, force=True, reason=REASON)
            await self._promoted(engineer, worse, forced)
            better = await self._shadowed(engineer, ids, "the right head again", swapped=None)
            if not await self._promoted(engineer, better, PromotionRequest(min_images=MIN_IMAGES)):
                raise DemoFailed(f"{MODEL} {better}, which is better, was refused")
        self._console.print(self._table)
        self._say(f"look closer with: tagdesk models compare {MODEL} {worse} {better}")

    async def _pictures(self) -> tuple[list[int], Truth, dict[int, frozenset[int]]]:
        """Return the demo's images, and what was drawn on each."""
        portraits = drawn(self._stack.instance.pictures)

        async def work(tx: Transaction) -> tuple[dict[int, int], Truth]:
            numbers = [FIRST_EXTERNAL_ID + number for number in range(len(portraits))]
            found = await images.by_external_ids(tx, numbers)
            known = {number: image.id for number, image in found.items()}
            return known, Truth(await tags.load_all(tx), await mappings.load_all(tx))

        known, truth = await self._store.read(work)
        expected = {
            known[FIRST_EXTERNAL_ID + number]: truth.expected(portrait.labels, portrait.themes)
            for number, portrait in enumerate(portraits)
            if FIRST_EXTERNAL_ID + number in known
        }
        if len(expected) < MIN_IMAGES:
            raise DemoFailed(
                f"the board has {len(expected)} of the demo's pictures, {MIN_IMAGES} are needed: run"
                " `tagdesk demo` first"
            )
        return sorted(expected), truth, expected

    async def _shadowed(
        self, engineer: Client, ids: list[int], what: str, *, swapped: tuple[int, int] | None
    ) -> int:
        """Publish a version and have it look at all pictures as a shadow; returns its number."""
        with TemporaryDirectory() as folder:
            source = write_head(checkout() / "model_repository" / MODEL / "1", Path(folder), swapped=swapped)
            async with TritonClient.from_settings(self._settings) as triton:
                publisher = Publisher(self._store, self._settings, triton, "demo", say=self._say)
                version = (await publisher.publish(source)).model.version
        await engineer.shadow_model(MODEL, version, ShadowRequest(share=1.0))
        self._say(f"{MODEL} {version} ({what}) looks at the pictures beside the one in use, without a say")
        await self._until_seen(version, ids)
        return version

    async def _until_seen(self, version: int, ids: list[int]) -> None:
        """Have images looked at until a shadow has seen them all: it sees only what it has time for."""
        rows = await self._store.read(models.list_versions)
        (new,) = (row.id for row in rows if (row.name, row.version) == (MODEL, version))
        (active,) = (row.id for row in rows if row.name == MODEL and row.state is VersionState.ACTIVE)

        async def seen() -> int:
            return await self._store.read(lambda tx: shadows.seen_by_both(tx, active, new))

        where = [f"ids={ids[0]}-{ids[-1]}", f"unseen_by={MODEL}:{version}"]
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(SEEN_WITHIN):
                again = loop.time()
                while await seen() < len(ids):
                    if loop.time() >= again:
                        await runs.start(self._store, where)
                        again = loop.time() + _AGAIN_AFTER
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise DemoFailed(
                f"{MODEL} {version} has not seen all pictures after {SEEN_WITHIN:.0f} s: `tagdesk models"
                " list` says why a shadow holds back"
            ) from None

    async def _promoted(self, engineer: Client, version: int, request: PromotionRequest) -> bool:
        """Ask for a version to be promoted and note what came of it; False when it was refused."""
        found = await engineer.compare_models(MODEL, version)
        outcome = "refused"
        try:
            await engineer.promote_model(MODEL, version, request)
            outcome = "forced" if request.force else "promoted"
        except ApiError as error:
            if error.code != "promotion_refused":
                raise
            self._say(error.detail)
        change = found.quality.f1_difference
        self._table.add_row(
            f"{found.m} → {found.n}",
            *(_figure(side.f1) for side in (found.quality.m, found.quality.n)),
            "too little to say"
            if change is None or change.low is None or change.high is None
            else f"{change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f})",
            outcome,
        )
        return outcome != "refused"

    def _say(self, text: str) -> None:
        self._console.print(f"  {text}", highlight=False)


def _figure(found: EstimateAnswer | None) -> str:
    return "–" if found is None else f"{found.value:.3f}"
