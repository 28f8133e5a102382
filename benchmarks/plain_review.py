"""The plain design that `review_contention` compares with, behind the same HTTP layer.

One transaction a request as well, but a statement a row, and usage counted by a trigger on the links.
"""

from collections.abc import Sequence

from starlette.applications import Starlette

from orchestrator.api import suggestions
from orchestrator.api.app import create_app
from orchestrator.records import (
    Decision,
    ReviewOutcome,
    SuggestionStatus,
    User,
    VerdictOutcome,
    VerdictRequest,
    VerdictResult,
)
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

TRIGGER = (
    "ALTER TABLE tags ADD COLUMN usage_count INT NOT NULL DEFAULT 0",
    "CREATE TRIGGER tag_usage AFTER INSERT ON tag_links FOR EACH ROW"
    " UPDATE tags SET usage_count = usage_count + 1 WHERE id = NEW.tag_id",
)


async def plain_review(
    store: Store, actor: User, requests: Sequence[VerdictRequest], *, idempotency_key: str | None = None
) -> ReviewOutcome:
    """Do what `review_many` does to simple rows, as one would write it first."""
    return await store.write(lambda tx: _review(tx, actor, requests))


async def _review(tx: Transaction, actor: User, requests: Sequence[VerdictRequest]) -> ReviewOutcome:
    batch_id = await tx.insert("review_batches", user_id=actor.id, kind="review")
    return ReviewOutcome(batch_id, tuple([await _one(tx, actor, batch_id, one) for one in requests]), None)


async def _one(tx: Transaction, actor: User, batch_id: int, request: VerdictRequest) -> VerdictResult:
    row = await tx.fetch_one("SELECT * FROM suggestions WHERE id = :id FOR UPDATE", id=request.suggestion_id)
    approve = request.decision is Decision.APPROVE
    target = SuggestionStatus.APPROVED if approve else SuggestionStatus.REJECTED
    if row is None or row["status"] != "pending" or row["version"] != request.version:
        return _result(request, VerdictOutcome.CONFLICT, None)
    await tx.execute(
        "UPDATE suggestions SET status = :status, version = version + 1, decided_by = :user,"
        " decided_at = UTC_TIMESTAMP(6) WHERE id = :id",
        status=target,
        user=actor.id,
        id=request.suggestion_id,
    )
    if approve:
        await tx.execute(
            "INSERT IGNORE INTO tag_links (image_id, tag_id, origin, user_id)"
            " VALUES (:image, :tag, 'review', :user)",
            image=row["image_id"],
            tag=row["tag_id"],
            user=actor.id,
        )
    await tx.insert(
        "verdicts",
        batch_id=batch_id,
        suggestion_id=row["id"],
        image_id=row["image_id"],
        tag_id=row["tag_id"],
        user_id=actor.id,
        decision=request.decision,
        from_status="pending",
        to_status=target,
        from_version=request.version,
        to_version=request.version + 1,
        model_version_id=row["model_version_id"],
        score=row["score"],
        confidence=row["confidence"],
    )
    return _result(request, VerdictOutcome.APPLIED, target)


def _result(
    request: VerdictRequest, outcome: VerdictOutcome, status: SuggestionStatus | None
) -> VerdictResult:
    return VerdictResult(
        request.suggestion_id,
        outcome,
        status,
        request.version + (outcome is VerdictOutcome.APPLIED),
        None,
        linked=False,
        cleared=(),
        decided_by=None,
        decided_at=None,
    )


def create_plain_app() -> Starlette:
    """Return the real application with the plain design in the place of ours."""
    vars(suggestions)["review_many"] = plain_review
    return create_app()
