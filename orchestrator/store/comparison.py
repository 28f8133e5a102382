"""What comparing two versions reads: images that both have looked at, their scores, and what people said.

A row of `analyses` says that a version looked and that its scores are kept: who drops scores drops it, too.
So one that looked and has no scores saw nothing.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from orchestrator.records import RawPrediction, RejectReason, SuggestionStatus
from orchestrator.store import links
from orchestrator.store.eligibility import HIDDEN
from orchestrator.store.transaction import Transaction
from orchestrator.store.verdicts import Act


@dataclass(frozen=True, slots=True)
class JudgedImage:
    """An image as two versions saw it, and what people said of it. Tags are canonical ones.

    `seen_by`: the versions that looked, of those that were asked for. `applied`: tags that are on it.
    `approved`: those of them that a person approved as a suggestion. `rejected`: tags that a person said are
    wrong or unwanted, and that nobody applied since. `decided`: all tags with a suggestion that is not
    pending: none is proposed again.
    """

    id: int
    has_alpha: bool
    seen_by: frozenset[int]
    raw: tuple[RawPrediction, ...]
    applied: frozenset[int]
    approved: frozenset[int]
    rejected: frozenset[int]
    decided: frozenset[int]


async def count_seen_by_both(tx: Transaction, first: int, second: int) -> int:
    """Return how many images two versions have both looked at, hidden ones too."""
    ((found,),) = await tx.fetch_rows(
        "SELECT COUNT(*) FROM analyses a JOIN analyses b ON b.image_id = a.image_id"
        " AND b.model_version_id = :second WHERE a.model_version_id = :first",
        first=first,
        second=second,
    )
    return int(found)


async def ids_seen_by_both(
    tx: Transaction, first: int, second: int, *, before: int | None, limit: int
) -> list[int]:
    """Return images that two versions have looked at and that are not hidden, the newest first; `before`:
    the last one of the page before. Quickest when the first version has looked at less."""
    rows = await tx.fetch_rows(
        "SELECT a.image_id FROM analyses a"
        " STRAIGHT_JOIN analyses b ON b.image_id = a.image_id AND b.model_version_id = :second"
        " STRAIGHT_JOIN images i ON i.id = a.image_id"
        " WHERE a.model_version_id = :first AND (:before IS NULL OR a.image_id < :before)"
        " AND i.has_alpha IS NOT NULL AND i.eligibility NOT IN :hidden"
        " ORDER BY a.image_id DESC LIMIT :limit",
        first=first,
        second=second,
        before=before,
        hidden=sorted(HIDDEN),
        limit=limit,
    )
    return [row[0] for row in rows]


async def read(
    tx: Transaction, image_ids: Collection[int], version_ids: Collection[int]
) -> list[JudgedImage]:
    """Return these images by id, with the scores of these versions."""
    if not image_ids:
        return []
    ids = sorted(image_ids)
    images = await tx.fetch_rows("SELECT id, has_alpha FROM images WHERE id IN :ids ORDER BY id", ids=ids)
    raw: dict[int, list[RawPrediction]] = {}
    for image_id, version_id, label, score in await tx.fetch_rows(
        "SELECT image_id, model_version_id, label, score FROM raw_predictions"
        " WHERE image_id IN :ids AND model_version_id IN :versions",
        ids=ids,
        versions=sorted(version_ids),
    ):
        raw.setdefault(image_id, []).append(RawPrediction(version_id, label, score))
    seen: dict[int, set[int]] = {}
    for image_id, version_id in await tx.fetch_rows(
        "SELECT image_id, model_version_id FROM analyses"
        " WHERE image_id IN :ids AND model_version_id IN :versions",
        ids=ids,
        versions=sorted(version_ids),
    ):
        seen.setdefault(image_id, set()).add(version_id)
    applied = await links.applied_to(tx, ids)
    words = await _words(tx, ids)
    found = []
    for image_id, has_alpha in images:
        approved, rejected, decided = _sorted(words.get(image_id, ()))
        found.append(
            JudgedImage(
                id=image_id,
                has_alpha=bool(has_alpha),
                seen_by=frozenset(seen.get(image_id, ())),
                raw=tuple(raw.get(image_id, ())),
                applied=applied[image_id],
                approved=approved & applied[image_id],
                rejected=rejected - approved - applied[image_id],
                decided=decided,
            )
        )
    return found


Word = tuple[int, int, SuggestionStatus, Act | None, RejectReason | None]
"""Of a suggestion: its tag, the canonical tag, its status, what was last done to it, and why."""


def _sorted(words: Iterable[Word]) -> tuple[frozenset[int], frozenset[int], frozenset[int]]:
    """Return the tags that people approved, rejected, and that are decided at all."""
    approved, rejected, decided = set[int](), set[int](), set[int]()
    for own, tag, status, act, reason in words:
        decided.update((own, tag))
        # A tag that the board put there itself was found without anybody being asked: no approval.
        if status is SuggestionStatus.APPROVED and act is not Act.IMPLY:
            approved.add(tag)
        elif status is SuggestionStatus.REJECTED and reason is not RejectReason.REDUNDANT:
            rejected.add(tag)
    return frozenset(approved), frozenset(rejected), frozenset(decided)


async def _words(tx: Transaction, image_ids: list[int]) -> dict[int, list[Word]]:
    words: dict[int, list[Word]] = {}
    for image_id, own, tag, status, act, reason in await tx.fetch_rows(
        "SELECT s.image_id, s.tag_id, COALESCE(t.alias_of, t.id), s.status, v.decision, v.reason"
        " FROM suggestions s JOIN tags t ON t.id = s.tag_id LEFT JOIN verdicts v ON v.id ="
        " (SELECT MAX(w.id) FROM verdicts w WHERE w.suggestion_id = s.id)"
        " WHERE s.image_id IN :ids AND s.status <> 'pending'",
        ids=image_ids,
    ):
        word = (
            own,
            tag,
            SuggestionStatus(status),
            None if act is None else Act(act),
            None if reason is None else RejectReason(reason),
        )
        words.setdefault(image_id, []).append(word)
    return words
