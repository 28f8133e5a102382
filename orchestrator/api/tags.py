"""Tags: those of an image, as people put them there, and those of the board."""

from typing import Annotated

from pydantic import Field, model_validator

from orchestrator.api import answers, pagination
from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.api.requests import Id, PageQuery, Sent
from orchestrator.api.schemas import Answered, Counts, TagAnswer
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.records import Eligibility, Priority, TagType
from orchestrator.review.eligibility import set_eligibility
from orchestrator.review.tag_edits import KEEP, NewTag, TagEdit, create_tag, edit_tag
from orchestrator.review.tagging import MAX_TAGS, TagChange, TaggingOutcome, TagNames, change_tags
from orchestrator.store import tags
from orchestrator.store.tags import TITLE_LENGTH, TagUse

CURSOR = "tags"

Ids = Annotated[tuple[Id, ...], Field(max_length=MAX_TAGS)]
Title = Annotated[str, Field(min_length=1, max_length=TITLE_LENGTH)]


class TagList(Sent):
    """Tags by our ids, by the board's, or both; an alias stands for its canonical tag."""

    tag_ids: Ids = ()
    external_ids: Ids = ()

    @model_validator(mode="after")
    def _not_too_many(self) -> "TagList":
        if len(self.tag_ids) + len(self.external_ids) > MAX_TAGS:
            raise ValueError(f"at most {MAX_TAGS} tags at a time")
        return self


class EligibilityChange(Sent):
    """What the board says of an image. Nobody is asked about a repost or a deleted one."""

    eligibility: Eligibility


class NewTagRequest(Sent):
    """A tag to be made: a canonical one, perhaps below a parent, or an alias."""

    title: Title
    type: TagType
    external_id: Id | None = Field(None, description="the board's own id")
    alias_of: Id | None = Field(None, description="the canonical tag that it is another name of")
    parent_id: Id | None = Field(None, description="the next more general tag")


class TagEditRequest(Sent):
    """What of a tag is to change. What is left out stays; null says that it has none any more."""

    title: Title | None = Field(None, description="null: as it is")
    alias_of: Id | None = Field(None, description="a canonical tag of the same type")
    parent_id: Id | None = Field(None, description="the next more general tag, of the same type")

    @model_validator(mode="after")
    def _says_something(self) -> "TagEditRequest":
        if not self.model_fields_set:
            raise ValueError("say what is to change")
        return self


class TagsQuery(PageQuery):
    """Which tags."""

    title: str | None = Field(
        None, min_length=1, max_length=TITLE_LENGTH, description="a part of the title; case does not matter"
    )
    type: TagType | None = None


class ResolvedAliasAnswer(Answered):
    """An alias that was named, and the tag that it stands for."""

    named: TagAnswer
    canonical: TagAnswer


class TaggingAnswer(Answered):
    """What really happened. `tags`: what the image has now. `approved`: pending suggestions that the new tags
    answer; `cleared`: those that they make redundant; `unlinked`: approved ones whose tag went.
    `batch_id`: to undo what was decided on suggestions, null when nothing was."""

    image_id: int
    batch_id: int | None
    tags: tuple[TagAnswer, ...]
    added: tuple[TagAnswer, ...]
    removed: tuple[TagAnswer, ...]
    aliases: tuple[ResolvedAliasAnswer, ...]
    approved: tuple[int, ...]
    cleared: tuple[int, ...]
    unlinked: tuple[int, ...]
    counts: Counts


class EligibilityAnswer(Answered):
    """What really happened. `removed`, `restored`: pending suggestions that went, or came. `queued`: a model
    version in use has never seen the image, so it will be analysed."""

    id: int
    before: Eligibility
    eligibility: Eligibility
    removed: int
    restored: int
    queued: bool
    counts: Counts


class TagDetail(TagAnswer):
    """A tag with its relations. `links`, `pending`: what names this very tag, its aliases not counted."""

    alias_of: int | None
    parent_id: int | None
    links: int
    pending: int


class TagPage(Answered):
    """Tags in the order of their ids."""

    items: tuple[TagDetail, ...]
    next_cursor: str | None


class TagEditAnswer(Answered):
    """The tag as it is now. `moved`, `removed`: pending suggestions that went to its canonical tag, or went
    for good; `unlinked`: approved ones whose tag now means one that their image lacks; `left`: images whose
    rows follow in the background."""

    tag: TagDetail
    moved: int
    removed: int
    unlinked: int
    left: int


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
