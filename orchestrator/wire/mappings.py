"""Mappings of external tags, for engineers."""

from typing import Annotated

from pydantic import Field, model_validator

from orchestrator.records import TITLE_LENGTH, LabelCategory, MappingAction, MappingFault, TagType
from orchestrator.wire.base import Answered, Moment, PageQuery, Probability, Sent
from orchestrator.wire.schemas import TagAnswer

MAX_ROWS = 1000
SMALLEST_WEIGHT = 0.0001

ExternalName = Annotated[str, Field(min_length=1, max_length=255)]
Source = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,32}$")]
Weight = Annotated[float, Field(ge=SMALLEST_WEIGHT, le=1)]


class MappingRow(Sent):
    """What an external tag is to lead to: a tag by its title, or nothing."""

    external_tag: ExternalName
    action: MappingAction
    title: Annotated[str, Field(min_length=1, max_length=TITLE_LENGTH)] | None = Field(
        None, description="the tag's; for `map` only"
    )
    type: TagType | None = Field(None, description="the tag's, where several have the title")
    weight: Weight = 1.0
    source: Source = "danbooru"

    @model_validator(mode="after")
    def _makes_sense(self) -> "MappingRow":
        if (self.action is MappingAction.MAP) != (self.title is not None):
            raise ValueError("map names a title, ignore names none")
        if self.external_tag != self.external_tag.strip():
            raise ValueError("an external tag has no blanks around it")
        return self


class MappingImport(Sent):
    """Mappings to be made, all of them or none; a look only without `apply`."""

    rows: tuple[MappingRow, ...] = Field(min_length=1, max_length=MAX_ROWS)
    apply: bool = Field(False, description="write; without it nothing changes")
    replace: bool = Field(False, description="change mappings that exist and differ, too")

    @model_validator(mode="after")
    def _once_each(self) -> "MappingImport":
        if len({(row.source, row.external_tag) for row in self.rows}) < len(self.rows):
            raise ValueError("an external tag is named twice")
        return self


class UnknownTitle(Answered):
    """A row whose title names no tag, or several. `row`: its place in the request, from 0."""

    row: int
    external_tag: str
    title: str
    problem: str
    nearest: tuple[str, ...]


class MappingImportAnswer(Answered):
    """What a request changes or, without `apply`, would: external tags by what they are, in the order asked.
    `existing`: mapped so already; `conflicting`: mapped otherwise, and kept unless `replace`."""

    new: tuple[str, ...]
    existing: tuple[str, ...]
    conflicting: tuple[str, ...]
    unknown: tuple[UnknownTitle, ...]
    written: int


class MappingsQuery(PageQuery):
    """Which mappings."""

    source: Source | None = None


class MappingAnswer(Answered):
    """A mapping. `tag`: null for what is ignored; the very tag that it names, perhaps an alias."""

    id: int
    source: str
    external_tag: str
    action: MappingAction
    tag: TagAnswer | None
    weight: float


class MappingPage(Answered):
    """Mappings in the order of their ids."""

    items: tuple[MappingAnswer, ...]
    next_cursor: str | None


class MappingChangesQuery(PageQuery):
    """Which changes."""

    source: Source | None = None
    external_tag: ExternalName | None = None


class MappingTargetAnswer(Answered):
    """What an external tag led to. `title`: the tag's of today."""

    action: MappingAction
    tag_id: int | None
    title: str | None
    weight: float


class MappingChangeAnswer(Answered):
    """One change. `actor`: null for a command. `before`: null for a new mapping; `after`: for one gone."""

    id: int
    at: Moment
    actor: str | None
    source: str
    external_tag: str
    before: MappingTargetAnswer | None
    after: MappingTargetAnswer | None


class MappingChangePage(Answered):
    """Changes, the newest first."""

    items: tuple[MappingChangeAnswer, ...]
    next_cursor: str | None


class FindingAnswer(Answered):
    """A mapping that needs a person."""

    source: str
    external_tag: str
    fault: MappingFault
    detail: str


class MappingFindings(Answered):
    """All that is wrong with the mappings, by source and external tag."""

    items: tuple[FindingAnswer, ...]
    next_cursor: str | None


class ProposalsQuery(Sent):
    """Which proposals."""

    limit: int = Field(50, ge=1, le=1000)
    min_score: Probability = Field(0.75, description="leave out what scores less")


class ProposalAnswer(Answered):
    """A tag that an external tag may mean, and why."""

    tag: TagAnswer
    score: float
    reasons: tuple[str, ...]


class ProposedMapping(Answered):
    """An external tag without a mapping, and what it may mean, the likeliest first."""

    source: str
    external_tag: str
    category: LabelCategory
    proposals: tuple[ProposalAnswer, ...]


class MappingProposals(Answered):
    """The best proposals. `unmapped`: how many names of active versions have no mapping."""

    items: tuple[ProposedMapping, ...]
    next_cursor: str | None
    unmapped: int


class CoverageQuery(Sent):
    """How much of it."""

    limit: int = Field(50, ge=0, le=1000, description="so many of the unmapped")


class ShareAnswer(Answered):
    """How many are mapped, ignored and neither."""

    mapped: int
    ignored: int
    unmapped: int


class UnmappedName(Answered):
    """An external tag without a mapping. `above`: predictions at or above their thresholds; `raw`: all."""

    source: str
    external_tag: str
    category: LabelCategory
    above: int
    raw: int


class MappingCoverage(Answered):
    """Of the active versions whose names are mapped, ratings left out. `names`: distinct external tags;
    `raw`: stored predictions; `above`: those at or above their thresholds. `unmapped`: most useful first."""

    names: ShareAnswer
    raw: ShareAnswer
    above: ShareAnswer
    unmapped: tuple[UnmappedName, ...]
