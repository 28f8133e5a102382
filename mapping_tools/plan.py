"""What importing a mapping file would change: pure comparison of its rows with the board."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mapping_tools.rows import MappingRow
from mapping_tools.trigrams import TrigramIndex
from orchestrator.records import MappingAction, Tag, TagMapping

_NEAREST = 3
_LIKENESS = 0.3


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

    @property
    def explained(self) -> str:
        """The problem and the titles that it may have meant."""
        return f"{self.problem}; nearest: {', '.join(self.nearest)}" if self.nearest else self.problem


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
    nearest = _Nearest(tuple(by_title))
    for row in rows:
        found = _tags_of(row, by_title)
        if row.action is MappingAction.MAP and len(found) != 1:
            unknown.append(_unknown(row, found, by_title, nearest))
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


def as_rows(mappings: Iterable[TagMapping], tags: Iterable[Tag]) -> tuple[MappingRow, ...]:
    """Return stored mappings as the rows of a file that `compare` finds there already, by source and name."""
    by_id = {tag.id: tag for tag in tags}
    ordered = sorted(mappings, key=lambda mapping: (mapping.source, mapping.external_tag))
    return tuple(
        MappingRow(
            line=line,
            source=mapping.source,
            external_tag=mapping.external_tag,
            action=mapping.action,
            title=None if mapping.tag_id is None else by_id[mapping.tag_id].title,
            tag_type=None if mapping.tag_id is None else by_id[mapping.tag_id].type,
            weight=mapping.weight,
        )
        for line, mapping in enumerate(ordered, start=2)
    )


class _Nearest:
    """Titles that look like another; the index is built when the first is asked for."""

    def __init__(self, titles: tuple[str, ...]) -> None:
        self._titles = titles
        self._index: TrigramIndex | None = None

    def of(self, title: str) -> tuple[str, ...]:
        if self._index is None:
            self._index = TrigramIndex([_plain(known) for known in self._titles])
        found = self._index.nearest(_plain(title), limit=_NEAREST, at_least=_LIKENESS)
        return tuple(self._titles[position] for position, _ in found)


def _plain(title: str) -> str:
    return title.casefold().replace("_", " ").strip()


def _tags_of(row: MappingRow, by_title: dict[str, list[Tag]]) -> list[Tag]:
    if row.title is None:
        return []
    named = by_title.get(row.title) or by_title.get(row.title.strip(), [])
    return [tag for tag in named if row.tag_type in (None, tag.type)]


def _unknown(
    row: MappingRow, found: list[Tag], by_title: dict[str, list[Tag]], nearest: _Nearest
) -> UnknownTitle:
    title = row.title or ""
    if found:
        types = ", ".join(sorted(tag.type for tag in found))
        return UnknownTitle(row, f"several tags are called so ({types}): name its internal_tag_type", ())
    named = by_title.get(title) or by_title.get(title.strip(), [])
    if named:
        types = ", ".join(sorted(tag.type for tag in named))
        return UnknownTitle(row, f"this tag is of another type: {types}", ())
    return UnknownTitle(row, "no tag is called so", nearest.of(title))
