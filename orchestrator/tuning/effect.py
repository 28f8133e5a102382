"""What other rules would do to the pending queue: both plans applied to stored scores; nothing is written.

The rules are those of a re-map. What is compared is plan with plan, not plan with rows: a re-map that is due
for another reason is no effect of this change.
"""

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.records import SCORE_ONE, ProposedSuggestion, SuggestionStatus
from orchestrator.remap.difference import is_known, proposals
from orchestrator.remap.runs import TOGETHER
from orchestrator.store import remaps
from orchestrator.store.remaps import StoredImage
from orchestrator.store.unit_of_work import Store
from orchestrator.tagging import explore
from orchestrator.tagging.plan import LabelRule, Meaning, TaggingPlan

SHOWN_IMAGES = 6
_SURE = 1.96
"""Standard deviations on each side that hold 95 of 100."""

Bands = Mapping[int, Mapping[int, tuple[int, int]]]
"""Version → label → the scores, from … up to but not with, whose meaning differs between two plans."""


@dataclass(frozen=True, slots=True)
class TagEffect:
    """What becomes of a tag's pending rows. `comes`, `goes`: some images where a row does, newest first."""

    tag_id: int
    added: int
    removed: int
    updated: int
    comes: tuple[int, ...]
    goes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """What would change of pending rows. Counts are of the images that were looked at, of which each stands
    for `scale`. `added_margin`, `removed_margin`: what an estimate of all may be off by, 95 times of 100;
    0 when all were looked at. `tags`: those where most rows come or go first."""

    looked: int
    images: int
    added: int
    removed: int
    updated: int
    scale: float
    added_margin: float
    removed_margin: float
    tags: tuple[TagEffect, ...]


@dataclass(slots=True)
class _Tally:
    """What one tag's rows do so far."""

    added: int = 0
    removed: int = 0
    updated: int = 0
    comes: deque[int] = field(default_factory=lambda: deque(maxlen=SHOWN_IMAGES))
    goes: deque[int] = field(default_factory=lambda: deque(maxlen=SHOWN_IMAGES))


@dataclass(frozen=True, slots=True)
class _Found:
    """What changes on one image: tags."""

    image_id: int
    added: frozenset[int]
    removed: frozenset[int]
    updated: frozenset[int]


async def compare(
    store: Store,
    before: TaggingPlan,
    after: TaggingPlan,
    *,
    sample: int | None,
    progress: Callable[[int, int], object] = lambda looked, of: None,
) -> Effect:
    """Apply two plans over the same board to stored images, and say what differs of their pending rows.

    `sample`: look at so many images at most, spread over all of them; None looks at all. `progress` hears
    how many images more were looked at, of about how many.
    """
    first, last = await store.read(remaps.span)
    count = last - first + 1
    stride = 1.0 if sample is None else max(1.0, count / sample)
    bands = _bands(before, after)
    telling = {
        version: sorted({*rules, *after.telling[version]}) for version, rules in before.telling.items()
    }
    tallies: dict[int, _Tally] = {}
    looked = images = 0
    squares = [0, 0]
    for ids in _chunks(first, count, stride):
        read = await store.read(lambda tx, ids=ids: remaps.read(tx, ids, telling=telling))  # type: ignore[misc]
        found = await asyncio.to_thread(_differing, before, after, bands, read)
        for one in found:
            squares[0] += len(one.added) ** 2
            squares[1] += len(one.removed) ** 2
            _count(tallies, one)
        looked, images = looked + len(read), images + len(found)
        progress(len(ids), math.ceil(count / stride))
    # Of images drawn apart, rows that come add up as chances do; who looks at all of them is never off.
    margins = [_SURE * stride * math.sqrt(square * (1 - 1 / stride)) for square in squares]
    order = sorted(tallies.items(), key=lambda item: (-item[1].added - item[1].removed, item[0]))
    return Effect(
        looked=looked,
        images=images,
        added=sum(one.added for one in tallies.values()),
        removed=sum(one.removed for one in tallies.values()),
        updated=sum(one.updated for one in tallies.values()),
        scale=stride,
        added_margin=margins[0],
        removed_margin=margins[1],
        tags=tuple(
            TagEffect(
                tag_id, one.added, one.removed, one.updated, (*reversed(one.comes),), (*reversed(one.goes),)
            )
            for tag_id, one in order
        ),
    )


