"""Batches of verdicts: looking back at them, and taking them back."""

from orchestrator import accounts
from orchestrator.api import answers, pagination
from orchestrator.api.bulk import address, job_answer
from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.records import UndoOutcome
from orchestrator.review.bulk_undo import take_back
from orchestrator.store import batches
from orchestrator.wire.requests import BatchesQuery, UndoRequest
from orchestrator.wire.schemas import BatchAnswer, BatchPage

CURSOR = "batches"


async def list_batches(call: Call) -> Reply:
    """List batches, the newest first: one's own, or for who may undo anybody's all of them."""
    query = call.query(BatchesQuery)
    after = pagination.decode(query.cursor, CURSOR, 1)
    everything = accounts.may(call.user.role, accounts.Action.UNDO_ANY) and not query.mine
    found = await call.read(
        lambda tx: batches.of_user(
            tx,
            None if everything else call.user.id,
            before=None if after is None else after[0],
            limit=query.limit + 1,
        )
    )
    page = found[: query.limit]
    return Reply(
        200,
        BatchPage(
            items=tuple(
                BatchAnswer(
                    id=one.id,
                    kind=one.kind,
                    by=one.user_name,
                    created_at=one.created_at,
                    undoes=one.undoes,
                    undone_by=one.undone_by,
                )
                for one in page
            ),
            next_cursor=pagination.encode(CURSOR, page[-1].id) if len(found) > query.limit else None,
        ),
    )


async def undo_batch(call: Call) -> Reply:
    """Take a batch back, or a part of it."""
    body = await call.json(UndoRequest)
    outcome = await take_back(
        call.resources.store, call.user, call.batch_id, suggestion_ids=body.suggestion_ids
    )
    if isinstance(outcome, UndoOutcome):
        return Reply(200, answers.undo(outcome))
    return Reply(202, job_answer(outcome), address(outcome))
