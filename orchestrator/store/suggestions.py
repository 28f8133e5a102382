# ruff: noqa: S608  (statements are put together from this package's own constants; values are bound)
"""Suggestions: storing a finished analysis, and reading what people review.

One row an image and tag, with evidence from every model version that saw it. All of an analysis is stored
in one transaction, which may be of many images; locks are taken in the order images, suggestions, shared
counters.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from orchestrator.records import (
    Analysis,
    ClaimedImage,
    Eligibility,
    EvidenceView,
    ImageState,
    Resolution,
    SuggestionCounts,
    SuggestionStatus,
    SuggestionView,
)
from orchestrator.store import mappings
from orchestrator.store.counters import Deltas
from orchestrator.store.eligibility import HIDDEN
from orchestrator.store.reconcile import Proposed, reconcile
from orchestrator.store.rows import TAG_COLUMNS, moment_or_none, pair_table, tag
from orchestrator.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Finished:
    """One analysis that is to be stored."""

    image: ClaimedImage
    analysis: Analysis
    resolution: Resolution


async def persist(tx: Transaction, image: ClaimedImage, analysis: Analysis, resolution: Resolution) -> bool:
    """Store one analysis as `persist_many` does; False when the claim was lost."""
    return bool(await persist_many(tx, [Finished(image, analysis, resolution)]))


async def persist_many(tx: Transaction, finished: Sequence[Finished]) -> frozenset[ClaimedImage]:
    """Store analyses and end their images as done; returns these images.

    Those whose claim was lost are not among them, and nothing of them is changed. Storing the same analysis
    again changes no suggestion and counts nothing twice. A repost or deleted image keeps its raw scores, but
    has no pending rows.
    """
    rows = await tx.fetch_rows(
        "SELECT id, state, claim_token, eligibility, explicit_analysis, explicit_by"
        " FROM images FORCE INDEX (PRIMARY) WHERE id IN :ids ORDER BY id FOR UPDATE",
        ids=sorted(one.image.id for one in finished),
    )
    locked = {row[0]: row[1:] for row in rows}
    held = [
        one
        for one in sorted(finished, key=lambda one: one.image.id)
        if locked.get(one.image.id, ())[:2] == (ImageState.RUNNING, bytes.fromhex(one.image.token))
    ]
    if not held:
        return frozenset()
    news = await _store_raw(tx, held)
    deltas = Deltas()
    proposed = []
    for one in held:
        _, _, eligibility, explicit, asked_by = locked[one.image.id]
        hidden = Eligibility(eligibility) in HIDDEN
        proposals = () if hidden else (*one.resolution.suggestions, *one.resolution.explorations)
        proposed.append(Proposed(one.image.id, proposals, bool(explicit), asked_by))
    await reconcile(tx, proposed, deltas)
    await _end_as_done(tx, held)
    # Rows that every analysis shares come last, so that they are held for the shortest time.
    await mappings.count_unmapped(
        tx,
        [
            name
            for one, sources in zip(held, news, strict=True)
            for name in one.resolution.unmapped
            if name.source in sources
        ],
    )
    await deltas.apply(tx)
    return frozenset(one.image for one in held)


async def _end_as_done(tx: Transaction, held: Sequence[Finished]) -> None:
    values = {
        f"row_{number}": (
            one.image.id,
            one.analysis.sha256,
            one.analysis.width,
            one.analysis.height,
            one.analysis.has_alpha,
            one.analysis.media_type,
        )
        for number, one in enumerate(held)
    }
    listed = ", ".join(f":{name}" for name in values)
    await tx.execute(
        f"""
        UPDATE (WITH n (id, sha256, width, height, has_alpha, media_type) AS (VALUES {listed})
                SELECT * FROM n) n
        STRAIGHT_JOIN images i ON i.id = n.id
        SET i.state = 'done', i.claim_token = NULL, i.claimed_at = NULL, i.not_before = NULL,
            i.failure_code = NULL, i.failure_detail = NULL, i.explicit_analysis = FALSE, i.explicit_by = NULL,
            i.sha256 = UNHEX(n.sha256), i.width = n.width, i.height = n.height, i.has_alpha = n.has_alpha,
            i.media_type = n.media_type, i.analysed_at = UTC_TIMESTAMP(6)
        """,
        **values,
    )


async def _store_raw(tx: Transaction, held: Sequence[Finished]) -> list[frozenset[str]]:
    """Replace raw scores and ratings per image and version; returns, for each, the sources that see it anew.

    A name counts as unmapped once an image and version, so only versions without an analysis so far count.
    """
    ids = [one.image.id for one in held]
    versions = sorted({version for one in held for version in one.analysis.model_version_ids})
    if not versions:
        return [frozenset() for _ in held]
    sources = dict(
        await tx.fetch_rows("SELECT id, source FROM model_versions WHERE id IN :versions", versions=versions)
    )
    seen = set(
        await tx.fetch_rows(
            "SELECT image_id, model_version_id FROM analyses"
            " WHERE image_id IN :ids AND model_version_id IN :versions",
            ids=ids,
            versions=versions,
        )
    )
    places = [
        (one.image.id, version) for one in held for version in sorted(set(one.analysis.model_version_ids))
    ]
    ratings = {
        (one.image.id, rating.model_version_id): rating.rating
        for one in held
        for rating in one.analysis.ratings
    }
    await tx.insert_many(
        "analyses",
        ("image_id", "model_version_id", "rating"),
        [(*place, ratings.get(place)) for place in places],
        on_duplicate="rating = VALUES(rating), analysed_at = UTC_TIMESTAMP(6)",
    )
    again = [place for place in places if place in seen]
    if again:
        table, parameters = pair_table(again, "image_id, model_version_id")
        await tx.execute(
            f"DELETE r FROM {table} p STRAIGHT_JOIN raw_predictions r"
            " ON r.image_id = p.image_id AND r.model_version_id = p.model_version_id",
            **parameters,
        )
    await tx.insert_many(
        "raw_predictions",
        ("image_id", "model_version_id", "label", "score"),
        sorted(
            (one.image.id, raw.model_version_id, raw.label, raw.score)
            for one in held
            for raw in one.analysis.raw
        ),
    )
    return [
        frozenset(
            sources[version]
            for version in one.analysis.model_version_ids
            if (one.image.id, version) not in seen
        )
        for one in held
    ]


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
    """Return evidence by suggestion: what decided, then the model that goes first and its strongest label."""
    found: dict[int, list[EvidenceView]] = {}
    if not suggestion_ids:
        return found
    rows = await tx.fetch_rows(
        """
        SELECT e.suggestion_id, v.name, v.version, l.name, e.score,
               e.model_version_id = s.model_version_id AND e.score = s.score AS decides
        FROM suggestion_evidence e
        JOIN suggestions s ON s.id = e.suggestion_id
        JOIN model_versions v ON v.id = e.model_version_id
        JOIN labels l ON l.model_version_id = e.model_version_id AND l.label = e.label
        WHERE e.suggestion_id IN :ids
        ORDER BY e.suggestion_id, decides DESC, v.priority, v.version DESC, e.score DESC, e.label
        """,
        ids=suggestion_ids,
    )
    for suggestion_id, name, version, label, score, decides in rows:
        known = found.setdefault(suggestion_id, [])
        # Of labels that are equally sure, the first one.
        known.append(EvidenceView(name, version, label, score, bool(decides) and not known))
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
