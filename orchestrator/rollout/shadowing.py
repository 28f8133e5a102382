"""Having a version look at a share of the images beside the active ones, without a say."""

from orchestrator.errors import Conflict, InvalidInput
from orchestrator.records import SCORE_ONE, VersionState
from orchestrator.registry.lifecycle import bring_in, find_version
from orchestrator.registry.register import record
from orchestrator.registry.serving import alone
from orchestrator.rollout.switching import Place
from orchestrator.store import models, shadows
from orchestrator.store.shadows import Shadow
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store


async def find_shadow(store: Store, version_id: int) -> Shadow | None:
    """Return what is known of a version's shadowing, None when it never was one."""
    return (await store.read(shadows.all_shadows)).get(version_id)


async def shadow(place: Place, name: str, version: int, share: float) -> Shadow:
    """Have a version score `share` (0 … 1) of the images, in spare capacity; again, to change the share.

    It is tried through Triton first. Raises InvalidInput (`bad_share`), NotFound, Conflict (`version_in_use`
    for the active version, `version_removed`, `geometry_differs` when no active version is given pictures of
    the size and padding that this one takes, `model_busy`), ModelError, InferenceUnavailable.
    """
    parts = round(share * SCORE_ONE)
    if not 0 < parts <= SCORE_ONE:
        raise InvalidInput("a share is more than nothing and at most all: 10%, or 0.1", code="bad_share")
    async with alone(place.settings, name, say=place.say, patience=place.patience):
        row = await find_version(place.store, name, version)
        shadows.check(row)
        if row.state is not VersionState.SHADOW:
            model = await bring_in(place.store, place.settings, place.triton, row.id, say=place.say)
            active = await place.store.read(lambda tx: models.active(tx, place.settings))
            if model.geometry not in {one.geometry for one in active}:
                raise Conflict(
                    f"{name} {version} takes pictures prepared as for no active version: decoding them twice"
                    " would delay the images",
                    code="geometry_differs",
                )

        async def work(tx: Transaction) -> None:
            await shadows.begin(tx, row.id, parts)
            await record(tx, "shadowed", name, version, actor=place.actor, share=share)

        await place.store.write(work)
    found = await find_shadow(place.store, row.id)
    assert found is not None  # noqa: S101 (it has just begun)
    return found


async def end_shadow(place: Place, name: str, version: int) -> bool:
    """Have a version score no more; what it scored stays, and it is what it was before. False when it is no
    shadow. Raises NotFound."""
    row = await find_version(place.store, name, version)
    return await place.store.write(lambda tx: shadows.end(tx, row.id, actor=place.actor))
