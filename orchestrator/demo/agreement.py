"""How well suggestions agree with what was drawn. Pure: the demo knows the truth, a board never does."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.records import MappingAction, Tag, TagMapping, TagType


@dataclass(frozen=True, slots=True)
class Agreement:
    """Counts over all pictures. `drawn`: attributes that the board has a tag for; `found` of them were
    suggested, themselves or as something more special. `right` of the `suggested` tags were drawn."""

    drawn: int
    found: int
    suggested: int
    right: int


class Truth:
    """Turns what was drawn into the board's canonical tags."""

    def __init__(self, tags: Sequence[Tag], mappings: Sequence[TagMapping]) -> None:
        self._tags = {tag.id: tag for tag in tags}
        self._themes = {tag.title: tag.id for tag in tags if tag.type is TagType.THEME}
        self._mapped = {
            mapping.external_tag: mapping.tag_id
            for mapping in mappings
            if mapping.action is MappingAction.MAP and mapping.tag_id is not None
        }

    def expected(self, labels: Collection[str], themes: Collection[str]) -> frozenset[int]:
        """Return the canonical tags of a picture's labels and themes; what is unmapped is left out."""
        ids = {self._mapped[label] for label in labels if label in self._mapped}
        ids |= {self._themes[title] for title in themes if title in self._themes}
        return frozenset(self._tags[tag_id].alias_of or tag_id for tag_id in ids)

    def ancestors(self, tag_id: int) -> frozenset[int]:
        """Return the tags above a tag."""
        found: set[int] = set()
        parent = self._tags[tag_id].parent_id
        while parent is not None:
            found.add(parent)
            parent = self._tags[parent].parent_id
        return frozenset(found)

    def compare(self, expected: Collection[int], suggested: Mapping[int, bool]) -> Agreement:
        """Compare one picture. `suggested`: canonical tag → whether it was only inferred (not counted)."""
        seen = {tag_id for tag_id, inferred in suggested.items() if not inferred}
        covered = seen.union(*(self.ancestors(tag_id) for tag_id in seen))
        implied = set(expected).union(*(self.ancestors(tag_id) for tag_id in expected))
        return Agreement(len(expected), len(covered & set(expected)), len(seen), len(seen & implied))


def total(parts: Sequence[Agreement]) -> Agreement:
    """Add up."""
    return Agreement(
        sum(part.drawn for part in parts),
        sum(part.found for part in parts),
        sum(part.suggested for part in parts),
        sum(part.right for part in parts),
    )
