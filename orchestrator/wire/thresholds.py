"""Thresholds of model versions, for engineers."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from orchestrator.records import FloorWord, LabelCategory
from orchestrator.wire.base import Answered, Id, ModelName, Moment, PageQuery, Probability, Sent
from orchestrator.wire.effects import MAX_SAMPLE, EffectAnswer

MAX_FLOORS = 500

FloorValue = Probability | FloorWord
"""A score, `off`, or `default`: nothing is said, and the version's own advice or the settings count."""


class FloorItem(Sent):
    """What is said of one part of a version: a category, a label, or all labels that lead to a tag now."""

    category: Literal[LabelCategory.GENERAL, LabelCategory.CHARACTER, LabelCategory.BOARD] | None = None
    external_tag: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        None, description="a label's name; of a model that speaks the board's own tags, the tag's external id"
    )
    tag_id: Id | None = Field(None, description="a board tag: said of the labels that lead to it now")
    floor: FloorValue = Field(description="a score from 0 to 1, `off`, or `default`: say nothing")

    @model_validator(mode="after")
    def _one_part(self) -> "FloorItem":
        if (self.category, self.external_tag, self.tag_id).count(None) != 2:
            raise ValueError("one of category, external_tag and tag_id names the part")
        return self


class FloorsChange(Sent):
    """Thresholds to be said, all of them or none; of two that speak of one label the later counts."""

    floors: tuple[FloorItem, ...] = Field(min_length=1, max_length=MAX_FLOORS)


class RollBackRequest(Sent):
    """Which state is to come back: as it was after a change of this version; 0: before all changes."""

    back_to: Annotated[int, Field(ge=0)]


class PreviewRequest(Sent):
    """A change, or a roll back, that is to be looked at first."""

    floors: tuple[FloorItem, ...] = Field((), max_length=MAX_FLOORS)
    back_to: Annotated[int, Field(ge=0)] | None = None
    sample: int = Field(5_000, ge=1, le=MAX_SAMPLE, description="look at so many images at most")

    @model_validator(mode="after")
    def _one_way(self) -> "PreviewRequest":
        if bool(self.floors) == (self.back_to is not None):
            raise ValueError("either floors or back_to says what is to change")
        return self


class ThresholdsQuery(PageQuery):
    """Which labels."""

    every: bool = Field(False, description="all labels, not only those that people have spoken of")


class CategoryFloorAnswer(Answered):
    """A category. `said`: by people; `default`: what counts while they say nothing. `floor`: what counts."""

    category: LabelCategory
    floor: FloorValue
    said: FloorValue
    default: FloorValue


class LabelFloorAnswer(Answered):
    """A label. `floor`: what counts; `said`: by people; `advice`: the version's own, null without one."""

    category: LabelCategory
    external_tag: str
    floor: FloorValue
    said: FloorValue
    advice: float | None


class ThresholdsAnswer(Answered):
    """A version's thresholds: its categories, and labels in the order of the model's outputs."""

    categories: tuple[CategoryFloorAnswer, ...]
    items: tuple[LabelFloorAnswer, ...]
    next_cursor: str | None


class FloorChangeAnswer(Answered):
    """What changed of one category (`external_tag` null) or label."""

    category: LabelCategory
    external_tag: str | None
    before: FloorValue
    after: FloorValue


class ThresholdChangeAnswer(Answered):
    """One act of somebody. `back_to`: of a roll back, the change whose state it brought back."""

    id: int
    at: Moment
    actor: str
    model_name: str
    model_version: int
    back_to: int | None
    floors: tuple[FloorChangeAnswer, ...]


class ThresholdsChanged(Answered):
    """What an act changed; null when all was so already."""

    change: ThresholdChangeAnswer | None


class ThresholdChangesQuery(PageQuery):
    """Whose changes."""

    model_name: ModelName | None = None
    model_version: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _both(self) -> "ThresholdChangesQuery":
        if (self.model_name is None) != (self.model_version is None):
            raise ValueError("model_name and model_version go together")
        return self


class ThresholdChangePage(Answered):
    """Changes, the newest first."""

    items: tuple[ThresholdChangeAnswer, ...]
    next_cursor: str | None


class ThresholdEffectAnswer(EffectAnswer):
    """What a change of thresholds would do. `floors`: how many it speaks of. `proposes`: false for a version
    that suggests nothing whatever they are, being staged or a shadow."""

    floors: int
    proposes: bool
