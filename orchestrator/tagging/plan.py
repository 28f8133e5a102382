"""The rules' plan: for every label of every version, what it means for the board.

Built once per rules version (a few tenths of a second for a large board) and then asked for every image.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from orchestrator.records import (
    SCORE_ONE,
    Label,
    LabelCategory,
    MappingAction,
    RuleInputs,
    ServedModel,
    Tag,
    TagMapping,
    Thresholds,
    VersionState,
    Vocabulary,
)
from orchestrator.tagging.board import Board
from orchestrator.tagging.priorities import Priorities

_BACKGROUND_SUFFIX = "_background"
_PROPOSING = frozenset({VersionState.ACTIVE, VersionState.RETIRED})


class Meaning(Enum):
    """What a label says. `NONE`: its category is switched off, or a mapping ignores it."""

    TAG = "tag"
    UNMAPPED = "unmapped"
    RATING = "rating"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class LabelRule:
    """One label of one version. `threshold`, `weight` in ten-thousandths; `tag_id` canonical.

    `background`: it speaks of the background, which a transparent picture does not have.
    """

    meaning: Meaning
    name: str
    threshold: int = 0
    tag_id: int = 0
    weight: int = SCORE_ONE
    mapping_id: int | None = None
    background: bool = False


@dataclass(frozen=True, slots=True)
class VersionRules:
    """One version's label rules by label index. `proposes` is false for staged and shadow versions:
    their scores are stored and compared, never suggested. `precedence`: the lower decides."""

    model: ServedModel
    labels: Mapping[int, LabelRule]
    precedence: int
    proposes: bool


@dataclass(frozen=True, slots=True)
class TaggingPlan:
    """All that `resolve` needs besides the image. `background`: tags that `*_background` maps to. `telling`:
    the labels of each version that stand for a tag, in order."""

    version: int
    board: Board
    versions: Mapping[int, VersionRules]
    background: frozenset[int]
    telling: Mapping[int, tuple[int, ...]]
    priorities: Priorities

    @classmethod
    def build(cls, inputs: RuleInputs) -> "TaggingPlan":
        """Build the plan; the order within `inputs` does not matter."""
        board = Board.build(inputs)
        mappings: dict[tuple[str, str], TagMapping] = {}
        for mapping in sorted(inputs.mappings, key=lambda mapping: mapping.id):
            mappings.setdefault((mapping.source, mapping.external_tag), mapping)
        versions = {
            model.id: VersionRules(
                model=model,
                labels={label.index: _rule(model, label, board, mappings) for label in model.labels},
                precedence=precedence,
                proposes=model.state in _PROPOSING,
            )
            for precedence, model in enumerate(sorted(inputs.models, key=_precedence))
        }
        background = frozenset(
            board.canonical[mapping.tag_id]
            for mapping in inputs.mappings
            if mapping.action is MappingAction.MAP
            and mapping.external_tag.endswith(_BACKGROUND_SUFFIX)
            and mapping.tag_id is not None
            and mapping.tag_id in board.canonical
        )
        telling = {
            version_id: tuple(
                index for index, rule in sorted(version.labels.items()) if rule.meaning is Meaning.TAG
            )
            for version_id, version in versions.items()
        }
        priorities = Priorities.build(inputs.priorities, board)
        return cls(inputs.version, board, versions, background, telling, priorities)

    def tag(self, tag_id: int) -> Tag:
        """Return the canonical tag of `tag_id`. Raises KeyError for an unknown one."""
        return self.board.tags[self.board.canonical[tag_id]]


def _precedence(model: ServedModel) -> tuple[bool, int, float, int, int]:
    """Active versions first, then the configured priority, then the last one to retire, then the newest."""
    retired = 0.0 if model.retired_at is None else model.retired_at.timestamp()
    return (model.state is not VersionState.ACTIVE, model.priority, -retired, -model.version, -model.id)


def threshold_of(thresholds: Thresholds, label: Label) -> int | None:
    """Return the label's floor: its own, else its category's; None for a label that is switched off, as all
    of a category are that is."""
    match label.category:
        case LabelCategory.GENERAL:
            floor = thresholds.general
        case LabelCategory.CHARACTER:
            floor = thresholds.character
        case LabelCategory.BOARD:
            floor = thresholds.board
        case LabelCategory.RATING:
            return None
    if floor is None:
        return None
    own = thresholds.by_label.get(label.index, floor)
    # What no score can reach is off: it is not to be explored from below either.
    return own if own <= SCORE_ONE else None


def _rule(
    model: ServedModel, label: Label, board: Board, mappings: Mapping[tuple[str, str], TagMapping]
) -> LabelRule:
    if label.category is LabelCategory.RATING:
        return LabelRule(Meaning.RATING, label.name)
    threshold = threshold_of(model.thresholds, label)
    if threshold is None:
        return LabelRule(Meaning.NONE, label.name)
    if model.vocabulary is Vocabulary.BOARD:
        tag_id = board.by_external_id.get(int(label.name)) if label.name.isdecimal() else None
        if tag_id is None:
            return LabelRule(Meaning.UNMAPPED, label.name, threshold)
        return LabelRule(Meaning.TAG, label.name, threshold, tag_id)
    background = label.name.endswith(_BACKGROUND_SUFFIX)
    mapping = mappings.get((model.source, label.name))
    if mapping is not None and mapping.action is MappingAction.IGNORE:
        return LabelRule(Meaning.NONE, label.name)
    tag_id = (
        board.canonical.get(mapping.tag_id) if mapping is not None and mapping.tag_id is not None else None
    )
    if mapping is None or tag_id is None:
        return LabelRule(Meaning.UNMAPPED, label.name, threshold, background=background)
    return LabelRule(Meaning.TAG, label.name, threshold, tag_id, mapping.weight, mapping.id, background)
