"""What two versions say of one image, each as if it were the active one of its name: pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from orchestrator.comparison.estimate import Kind, cell
from orchestrator.records import ImageContext, RuleInputs, ServedModel, VersionState
from orchestrator.remap.difference import heard
from orchestrator.store.comparison import JudgedImage
from orchestrator.tagging.plan import Meaning, TaggingPlan
from orchestrator.tagging.redundancy import said_by_applied
from orchestrator.tagging.resolve import resolve

Said = Mapping[int, int]
"""Tag → confidence in ten-thousandths."""


@dataclass(frozen=True, slots=True)
class Side:
    """One version's rules. `alone`: it is the only one; `among`: beside the other models' versions.

    `scored`: label → tag, of those of its labels that mean one.
    """

    model: ServedModel
    alone: TaggingPlan
    among: TaggingPlan
    scored: Mapping[int, int]

    @classmethod
    def build(cls, inputs: RuleInputs, model: ServedModel) -> "Side":
        """Build the plans; of `inputs.models` those of other names stay as they are."""
        active = replace(model, state=VersionState.ACTIVE)
        others = tuple(one for one in inputs.models if one.name != model.name)
        alone = _telling(TaggingPlan.build(replace(inputs, models=(active,))))
        among = _telling(TaggingPlan.build(replace(inputs, models=(active, *others)))) if others else alone
        rules = alone.versions[model.id].labels
        scored = {label: rule.tag_id for label, rule in rules.items()}
        return cls(model=model, alone=alone, among=among, scored=scored)

    def reach(self) -> frozenset[int]:
        """Return the tags that it can say: of its labels, and the sources of their characters."""
        tags = frozenset(self.scored.values())
        return tags | {source for tag in tags for source in self.alone.board.sources.get(tag, ())}

    def says(self, image: JudgedImage) -> Said:
        """Return what it says of an image by itself, applied tags and all."""
        return _said(self.alone, ImageContext(image.has_alpha, frozenset()), image)

    def would_ask(self, image: JudgedImage) -> frozenset[int]:
        """Return what people would be asked on the image as it stands, with all other models."""
        said = _said(self.among, ImageContext(image.has_alpha, image.applied), image)
        return frozenset(said) - image.decided

    def scores(self, image: JudgedImage) -> dict[int, int]:
        """Return the highest stored score of each tag, thresholds aside."""
        found: dict[int, int] = {}
        for one in image.raw:
            if one.model_version_id == self.model.id and (tag := self.scored.get(one.label)) is not None:
                found[tag] = max(one.score, found.get(tag, 0))
        return found


def _telling(plan: TaggingPlan) -> TaggingPlan:
    """Return a plan of those labels only that stand for a tag. On most boards they are few, and the others
    take as long to read and suggest nothing."""
    versions = {
        version_id: replace(
            version,
            labels={label: rule for label, rule in version.labels.items() if rule.meaning is Meaning.TAG},
        )
        for version_id, version in plan.versions.items()
    }
    return replace(plan, versions=versions)


def _said(plan: TaggingPlan, context: ImageContext, image: JudgedImage) -> dict[int, int]:
    resolution = resolve(plan, context, heard(plan, image))
    return {one.tag_id: one.confidence for one in resolution.suggestions}


@dataclass(frozen=True, slots=True)
class View:
    """An image under both versions. `judged`: tag → what people said of it; `cells`: where it counts."""

    image_id: int
    m: Said
    n: Said
    asked_m: frozenset[int]
    asked_n: frozenset[int]
    judged: Mapping[int, Kind]
    cells: Mapping[int, int]
    scores_m: Said
    scores_n: Said


def view(image: JudgedImage, m: Side, n: Side, reach: frozenset[int]) -> View:
    """Look at an image with both versions' rules. `reach`: the tags that count as judged."""
    said_m, said_n = m.says(image), n.says(image)
    judged = judgements(image, reach)
    board = m.alone.board
    heard_m, heard_n = said_by_applied(board, frozenset(said_m)), said_by_applied(board, frozenset(said_n))
    cells = {}
    for tag, kind in judged.items():
        # A tag on the image is said by a tag below it, too; a wrong one only in so many words.
        by = (said_m, said_n) if kind is Kind.REJECTED else (heard_m, heard_n)
        cells[tag] = cell(kind, tag in by[0], tag in by[1])
    return View(
        image_id=image.id,
        m=said_m,
        n=said_n,
        asked_m=m.would_ask(image),
        asked_n=n.would_ask(image),
        judged=judged,
        cells=cells,
        scores_m=m.scores(image) if judged else {},
        scores_n=n.scores(image) if judged else {},
    )


def judgements(image: JudgedImage, reach: frozenset[int]) -> dict[int, Kind]:
    """Return what people said of the tags in `reach`."""
    found = dict.fromkeys(image.rejected & reach, Kind.REJECTED)
    found |= dict.fromkeys(image.applied & reach, Kind.APPLIED)
    return found | dict.fromkeys(image.approved & reach, Kind.APPROVED)
