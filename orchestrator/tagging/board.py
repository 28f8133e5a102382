"""The board's tags as the rules see them: canonical tags, their ancestors, characters' sources."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.records import RuleInputs, Tag, TagType


@dataclass(frozen=True, slots=True)
class Board:
    """Canonical tags by id, and how ids lead to them.

    `canonical`: every usable tag id, alias or not, to its canonical tag's. `parents`: canonical tag →
    canonical parent of the same type. `sources`: canonical character → canonical sources, in id order.
    `by_external_id`: the board's own ids, aliases resolved.
    """

    tags: Mapping[int, Tag]
    canonical: Mapping[int, int]
    parents: Mapping[int, int]
    sources: Mapping[int, tuple[int, ...]]
    by_external_id: Mapping[int, int]

    @classmethod
    def build(cls, inputs: RuleInputs) -> "Board":
        """Flatten alias chains. A chain that ends nowhere, or in itself, makes its tags unusable."""
        known = {tag.id: tag for tag in inputs.tags}
        canonical = {tag_id: end for tag_id in known if (end := _end_of_chain(tag_id, known)) is not None}
        tags = {end: known[end] for end in canonical.values()}
        parents = {}
        for tag_id, tag in tags.items():
            parent = canonical.get(tag.parent_id) if tag.parent_id is not None else None
            if parent is not None and parent != tag_id and tags[parent].type is tag.type:
                parents[tag_id] = parent
        sources: dict[int, set[int]] = {}
        for character_id, source_id in inputs.character_sources:
            character, source = canonical.get(character_id), canonical.get(source_id)
            if character is None or source is None:
                continue
            if tags[character].type is TagType.CHARACTER and tags[source].type is TagType.SOURCE:
                sources.setdefault(character, set()).add(source)
        by_external_id = {
            tag.external_id: canonical[tag.id]
            for tag in inputs.tags
            if tag.external_id is not None and tag.id in canonical
        }
        return cls(
            tags=tags,
            canonical=canonical,
            parents=parents,
            sources={character: tuple(sorted(found)) for character, found in sources.items()},
            by_external_id=by_external_id,
        )

    def ancestors(self, tag_id: int) -> tuple[int, ...]:
        """Return the more general tags above a canonical tag, nearest first; a cycle ends the walk."""
        found: dict[int, None] = {}
        above = self.parents.get(tag_id)
        while above is not None and above != tag_id and above not in found:
            found[above] = None
            above = self.parents.get(above)
        return tuple(found)

    def canonical_of(self, tag_ids: Iterable[int]) -> frozenset[int]:
        """Return the canonical tags of `tag_ids`, unknown ones left out."""
        return frozenset(self.canonical[tag_id] for tag_id in tag_ids if tag_id in self.canonical)


def _end_of_chain(tag_id: int, known: Mapping[int, Tag]) -> int | None:
    passed = set()
    while (tag := known.get(tag_id)) is not None:
        if tag.alias_of is None:
            return tag.id
        if tag.id in passed:
            return None
        passed.add(tag.id)
        tag_id = tag.alias_of
    return None
