"""`guarded_promotion`: a deliberately worse version is caught, a better one passes, by people's verdicts.

On the demo board: two versions whose head was fitted anew for two labels, one of them with the labels
swapped. Each shadows the active version; a simulated reviewer, who knows what was drawn, decides on what the
active version suggested. The swapped one must be refused; forced in all the same, the other one must pass.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import Figures
from benchmarks.installation import Installation, installation, say
from benchmarks.refitted_head import Fit
from orchestrator.backfill import runs
from orchestrator.demo import pictures
from orchestrator.demo.agreement import Truth
from orchestrator.demo.people import read_tokens
from orchestrator.demo.portraits.files import PortraitFile
from orchestrator.demo.setup import CHARACTER_FLOOR
from orchestrator.errors import Conflict
from orchestrator.inference.client import TritonClient
from orchestrator.local.instance import checkout
from orchestrator.records import Decision, LabelCategory, Role, RunState, SuggestionStatus, VerdictRequest
from orchestrator.registry import lifecycle
from orchestrator.registry.publish import Publisher
from orchestrator.review.service import review
from orchestrator.rollout.guard import Guard, Measured
from orchestrator.rollout.measuring import measure
from orchestrator.rollout.shadowing import end_shadow, shadow
from orchestrator.rollout.switching import Place, promote, roll_back
from orchestrator.store import backfills, mappings, suggestions, tags, thresholds, users
from orchestrator.store.transaction import Transaction

NAME = "wd14"
COUNT = 120
GUARD = Guard(min_images=COUNT)

_BUFFERED = 2.0
"""Seconds in which a process looks at what waits in its buffer."""
_POLL = 0.2
_PATIENCE = 300.0


async def guarded_promotion() -> Figures:
    """Publish, shadow, judge, promote: the worse one, then the better one."""
    async with installation() as place, TritonClient.from_settings(place.settings) as triton:
        ours = Place(place.store, place.settings, triton, "benchmark", say)
        portraits = pictures.draw(place.stack.instance.pictures / "portraits", COUNT, lambda done: None)
        tokens = read_tokens(place.stack.instance.tokens_file)
        say(f"{COUNT} portraits")
        ids = await pictures.register(place.url, tokens, portraits, lambda done: None)
        theirs = f"ids={min(ids)}-{max(ids)}"
        await _backfill(place, theirs)
        verdicts = await _judge(place, ids, portraits)
        say("fitting heads")
        with TemporaryDirectory() as folder:
            fit = await asyncio.to_thread(Fit, checkout() / "model_repository" / NAME / "1")
            worse = await _publish(ours, fit.write(Path(folder) / "worse", swapped=True))
            better = await _publish(ours, fit.write(Path(folder) / "better", swapped=False))
        for version in (worse, better):
            await _look(ours, place, version, theirs)
        refused, reason = await _promote(ours, worse)
        say(reason)
        against_first = await _measured(ours, 1, worse)
        await promote(ours, NAME, worse, guard=GUARD, force=True, reason="to be taken back")
        against_worse = await _measured(ours, worse, better)
        promoted = await promote(ours, NAME, better, guard=GUARD)
        for version in (better, worse):
            await roll_back(ours, NAME)
            await lifecycle.remove(
                ours.store, ours.settings, triton, NAME, version, actor="benchmark", say=say
            )
    return Figures(
        "guarded_promotion",
        f"two labels swapped in a fitted head, {COUNT} portraits and {verdicts} verdicts",
        {
            "worse_refused": int(refused),
            "better_promoted": int(not promoted.forced and promoted.row.version == better),
            **_figures("worse", against_first),
            **_figures("better", against_worse),
        },
    )


def _figures(name: str, found: Measured) -> dict[str, float | int | str]:
    if found.f1 is None or found.change is None:
        raise RuntimeError("nothing was judged")
    return {
        f"{name}_f1_before": round(found.f1[0], 3),
        f"{name}_f1": round(found.f1[1], 3),
        f"{name}_change": f"{found.change[0]:+.3f} to {found.change[1]:+.3f}",
        f"{name}_judged_images": found.judged,
    }


async def _publish(ours: Place, folder: Path) -> int:
    publisher = Publisher(ours.store, ours.settings, ours.triton, ours.actor, say=say)
    model = (await publisher.publish(folder)).model

    async def alike(tx: Transaction) -> None:
        await thresholds.set_score(tx, model.id, LabelCategory.CHARACTER, CHARACTER_FLOOR, actor_id=None)

    await ours.store.write(alike)
    return model.version


async def _look(ours: Place, place: Installation, version: int, theirs: str) -> None:
    """Let a version look at every portrait as a shadow; what its buffer had no room for comes again."""
    say(f"version {version} shadows")
    await shadow(ours, NAME, version, 1.0)
    unseen = f"unseen_by={NAME}:{version}"
    async with asyncio.timeout(_PATIENCE):
        while await _count(place, theirs, unseen):
            await _backfill(place, theirs, unseen)
            await asyncio.sleep(_BUFFERED)
    await end_shadow(ours, NAME, version)


async def _count(place: Installation, *conditions: str) -> int:
    async def work(tx: Transaction) -> int:
        return await backfills.count_images(tx, await runs.check(tx, conditions))

    return await place.store.read(work)


async def _backfill(place: Installation, *conditions: str) -> None:
    begun = await runs.start(place.store, conditions)
    async with asyncio.timeout(_PATIENCE):
        while True:
            found = await place.store.read(lambda tx: backfills.get(tx, begun.id))
            if found.state is RunState.DONE:
                return
            await asyncio.sleep(_POLL)


async def _judge(place: Installation, ids: list[int], portraits: list[PortraitFile]) -> int:
    """Decide on all that is pending as who knows what was drawn; returns how many verdicts that took."""

    async def known(tx: Transaction) -> Truth:
        return Truth(await tags.load_all(tx), await mappings.load_all(tx))

    truth = await place.store.read(known)
    moderator = await place.store.read(lambda tx: users.by_name(tx, Role.MODERATOR))
    if moderator is None:
        raise RuntimeError("the demo board has no moderator")
    verdicts = 0
    for image_id, portrait in zip(ids, portraits, strict=True):
        expected = truth.expected(portrait.labels, portrait.themes)
        right = expected.union(*(truth.ancestors(one) for one in expected))
        rows = await place.store.read(
            lambda tx, one=image_id: suggestions.for_image(tx, one, (SuggestionStatus.PENDING,))  # type: ignore[misc]
        )
        requests = [
            VerdictRequest(row.id, row.version, Decision.APPROVE if row.tag.id in right else Decision.REJECT)
            for row in rows
        ]
        if requests:
            await review(place.store, moderator, image_id, requests)
        verdicts += len(requests)
    return verdicts


async def _promote(ours: Place, version: int) -> tuple[bool, str]:
    """Return whether a version was refused, and why."""
    try:
        await promote(ours, NAME, version, guard=GUARD)
    except Conflict as refusal:
        if refusal.code != "promotion_refused":
            raise
        return True, refusal.detail
    return False, "it was promoted"


async def _measured(ours: Place, before: int, after: int) -> Measured:
    rows = [await lifecycle.find_version(ours.store, NAME, number) for number in (before, after)]
    return await measure(ours.store, ours.settings, rows[0], rows[1])