def _chunks(first: int, count: int, stride: float) -> Iterator[list[int]]:
    """Yield ids to look at, in order: one from each stretch of `stride` ids, always the same ones."""
    chance = random.Random(count)
    drawn = math.ceil(count / stride)
    for start in range(0, drawn, TOGETHER):
        ids = {
            first + min(count - 1, int((number + chance.random()) * stride))
            for number in range(start, min(start + TOGETHER, drawn))
        }
        yield sorted(ids)


def _bands(before: TaggingPlan, after: TaggingPlan) -> Bands | None:
    """Return where the two plans hear labels differently. Most images have no such score, and then both
    plans propose the same. None for plans that differ otherwise."""
    if before.priorities != after.priorities:
        return None
    found: dict[int, dict[int, tuple[int, int]]] = {}
    for version_id, rules in after.versions.items():
        known = before.versions[version_id].labels
        for label, rule in rules.labels.items():
            if rule != known[label]:
                found.setdefault(version_id, {})[label] = _band(known[label], rule)
    return found


def _band(one: LabelRule, other: LabelRule) -> tuple[int, int]:
    heard = [rule.threshold for rule in (one, other) if rule.meaning is not Meaning.NONE]
    low = min(heard) - explore.MARGIN
    only_floors = len(heard) == 2 and (one.meaning, one.tag_id, one.weight) == (
        other.meaning,
        other.tag_id,
        other.weight,
    )
    return low, max(heard) if only_floors else SCORE_ONE + 1


def _differing(
    before: TaggingPlan, after: TaggingPlan, bands: Bands | None, images: Sequence[StoredImage]
) -> list[_Found]:
    found = []
    for image in images:
        if not is_known(after, image) or not _is_touched(bands, image):
            continue
        decided = {one.tag_id for one in image.suggestions if one.status is not SuggestionStatus.PENDING}
        old, new = _pending(before, image, decided), _pending(after, image, decided)
        one = _Found(
            image.id,
            added=frozenset(new.keys() - old.keys()),
            removed=frozenset(old.keys() - new.keys()),
            updated=frozenset(tag for tag in new.keys() & old.keys() if _seen(new[tag]) != _seen(old[tag])),
        )
        if one.added or one.removed or one.updated:
            found.append(one)
    return found


def _is_touched(bands: Bands | None, image: StoredImage) -> bool:
    if bands is None:
        return True
    for raw in image.raw:
        band = bands.get(raw.model_version_id, {}).get(raw.label)
        if band is not None and band[0] <= raw.score < band[1]:
            return True
    return False


def _pending(plan: TaggingPlan, image: StoredImage, decided: set[int]) -> dict[int, ProposedSuggestion]:
    return {one.tag_id: one for one in proposals(plan, image) if one.tag_id not in decided}


def _seen(one: ProposedSuggestion) -> tuple[object, ...]:
    """What a re-map would call a change of a row."""
    return one.score, one.confidence, one.model_version_id, one.inferred, one.exploration


def _count(tallies: dict[int, _Tally], found: _Found) -> None:
    for tag_id in found.added:
        tally = tallies.setdefault(tag_id, _Tally())
        tally.added += 1
        tally.comes.append(found.image_id)
    for tag_id in found.removed:
        tally = tallies.setdefault(tag_id, _Tally())
        tally.removed += 1
        tally.goes.append(found.image_id)
    for tag_id in found.updated:
        tallies.setdefault(tag_id, _Tally()).updated += 1
