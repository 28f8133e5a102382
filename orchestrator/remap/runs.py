"""Re-maps as people handle them: start, pause, resume, cancel, and what one would change."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.errors import Conflict, InvalidInput
from orchestrator.records import RunState
from orchestrator.remap.chunk import look
from orchestrator.remap.difference import total
from orchestrator.store import backfills, images, remaps, rules_version, tags
from orchestrator.store.remaps import Changes, Remap
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store
from orchestrator.tagging.plan import TaggingPlan

TOGETHER = 500
"""Images that are looked at together."""
MOST_IMAGES = 100_000
ENDED = (RunState.CANCELLED, RunState.DONE)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which images: all, or those named; and differences of which tags count, all unless named."""

    images: tuple[int, ...] = ()
    tags: tuple[int, ...] = ()

    def asked(self) -> dict[str, object]:
        """Return it as a re-map's row has it."""
        if self.images:
            return {"scope": "images", "images": list(self.images)}
        if self.tags:
            return {"scope": "tags", "tags": list(self.tags)}
        return {"scope": "all"}

    @classmethod
    def of(cls, remap: Remap) -> "Scope":
        """Return the scope of a re-map."""
        return cls(_ids(remap.asked.get("images")), _ids(remap.asked.get("tags")))


@dataclass(frozen=True, slots=True)
class Summary:
    """What a re-map would change. `tags`: (tag id, rows that come, rows that go), the most first."""

    looked: int
    changes: Changes
    tags: tuple[tuple[int, int, int], ...]


def _ids(value: object) -> tuple[int, ...]:
    return tuple(one for one in value if isinstance(one, int)) if isinstance(value, list) else ()


async def next_ids(tx: Transaction, scope: Scope, after: int, until: int) -> list[int]:
    """Return the next images of a scope behind `after`."""
    if scope.images:
        return [one for one in sorted(set(scope.images)) if after < one <= until][:TOGETHER]
    return await remaps.ids_behind(tx, after, until, TOGETHER)


async def check(tx: Transaction, scope: Scope) -> None:
    """Raise InvalidInput (`bad_scope`, `unknown_tag`, `unknown_image`) for a scope that makes no sense."""
    if scope.images and scope.tags:
        raise InvalidInput("a re-map is of images, or of tags", code="bad_scope")
    if len(scope.images) > MOST_IMAGES:
        raise InvalidInput(f"at most {MOST_IMAGES:,} images can be named", code="bad_scope")
    unknown = set(scope.tags) - (await tags.by_ids(tx, set(scope.tags))).keys()
    if unknown:
        raise InvalidInput(f"no tag has the id {min(unknown)}", code="unknown_tag")
    unknown = set(scope.images) - {one.id for one in await images.get_many(tx, scope.images)}
    if unknown:
        raise InvalidInput(f"no image has the id {min(unknown)}", code="unknown_image")


async def start(store: Store, scope: Scope) -> Remap:
    """Start a re-map. The keeper does it. Raises InvalidInput as `check`."""

    async def work(tx: Transaction) -> Remap:
        await check(tx, scope)
        stamp = await rules_version.current(tx)
        until = max(scope.images, default=0) or await backfills.last_image(tx)
        return await remaps.get(tx, await remaps.add(tx, asked=scope.asked(), stamp=stamp, until_id=until))

    return await store.write(work)


async def dry_run(
    store: Store, plan: TaggingPlan, scope: Scope, *, progress: Callable[[int], object]
) -> Summary:
    """Say what a re-map would change now. `progress` is told how many images were looked at."""
    await store.read(lambda tx: check(tx, scope))
    until = await store.read(backfills.last_image)
    looked, changes, after = 0, Changes(), 0
    comes, goes = Counter[int](), Counter[int]()
    while ids := await store.read(lambda tx, after=after: next_ids(tx, scope, after, until)):  # type: ignore[misc]
        found = await look(store, plan, ids, scope.tags)
        for _, one in found.stale:
            comes.update(one.added)
            goes.update(one.removed)
        changes += total(one for _, one in found.stale)
        looked, after = looked + len(ids), ids[-1]
        progress(len(ids))
    named = sorted(comes.keys() | goes.keys(), key=lambda tag: (-comes[tag] - goes[tag], tag))
    return Summary(looked, changes, tuple((tag, comes[tag], goes[tag]) for tag in named))


async def pause(store: Store, remap_id: int) -> Remap:
    """Stop for now. Raises NotFound, Conflict (`remap_ended`)."""
    return await _move(store, remap_id, RunState.PAUSED)


async def resume(store: Store, remap_id: int) -> Remap:
    """Go on. Raises NotFound, Conflict (`remap_ended`)."""
    return await _move(store, remap_id, RunState.RUNNING)


async def cancel(store: Store, remap_id: int) -> Remap:
    """Stop for good; what it has done stays. Raises NotFound, Conflict (`remap_ended`)."""
    return await _move(store, remap_id, RunState.CANCELLED)


async def _move(store: Store, remap_id: int, state: RunState) -> Remap:
    async def work(tx: Transaction) -> Remap:
        found = await remaps.lock(tx, remap_id)
        if found.state is state:
            return found
        if found.state in ENDED:
            raise Conflict(f"re-map {remap_id} is {found.state}", code="remap_ended")
        await remaps.set_state(tx, remap_id, state)
        return await remaps.get(tx, remap_id)

    return await store.write(work)
