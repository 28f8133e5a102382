"""Tags: those of an image, as people put them there, and those of the board."""

from typing import Annotated

from pydantic import Field, model_validator

from orchestrator.records import MAX_TAGS, TITLE_LENGTH, Eligibility, TagType
from orchestrator.wire.base import Answered, Id, PageQuery, Sent
from orchestrator.wire.schemas import Counts, TagAnswer

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
