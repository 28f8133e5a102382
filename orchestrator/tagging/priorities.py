"""Which model decides where several speak of one tag."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.records import PriorityRule, TagType
from orchestrator.tagging.board import Board

_NO_RULE: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Priorities:
    """Places of models by name, the lower decides: by canonical tag, and by type."""

    by_tag: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    by_type: Mapping[TagType, Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def build(cls, rules: Iterable[PriorityRule], board: Board) -> "Priorities":
        """Build it. What is said of an alias counts for its canonical tag, unless that has a rule itself."""
        by_tag: dict[int, Mapping[str, int]] = {}
        by_type: dict[TagType, Mapping[str, int]] = {}
        of_tags = [rule for rule in rules if rule.tag_id is not None]
        for rule in rules:
            if rule.tag_type is not None:
                by_type[rule.tag_type] = _places(rule)
        for rule in sorted(of_tags, key=lambda one: (one.tag_id not in board.tags, one.tag_id)):
            canonical = board.canonical.get(rule.tag_id or 0)
            if canonical is not None:
                by_tag.setdefault(canonical, _places(rule))
        return cls(by_tag, by_type)

    def place(self, tag_id: int, tag_type: TagType, model: str) -> int:
        """Return a model's place for a canonical tag; models that no rule names come behind all that are."""
        places = self.by_tag.get(tag_id)
        if places is None:
            places = self.by_type.get(tag_type, _NO_RULE)
        return places.get(model, len(places))


def _places(rule: PriorityRule) -> Mapping[str, int]:
    return {name: place for place, name in reversed(list(enumerate(rule.models)))}
