# ruff: noqa: S608  (statements are put together from this package's own constants; values are bound)
"""Suggestions: storing a finished analysis, and reading what people review.

One row an image and tag, with evidence from every model version that saw it. All of an analysis is stored
in one transaction; locks are taken in the order image, suggestions, shared counters.
"""

from collections.abc import Collection

from orchestrator.records import (
    Analysis,
    ClaimedImage,
    Eligibility,
    EvidenceView,
    ImageContext,
    Resolution,
    SuggestionCounts,
    SuggestionStatus,
    SuggestionView,
)
from orchestrator.store import links, mappings
from orchestrator.store.counters import Deltas
from orchestrator.store.eligibility import HIDDEN
from orchestrator.store.reconcile import reconcile
from orchestrator.store.rows import TAG_COLUMNS, moment_or_none, tag
from orchestrator.store.transaction import Transaction


async def persist(tx: Transaction, image: ClaimedImage, analysis: Analysis, resolution: Resolution) -> bool:
    """Store one analysis and end its image as done.

    False, and nothing is changed, when the claim was lost. Storing the same analysis again changes no
    suggestion and counts nothing twice. A repost or deleted image keeps its raw scores, but has no pending
    rows.
    """
    row = await tx.fetch_one(
        "SELECT state, claim_token, eligibility, explicit_analysis, explicit_by FROM images"
        " WHERE id = :id FOR UPDATE",
        id=image.id,
    )
    if row is None or row["state"] != "running" or row["claim_token"] != bytes.fromhex(image.token):
        return False
    new_sources = await _store_raw(tx, image.id, analysis)
    deltas = Deltas()
    hidden = Eligibility(row["eligibility"]) in HIDDEN
    proposals = () if hidden else (*resolution.suggestions, *resolution.explorations)
    await reconcile(
        tx,
        image.id,
        proposals,
        deltas,
        explicit=bool(row["explicit_analysis"]),
        asked_by=row["explicit_by"],
    )
    await tx.execute(
        """
        UPDATE images
        SET state = 'done', claim_token = NULL, claimed_at = NULL, not_before = NULL,
            failure_code = NULL, failure_detail = NULL, explicit_analysis = FALSE, explicit_by = NULL,
            sha256 = :sha256, width = :width, height = :height, has_alpha = :has_alpha,
            media_type = :media_type, analysed_at = UTC_TIMESTAMP(6)
        WHERE id = :id
        """,
        id=image.id,
        sha256=bytes.fromhex(analysis.sha256),
        width=analysis.width,
        height=analysis.height,
        has_alpha=analysis.has_alpha,
        media_type=analysis.media_type,
    )
    # Rows that every analysis shares come last, so that they are held for the shortest time.
    await mappings.count_unmapped(tx, [name for name in resolution.unmapped if name.source in new_sources])
    await deltas.apply(tx)
    return True


async def _store_raw(tx: Transaction, image_id: int, analysis: Analysis) -> frozenset[str]:
    """Replace raw scores and ratings per version; returns the sources that see this image anew.

    A name counts as unmapped once an image and version, so only versions without an analysis so far count.
    """
    versions = sorted(set(analysis.model_version_ids))
    if not versions:
        return frozenset()
    seen = await tx.fetch_rows(
        "SELECT v.source, a.image_id IS NOT NULL FROM model_versions v"
        " LEFT JOIN analyses a ON a.model_version_id = v.id AND a.image_id = :image_id"
        " WHERE v.id IN :versions",
        image_id=image_id,
        versions=versions,
    )
    ratings = {rating.model_version_id: rating.rating for rating in analysis.ratings}
    await tx.insert_many(
        "analyses",
        ("image_id", "model_version_id", "rating"),
        [(image_id, version, ratings.get(version)) for version in versions],
        on_duplicate="rating = VALUES(rating), analysed_at = UTC_TIMESTAMP(6)",
    )
    await tx.execute(
        "DELETE FROM raw_predictions WHERE image_id = :image_id AND model_version_id IN :versions",
        image_id=image_id,
        versions=versions,
    )
    await tx.insert_many(
        "raw_predictions",
        ("image_id", "model_version_id", "label", "score"),
        sorted((image_id, raw.model_version_id, raw.label, raw.score) for raw in analysis.raw),
    )
    return frozenset(source for source, known in seen if not known)


