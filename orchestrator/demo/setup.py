"""Bring an empty installation to where pictures can be taken in: board, people, models, Triton ready."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from orchestrator.client import ApiError, ApiUnavailable, Client
from orchestrator.demo.board import load_board
from orchestrator.demo.people import load_people
from orchestrator.errors import TagdeskError
from orchestrator.records import LabelCategory
from orchestrator.registry.register import register_folder
from orchestrator.settings import Settings
from orchestrator.store import thresholds
from orchestrator.store.unit_of_work import Store

MODELS = (("wd14", 1), ("custom_theme", 1))
CHARACTER_FLOOR = 8500
READY_WITHIN = 90.0
_POLL = 0.1


class DemoFailed(TagdeskError):
    """The demo cannot go on; the message says which part to look at."""

    code = "demo_failed"


async def set_up(store: Store, settings: Settings, tokens_file: Path, *, say: Callable[[str], None]) -> None:
    """Load the demo board, its people and the tracked models. Twice changes nothing.

    Raises ManifestError, Conflict, StoreUnavailable.
    """
    board = await load_board(store)
    say(f"board: {board.tags} tags, {board.mappings} mappings ({board.new_mappings} new)")
    people = await load_people(store, tokens_file)
    say(f"people: {', '.join(people)}")
    for name, version in MODELS:
        model = await register_folder(store, settings, name, version)
        say(f"model {name} {version}: {model.state}, {len(model.labels)} labels")
        has_characters = any(label.category is LabelCategory.CHARACTER for label in model.labels)
        if has_characters and model.thresholds.character is None:
            # Off until somebody has looked at the mappings of characters; the demo's were looked at.
            await store.write(
                lambda tx, version_id=model.id: thresholds.set_score(  # type: ignore[misc]
                    tx, version_id, LabelCategory.CHARACTER, CHARACTER_FLOOR, actor_id=None
                )
            )


async def until_ready(url: str) -> None:
    """Wait until every part of the installation at `url` answers; the keeper may have models to load.

    Raises DemoFailed.
    """
    answer = ""
    try:
        async with asyncio.timeout(READY_WITHIN), Client(url, timeout=10, patience=0) as client:
            while True:
                try:
                    found = await client.health_ready()
                    if found.ready:
                        return
                    answer = found.model_dump_json()
                except (ApiError, ApiUnavailable) as error:
                    answer = str(error)
                await asyncio.sleep(_POLL)
    except TimeoutError:
        raise DemoFailed(
            f"the stack is not ready after {READY_WITHIN:.0f} s: {answer}; see `tagdesk status` and"
            " `tagdesk logs keeper`"
        ) from None
