"""Which model goes first where several speak of one tag, for engineers."""

from typing import Annotated

from pydantic import Field, model_validator

from orchestrator.records import TagType
from orchestrator.wire.base import Answered, Id, ModelName, Moment, PageQuery, Sent
from orchestrator.wire.effects import MAX_SAMPLE
from orchestrator.wire.schemas import TagAnswer

MAX_RULES = 500
MAX_MODELS = 20


class PriorityItem(Sent):
    """What is said of a type of tags, or of one tag."""

    type: TagType | None = None
    tag_id: Id | None = None
    models: tuple[ModelName, ...] = Field(
        max_length=MAX_MODELS,
        description="names, the first before the second; all others come after them. None: nothing is said",
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> "PriorityItem":
        if (self.type is None) == (self.tag_id is None):
            raise ValueError("either type or tag_id says of what")
        if len(set(self.models)) < len(self.models):
            raise ValueError("a model is named twice")
        return self


class PrioritiesChange(Sent):
    """Priorities to be said, all of them or none."""

    rules: tuple[PriorityItem, ...] = Field(min_length=1, max_length=MAX_RULES)


class PrioritiesPreview(PrioritiesChange):
    """A change that is to be looked at first."""

    sample: int = Field(5_000, ge=1, le=MAX_SAMPLE, description="look at so many images at most")


class PriorityAnswer(Answered):
    """What is said of a type of tags (`tag` null), or of one tag."""

    type: TagType | None
    tag: TagAnswer | None
    models: tuple[str, ...]


class PrioritiesAnswer(Answered):
    """What is said, types first. `order`: of the models in use, where nothing is said."""

    order: tuple[str, ...]
    items: tuple[PriorityAnswer, ...]
    next_cursor: str | None


class PriorityRuleChange(Answered):
    """What changed. `title`: the tag's of today; no models: nothing was said."""

    type: TagType | None
    tag_id: int | None
    title: str | None
    before: tuple[str, ...]
    after: tuple[str, ...]


class PriorityChangeAnswer(Answered):
    """One act of somebody. `back_to`: of a roll back, the change whose state it brought back."""

    id: int
    at: Moment
    actor: str
    back_to: int | None
    rules: tuple[PriorityRuleChange, ...]


class PrioritiesChanged(Answered):
    """What an act changed; null when all was so already."""

    change: PriorityChangeAnswer | None


class PriorityChangesQuery(PageQuery):
    """Which changes."""


class PriorityChangePage(Answered):
    """Changes, the newest first."""

    items: tuple[PriorityChangeAnswer, ...]
    next_cursor: str | None


class PrioritiesRollBack(Sent):
    """Which state is to come back: as it was after a change of priorities; 0: before all changes."""

    back_to: Annotated[int, Field(ge=0)]
