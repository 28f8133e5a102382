"""Backfills as people handle them: start, pause, resume, cancel, try failures again."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from orchestrator.backfill.selection import parse
from orchestrator.errors import Conflict, InvalidInput
from orchestrator.records import RunState
from orchestrator.store import backfills, models, users
from orchestrator.store.backfills import Backfill, ImageFilter
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

LISTED_TOGETHER = 5_000
"""Ids of a list that one transaction adds."""
ENDED = (RunState.CANCELLED, RunState.DONE)


async def check(tx: Transaction, conditions: Sequence[str]) -> ImageFilter:
    """Return what conditions mean. Raises InvalidInput for what they name and is not there."""
    where = parse(conditions)
    if where.uploader is not None and await users.by_name(tx, where.uploader) is None:
        raise InvalidInput(f"no user is called {where.uploader!r}", code="unknown_user")
    if where.unseen_by is not None and await models.find(tx, *where.unseen_by) is None:
        name, version = where.unseen_by
        raise InvalidInput(f"{name} has no version {version}", code="unknown_version")
    if where.stale is not None and not await models.has_active(tx, where.stale):
        raise InvalidInput(f"no version of {where.stale} is active", code="unknown_version")
    return where


async def start(store: Store, conditions: Sequence[str]) -> Backfill:
    """Start a backfill of what a filter finds among the images that there are now.

    Raises InvalidInput (`bad_condition`, `unknown_user`, `unknown_version`).
    """

    async def work(tx: Transaction) -> Backfill:
        await check(tx, conditions)
        until = await backfills.last_image(tx)
        backfill_id = await backfills.add(
            tx, asked={"where": list(conditions)}, until_id=until, state=RunState.RUNNING
        )
        return await backfills.get(tx, backfill_id)

    return await store.write(work)


async def start_stale(tx: Transaction, name: str) -> int:
    """Start a backfill of what only older versions of a model have looked at, in the transaction that makes
    another version active; returns its id."""
    until = await backfills.last_image(tx)
    asked = {"where": [f"stale={name}"]}
    return await backfills.add(tx, asked=asked, until_id=until, state=RunState.RUNNING)


async def start_listed(
    store: Store, image_ids: Iterable[int], *, name: str, progress: Callable[[int], object]
) -> tuple[Backfill, list[int]]:
    """Start a backfill of listed images; returns it and the ids that no image has.

    It is paused while the list is read, so a list that was cut by a crash starts nothing by itself.
    `progress` is told how many ids were read.
    """
    asked = {"manifest": name}
    backfill_id = await store.write(
        lambda tx: backfills.add(tx, asked=asked, until_id=0, state=RunState.PAUSED)
    )
    unknown: list[int] = []
    ids = iter(image_ids)
    while part := list(islice(ids, LISTED_TOGETHER)):
        known = await store.write(lambda tx, part=part: _add(tx, backfill_id, part))  # type: ignore[misc]
        unknown += [one for one in part if one not in known]
        progress(len(part))
    return await resume(store, backfill_id), unknown


async def _add(tx: Transaction, backfill_id: int, image_ids: Sequence[int]) -> frozenset[int]:
    await backfills.lock(tx, backfill_id)
    return await backfills.add_images(tx, backfill_id, image_ids)


async def pause(store: Store, backfill_id: int) -> Backfill:
    """Send no more images. What was sent is still analysed. Raises NotFound, Conflict (`backfill_ended`)."""
    return await _move(store, backfill_id, RunState.PAUSED)


async def resume(store: Store, backfill_id: int) -> Backfill:
    """Go on with a paused backfill. Raises NotFound, Conflict (`backfill_ended`)."""
    return await _move(store, backfill_id, RunState.RUNNING)


async def cancel(store: Store, backfill_id: int) -> Backfill:
    """End a backfill; what it has not sent stays as it is. Raises NotFound, Conflict (`backfill_ended`)."""
    return await _move(store, backfill_id, RunState.CANCELLED)


async def _move(store: Store, backfill_id: int, state: RunState) -> Backfill:
    async def work(tx: Transaction) -> Backfill:
        found = await backfills.lock(tx, backfill_id)
        if found.state is state:
            return found
        if found.state in ENDED:
            raise Conflict(f"backfill {backfill_id} is {found.state}", code="backfill_ended")
        await backfills.set_state(tx, backfill_id, state)
        return await backfills.get(tx, backfill_id)

    return await store.write(work)


async def retry(store: Store, backfill_id: int, code: str | None) -> tuple[Backfill, int]:
    """Try the failures of a backfill again, of one reason or all; returns it and how many there are.

    A backfill that is done runs again. Raises NotFound, Conflict (`backfill_ended`) for a cancelled one.
    """

    async def work(tx: Transaction) -> tuple[Backfill, int]:
        found = await backfills.lock(tx, backfill_id)
        if found.state is RunState.CANCELLED:
            raise Conflict(f"backfill {backfill_id} is cancelled", code="backfill_ended")
        again = await backfills.retry(tx, backfill_id, code)
        if again and found.state is RunState.DONE:
            await backfills.set_state(tx, backfill_id, RunState.RUNNING)
        return await backfills.get(tx, backfill_id), again

    return await store.write(work)