async def for_image(
    tx: Transaction, image_id: int, statuses: Collection[SuggestionStatus] | None = None
) -> list[SuggestionView]:
    """Return an image's suggestions, surest first; all states but `cleared` unless `statuses` says which.

    Explorations that nobody has decided are for the queues only.
    """
    wanted = statuses or (SuggestionStatus.PENDING, SuggestionStatus.APPROVED, SuggestionStatus.REJECTED)
    rows = await tx.fetch_all(
        f"""
        SELECT s.id, s.image_id, s.status, s.score, s.confidence, s.version, s.inferred, s.decided_at,
               v.source, v.name AS model_name, v.version AS model_version, u.name AS decided_by, {TAG_COLUMNS}
        FROM suggestions s
        JOIN tags t ON t.id = s.tag_id
        JOIN model_versions v ON v.id = s.model_version_id
        LEFT JOIN users u ON u.id = s.decided_by
        WHERE s.image_id = :image_id AND s.status IN :statuses
          AND NOT (s.status = 'pending' AND s.exploration)
        ORDER BY s.confidence DESC, s.id
        """,
        image_id=image_id,
        statuses=sorted(wanted),
    )
    evidence = await _evidence(tx, [row["id"] for row in rows])
    return [
        SuggestionView(
            id=row["id"],
            image_id=row["image_id"],
            tag=tag(row),
            status=SuggestionStatus(row["status"]),
            score=row["score"],
            confidence=row["confidence"],
            model_source=row["source"],
            model_name=row["model_name"],
            model_version=row["model_version"],
            version=row["version"],
            inferred=bool(row["inferred"]),
            evidence=tuple(evidence.get(row["id"], ())),
            decided_by=row["decided_by"],
            decided_at=moment_or_none(row["decided_at"]),
        )
        for row in rows
    ]


async def _evidence(tx: Transaction, suggestion_ids: list[int]) -> dict[int, list[EvidenceView]]:
    """Return evidence by suggestion, the model that goes first and its strongest label first."""
    found: dict[int, list[EvidenceView]] = {}
    if not suggestion_ids:
        return found
    rows = await tx.fetch_rows(
        """
        SELECT e.suggestion_id, v.name, v.version, l.name, e.score
        FROM suggestion_evidence e
        JOIN model_versions v ON v.id = e.model_version_id
        JOIN labels l ON l.model_version_id = e.model_version_id AND l.label = e.label
        WHERE e.suggestion_id IN :ids
        ORDER BY e.suggestion_id, v.priority, v.version DESC, e.score DESC, e.label
        """,
        ids=suggestion_ids,
    )
    for suggestion_id, name, version, label, score in rows:
        found.setdefault(suggestion_id, []).append(EvidenceView(name, version, label, score))
    return found


async def counts(tx: Transaction, image_id: int) -> SuggestionCounts:
    """Return how many of an image's suggestions stand in each state that people see, as `for_image` shows
    them."""
    rows = await tx.fetch_rows(
        "SELECT status, COUNT(*) FROM suggestions"
        " WHERE image_id = :image_id AND NOT (status = 'pending' AND exploration) GROUP BY status",
        image_id=image_id,
    )
    found = {status: int(amount) for status, amount in rows}
    return SuggestionCounts(
        pending=found.get("pending", 0), approved=found.get("approved", 0), rejected=found.get("rejected", 0)
    )


async def context(tx: Transaction, image_id: int, *, has_alpha: bool, sha256: str) -> ImageContext:
    """Return what the rules need to know of an image whose picture, of this hash, has just been decoded."""
    return ImageContext(has_alpha=has_alpha, applied=await links.applied_ids(tx, image_id), sha256=sha256)
