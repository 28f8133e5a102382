"""What importing a mapping file would change: pure comparison of its rows with the board."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from mapping_tools.rows import MappingRow
from orchestrator.records import MappingAction, Tag, TagMapping

_NEAREST = 3


@dataclass(frozen=True, slots=True)
class Target:
    """A row with the tag that its title names; `tag` is None for `ignore`."""

    row: MappingRow
    tag: Tag | None

    def equals(self, mapping: TagMapping) -> bool:
        """Whether the stored mapping says the same."""
        wanted = (self.row.action, None if self.tag is None else self.tag.id, self.row.weight)
        return (mapping.action, mapping.tag_id, mapping.weight) == wanted


@dataclass(frozen=True, slots=True)
class ConflictingRow:
    """A row whose external tag is mapped otherwise already; kept as it is unless replacing is asked for."""

    target: Target
    existing: TagMapping


@dataclass(frozen=True, slots=True)
class UnknownTitle:
    """A row whose title names no tag, or several. `nearest`: titles that it may have meant."""

    row: MappingRow
    problem: str
    nearest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """The difference between a file and the board."""

    new: tuple[Target, ...]
    existing: tuple[Target, ...]
    conflicting: tuple[ConflictingRow, ...]
    unknown: tuple[UnknownTitle, ...]

    def to_store(self, *, replace: bool) -> tuple[Target, ...]:
        """Return the rows that applying this plan writes."""
        return self.new + tuple(row.target for row in self.conflicting if replace)


def compare(rows: Sequence[MappingRow], tags: Sequence[Tag], mappings: Sequence[TagMapping]) -> ImportPlan:
    """Sort `rows` into new, existing, conflicting and unknown, each in file order."""
    by_title: dict[str, list[Tag]] = {}
    for tag in tags:
        by_title.setdefault(tag.title, []).append(tag)
    stored = {(mapping.source, mapping.external_tag): mapping for mapping in mappings}
    new: list[Target] = []
    existing: list[Target] = []
    conflicting: list[ConflictingRow] = []
    unknown: list[UnknownTitle] = []
    for row in rows:
        found = _tags_of(row, by_title)
        if row.action is MappingAction.MAP and len(found) != 1:
            unknown.append(_unknown(row, found, by_title))
            continue
        target = Target(row, found[0] if found else None)
        mapping = stored.get((row.source, row.external_tag))
        if mapping is None:
            new.append(target)
        elif target.equals(mapping):
            existing.append(target)
        else:
            conflicting.append(ConflictingRow(target, mapping))
    return ImportPlan(tuple(new), tuple(existing), tuple(conflicting), tuple(unknown))


def _tags_of(row: MappingRow, by_title: dict[str, list[Tag]]) -> list[Tag]:
    if row.title is None:
        return []
    return [tag for tag in by_title.get(row.title, []) if row.tag_type in (None, tag.type)]


def _unknown(row: MappingRow, found: list[Tag], by_title: dict[str, list[Tag]]) -> UnknownTitle:
    title = row.title or ""
    if found:
        types = ", ".join(sorted(tag.type for tag in found))
        return UnknownTitle(row, f"several tags are called so ({types}): name its internal_tag_type", ())
    if title in by_title:
        types = ", ".join(sorted(tag.type for tag in by_title[title]))
        return UnknownTitle(row, f"this tag is of another type: {types}", ())
    nearest = difflib.get_close_matches(title, by_title, n=_NEAREST)
    return UnknownTitle(row, "no tag is called so", tuple(nearest))
