"""What comparing two versions reads: images that both have looked at, their scores, and what people said."""

from collections.abc import Collection
from dataclasses import dataclass

from orchestrator.records import RawPrediction, RejectReason, SuggestionStatus
from orchestrator.store import links
from orchestrator.store.eligibility import HIDDEN
from orchestrator.store.transaction import Transaction
from orchestrator.store.verdicts import Act


@dataclass(frozen=True, slots=True)
class JudgedImage:
    """An image as two versions saw it, and what people said of it. Tags are canonical ones.

    `applied`: tags that are on it. `approved`: those of them that a person approved as a suggestion.
    `rejected`: tags that a person said are wrong or unwanted, and that nobody applied since. `decided`: all
    tags with a suggestion that is not pending: none is proposed again.
    """

    id: int
    has_alpha: bool
    raw: tuple[RawPrediction, ...]
    applied: frozenset[int]
    approved: frozenset[int]
    rejected: frozenset[int]
    decided: frozenset[int]


async def kept_since(tx: Transaction, version_id: int) -> int | None:
    """Return the oldest image of which a version's scores are kept, None when there are none.

    From there on, an image that it looked at and that has no scores is one in which it saw nothing.
    """
    rows = await tx.fetch_rows(
        "SELECT a.image_id FROM analyses a WHERE a.model_version_id = :version AND EXISTS"
        " (SELECT 1 FROM raw_predictions r WHERE r.image_id = a.image_id AND r.model_version_id = :version)"
        " ORDER BY a.image_id LIMIT 1",
        version=version_id,
    )
    return int(rows[0][0]) if rows else None


async def count_seen_by_both(tx: Transaction, first: int, second: int, *, since: int) -> int:
    """Return how many images from `since` on two versions have both looked at, hidden ones too."""
    ((found,),) = await tx.fetch_rows(
        "SELECT COUNT(*) FROM analyses a JOIN analyses b ON b.image_id = a.image_id"
        " AND b.model_version_id = :second WHERE a.model_version_id = :first AND a.image_id >= :since",
        first=first,
        second=second,
        since=since,
    )
    return int(found)


async def ids_seen_by_both(
    tx: Transaction, first: int, second: int, *, since: int, before: int | None, limit: int
) -> list[int]:
    """Return images from `since` on that two versions have looked at and that are not hidden, the newest
    first; `before`: the last one of the page before."""
    rows = await tx.fetch_rows(
        "SELECT a.image_id FROM analyses a"
        " STRAIGHT_JOIN analyses b ON b.image_id = a.image_id AND b.model_version_id = :second"
        " STRAIGHT_JOIN images i ON i.id = a.image_id"
        " WHERE a.model_version_id = :first AND a.image_id >= :since"
        " AND (:before IS NULL OR a.image_id < :before)"
        " AND i.has_alpha IS NOT NULL AND i.eligibility NOT IN :hidden"
        " ORDER BY a.image_id DESC LIMIT :limit",
        first=first,
        second=second,
        since=since,
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
    applied = await links.applied_to(tx, ids)
    words = await _words(tx, ids)
    return [
        _judged(image_id, bool(has_alpha), tuple(raw.get(image_id, ())), applied[image_id], words)
        for image_id, has_alpha in images
    ]


Word = tuple[int, int, SuggestionStatus, Act | None, RejectReason | None]
"""Of a suggestion: its tag, the canonical tag, its status, what was last done to it, and why."""


def _judged(
    image_id: int,
    has_alpha: bool,
    raw: tuple[RawPrediction, ...],
    applied: frozenset[int],
    words: dict[int, list[Word]],
) -> JudgedImage:
    approved, rejected, decided = set[int](), set[int](), set[int]()
    for own, tag, status, act, reason in words.get(image_id, ()):
        decided.update((own, tag))
        # A tag that the board put there itself was found without anybody being asked: no approval.
        if status is SuggestionStatus.APPROVED and act is not Act.IMPLY:
            approved.add(tag)
        elif status is SuggestionStatus.REJECTED and reason is not RejectReason.REDUNDANT:
            rejected.add(tag)
    return JudgedImage(
        id=image_id,
        has_alpha=has_alpha,
        raw=raw,
        applied=applied,
        approved=frozenset(approved & applied),
        rejected=frozenset(rejected - approved - applied),
        decided=frozenset(decided),
    )


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
