"""An image's suggestions, and decisions on them."""

from orchestrator import accounts
from orchestrator.api import answers, pagination
from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.errors import NotFound
from orchestrator.records import (
    ReviewOutcome,
    SuggestionCounts,
    SuggestionStatus,
    SuggestionView,
    VerdictOutcome,
    VerdictRequest,
)
from orchestrator.review.service import review, review_many
from orchestrator.store import exposures, images, suggestions
from orchestrator.store.transaction import Transaction
from orchestrator.wire.requests import ReviewRequest, SuggestionsQuery
from orchestrator.wire.schemas import ReviewProblem, SuggestionPage

CURSOR = "suggestions"
PLACE = "api"


async def list_suggestions(call: Call) -> Reply:
    """List an image's suggestions, surest first, and note which pending ones were shown to whom."""
    query, user, image_id = call.query(SuggestionsQuery), call.user, call.image_id
    after = pagination.decode(query.cursor, CURSOR, 2)
    statuses = None if query.status is None else {query.status}

    async def work(tx: Transaction) -> tuple[list[SuggestionView], SuggestionCounts, bool]:
        image = await images.get(tx, image_id)
        accounts.require_review(user, image.uploader_id)
        found = await suggestions.for_image(tx, image_id, statuses)
        if after is not None:
            found = [one for one in found if (-one.confidence, one.id) > (-after[0], after[1])]
        return found[: query.limit], await suggestions.counts(tx, image_id), len(found) > query.limit

    page, counts, more = await call.read(work)
    last = page[-1] if more else None
    shown = [(one.id, one.version) for one in page if one.status is SuggestionStatus.PENDING]
    return Reply(
        200,
        SuggestionPage(
            items=tuple(answers.suggestion(one) for one in page),
            counts=answers.counts(counts),
            next_cursor=None if last is None else pagination.encode(CURSOR, last.confidence, last.id),
        ),
        after=call.note(lambda tx: exposures.record(tx, user_id=user.id, place=PLACE, shown=shown)),
    )


async def review_suggestions(call: Call) -> Reply:
    """Apply decisions to an image's suggestions and say what really happened to each."""
    body = await call.json(ReviewRequest)
    outcome = await review(
        call.resources.store,
        call.user,
        call.image_id,
        _verdicts(body),
        idempotency_key=call.idempotency_key,
    )
    return _reply(outcome)


async def review_across_images(call: Call) -> Reply:
    """Apply decisions to suggestions of any images, as one batch that can be undone."""
    body = await call.json(ReviewRequest)
    outcome = await review_many(
        call.resources.store, call.user, _verdicts(body), idempotency_key=call.idempotency_key
    )
    return _reply(outcome)


def _verdicts(body: ReviewRequest) -> list[VerdictRequest]:
    return [
        VerdictRequest(one.suggestion_id, one.version, one.decision, one.reason, one.note)
        for one in body.decisions
    ]


def _reply(outcome: ReviewOutcome) -> Reply:
    outcomes = {result.outcome for result in outcome.results}
    if outcomes == {VerdictOutcome.NOT_FOUND}:
        raise NotFound("there are none of these suggestions", code="suggestion_not_found")
    if outcomes <= {VerdictOutcome.CONFLICT, VerdictOutcome.NOT_FOUND}:
        return Reply(409, _all_conflict(outcome))
    return Reply(200, answers.review(outcome))


def _all_conflict(outcome: ReviewOutcome) -> ReviewProblem:
    return ReviewProblem(
        type="urn:tagdesk:problem:stale_version",
        title="Conflict",
        status=409,
        detail="every suggestion has changed since it was shown; the results say who decided what",
        code="stale_version",
        results=tuple(answers.result(one) for one in outcome.results),
        counts=answers.counts_or_none(outcome.counts),
    )
