"""Tags: those of an image, as people put them there, and those of the board."""

from orchestrator.api import answers, pagination
from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.records import Priority
from orchestrator.review.eligibility import set_eligibility
from orchestrator.review.tag_edits import KEEP, NewTag, TagEdit, create_tag, edit_tag
from orchestrator.review.tagging import TagChange, TaggingOutcome, TagNames, change_tags
from orchestrator.store import tags
from orchestrator.store.tags import TagUse
from orchestrator.wire.tags import (
    EligibilityAnswer,
    EligibilityChange,
    NewTagRequest,
    ResolvedAliasAnswer,
    TagDetail,
    TagEditAnswer,
    TagEditRequest,
    TaggingAnswer,
    TagList,
    TagPage,
    TagsQuery,
)

CURSOR = "tags"


async def set_tags(call: Call) -> Reply:
    """Give an image exactly these tags."""
    return await _change(call, TagChange.EXACTLY, await _named(call))


async def add_tags(call: Call) -> Reply:
    """Give an image these tags too."""
    return await _change(call, TagChange.ADD, await _named(call))


async def remove_tags(call: Call) -> Reply:
    """Take these tags from an image."""
    return await _change(call, TagChange.REMOVE, await _named(call))


async def remove_tag(call: Call) -> Reply:
    """Take one tag from an image."""
    try:
        return await _change(call, TagChange.REMOVE, TagNames(ids=(call.tag_id,)))
    except InvalidInput as error:
        if error.code == "unknown_tag":
            raise NotFound(f"no tag has the id {call.tag_id}", code="tag_not_found") from error
        raise


async def _named(call: Call) -> TagNames:
    body = await call.json(TagList)
    return TagNames(body.tag_ids, body.external_ids)


async def _change(call: Call, change: TagChange, names: TagNames) -> Reply:
    outcome = await change_tags(
        call.resources.store,
        call.user,
        call.image_id,
        change,
        names,
        idempotency_key=call.idempotency_key,
    )
    return Reply(200, _tagging(outcome))


async def change_eligibility(call: Call) -> Reply:
    """Say what the board says of an image."""
    body = await call.json(EligibilityChange)
    outcome = await set_eligibility(
        call.resources.store,
        call.user,
        call.image_id,
        body.eligibility,
        await call.resources.pipeline.plan(),
        idempotency_key=call.idempotency_key,
    )
    if outcome.queued:
        await call.resources.queue.enqueue([outcome.image_id], Priority.BACKFILL)
    return Reply(
        200,
        EligibilityAnswer(
            id=outcome.image_id,
            before=outcome.before,
            eligibility=outcome.eligibility,
            removed=outcome.removed,
            restored=outcome.restored,
            queued=outcome.queued,
            counts=answers.counts(outcome.counts),
        ),
    )


async def list_tags(call: Call) -> Reply:
    """List tags, all or those whose title has a part."""
    query = call.query(TagsQuery)
    after = pagination.decode(query.cursor, CURSOR, 1)
    found = await call.read(
        lambda tx: tags.search(
            tx,
            part=query.title,
            type=query.type,
            after_id=0 if after is None else after[0],
            limit=query.limit + 1,
        )
    )
    page = found[: query.limit]
    more = len(found) > query.limit
    return Reply(
        200,
        TagPage(
            items=tuple(_detail(one) for one in page),
            next_cursor=pagination.encode(CURSOR, page[-1].tag.id) if more else None,
        ),
    )


async def show_tag(call: Call) -> Reply:
    """Show a tag."""
    return Reply(200, _detail(await call.read(lambda tx: tags.use(tx, call.tag_id))))


async def make_tag(call: Call) -> Reply:
    """Make a tag."""
    body = await call.json(NewTagRequest)
    new = NewTag(body.title, body.type, body.external_id, body.alias_of, body.parent_id)
    made = await create_tag(call.resources.store, call.user, new, idempotency_key=call.idempotency_key)
    return Reply(201, _detail(made))


async def change_tag(call: Call) -> Reply:
    """Change a tag, and let the rows that speak of it follow."""
    body = await call.json(TagEditRequest)
    edit = TagEdit(
        title=KEEP if body.title is None else body.title,
        alias_of=body.alias_of if "alias_of" in body.model_fields_set else KEEP,
        parent_id=body.parent_id if "parent_id" in body.model_fields_set else KEEP,
    )
    outcome = await edit_tag(call.resources.store, call.user, call.tag_id, edit)
    return Reply(
        200,
        TagEditAnswer(
            tag=_detail(outcome.tag),
            moved=outcome.aligned.moved,
            removed=outcome.aligned.removed,
            unlinked=outcome.aligned.unlinked,
            left=outcome.left,
        ),
    )


def _detail(found: TagUse) -> TagDetail:
    return TagDetail(
        **dict(answers.tag(found.tag)),
        alias_of=found.tag.alias_of,
        parent_id=found.tag.parent_id,
        links=found.links,
        pending=found.pending,
    )


def _tagging(outcome: TaggingOutcome) -> TaggingAnswer:
    return TaggingAnswer(
        image_id=outcome.image_id,
        batch_id=outcome.batch_id,
        tags=tuple(answers.tag(one) for one in outcome.tags),
        added=tuple(answers.tag(one) for one in outcome.added),
        removed=tuple(answers.tag(one) for one in outcome.removed),
        aliases=tuple(
            ResolvedAliasAnswer(named=answers.tag(one.named), canonical=answers.tag(one.canonical))
            for one in outcome.aliases
        ),
        approved=outcome.approved,
        cleared=outcome.cleared,
        unlinked=outcome.unlinked,
        counts=answers.counts(outcome.counts),
    )
