"""Decisions made on the desk: one form for buttons, keys and browsers without scripts."""

from collections.abc import Collection

from jinja2.environment import TemplateModule
from starlette.datastructures import FormData
from starlette.responses import JSONResponse, RedirectResponse, Response

from orchestrator import accounts
from orchestrator.errors import InvalidInput
from orchestrator.records import (
    Decision,
    Priority,
    RejectReason,
    UndoneAs,
    UndoResult,
    VerdictOutcome,
    VerdictRequest,
)
from orchestrator.review.service import review
from orchestrator.review.undo import undo
from orchestrator.store import batches, images
from orchestrator.web import words
from orchestrator.web.pages import require_reviewer
from orchestrator.web.views import ImageView, image_view
from orchestrator.web.visit import DESK, HEADERS, Visit

MOST_DECISIONS = 500
_FAILED = frozenset({VerdictOutcome.CONFLICT, VerdictOutcome.NOT_FOUND})


async def decide(visit: Visit) -> Response:
    """Apply a form's decision to the suggestions it names, and show what really happened."""
    require_reviewer(visit)
    form = await visit.request.form(max_files=0, max_fields=MOST_DECISIONS + 8)
    key = str(form.get("key", "")) or None
    user, image_id = visit.user, visit.image_id
    outcome = await review(visit.resources.store, user, image_id, verdicts(form), idempotency_key=key)
    view = await visit.read(lambda tx: image_view(tx, user, image_id, shown=False))
    failed = any(result.outcome in _FAILED for result in outcome.results)
    message = words.summary(outcome, {one.id: one.tag.title for one in view.suggestions})
    if visit.wants_json:
        touched = {result.suggestion_id for result in outcome.results}
        touched |= {other for result in outcome.results for other in result.cleared}
        return _for_script(visit, view, touched, message=message, failed=failed)
    if failed:
        return visit.page(
            "image.html", status=409, view=view, reasons=words.REASONS, message=message, failed=True
        )
    first = outcome.results[0].suggestion_id
    anchor = f"#s-{first}" if view.pending else "#done"
    return RedirectResponse(f"{DESK}/images/{image_id}{anchor}", status_code=303, headers=HEADERS)


async def take_back(visit: Visit) -> Response:
    """Undo the reviewer's latest decisions on the image, as far as nobody has acted on them since."""
    require_reviewer(visit)
    user, image_id = visit.user, visit.image_id
    latest = await visit.read(lambda tx: batches.latest_on(tx, image_id, user.id))
    undone: tuple[UndoResult, ...] = ()
    if latest is not None:
        batch_id, decided = latest
        undone = (await undo(visit.resources.store, user, batch_id, suggestion_ids=decided)).results
    view = await visit.read(lambda tx: image_view(tx, user, image_id, shown=False))
    message = words.undone(undone, {one.id: one.tag.title for one in view.suggestions})
    failed = not any(one.outcome is not UndoneAs.SUPERSEDED for one in undone)
    if visit.wants_json:
        return _for_script(visit, view, {one.suggestion_id for one in undone}, message=message, failed=failed)
    return visit.page(
        "image.html",
        status=409 if failed else 200,
        view=view,
        reasons=words.REASONS,
        message=message,
        failed=failed,
    )


def verdicts(form: FormData) -> list[VerdictRequest]:
    """Read the form: `decision`, one or more `suggestion` as id:version, and why. Raises InvalidInput."""
    try:
        decision = Decision(str(form.get("decision", "")))
        pairs = [str(value).split(":") for value in form.getlist("suggestion")]
        seen = [(int(suggestion_id), int(version)) for suggestion_id, version in pairs]
        reason = RejectReason(str(form["reason"])) if form.get("reason") else RejectReason.WRONG
    except ValueError as error:
        raise InvalidInput("This form cannot be read.", code="bad_form") from error
    rejects = decision is Decision.REJECT
    note = str(form.get("note", "")).strip() or None
    return [
        VerdictRequest(
            suggestion_id,
            version,
            decision,
            reason=reason if rejects else None,
            note=note if rejects else None,
        )
        for suggestion_id, version in seen
    ]


def _for_script(
    visit: Visit, view: ImageView, touched: Collection[int], *, message: str, failed: bool
) -> Response:
    """Answer the desk's script: each chip that changed as the page would show it now."""
    parts = _parts(visit)
    chips: dict[str, str | None] = {str(one): None for one in touched}
    for one in view.suggestions:
        if one.id in touched:
            chips[str(one.id)] = str(parts.chip(one, view.image.id, words.REASONS))  # type: ignore[attr-defined]
    following = view.older or view.newer
    return JSONResponse(
        {
            "message": message,
            "failed": failed,
            "chips": chips,
            "applied": str(parts.applied(view.applied)),  # type: ignore[attr-defined]
            "pending": len(view.pending),
            "total": len(view.suggestions),
            "undoable": view.undoable,
            "tools": str(parts.tools(view, words.REASONS)),  # type: ignore[attr-defined]
            "next": DESK if following is None else f"{DESK}/images/{following}",
        },
        status_code=409 if failed else 200,
        headers=HEADERS,
    )


def _parts(visit: Visit) -> TemplateModule:
    return visit.pages.get_template("parts.html").module


async def generate(visit: Visit) -> Response:
    """Have the image analysed again."""
    require_reviewer(visit)
    image_id = visit.image_id
    found = await visit.read(lambda tx: images.get(tx, image_id))
    accounts.require_review(visit.user, found.uploader_id)
    queued = await visit.resources.store.write(
        lambda tx: images.requeue(tx, image_id, explicit=True, priority=Priority.LIVE, asked_by=visit.user.id)
    )
    if queued:
        await visit.resources.queue.enqueue([image_id], Priority.LIVE)
    return RedirectResponse(f"{DESK}/images/{image_id}", status_code=303, headers=HEADERS)
