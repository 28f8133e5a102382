"""What a file of tags changes: pure, over all tags that there are, whatever the order of its rows.

The rules are those of the tag API; but where that refuses an alias of an alias, a file's chains are followed
to their canonical tag, for a file has no order in which they could have been set.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.board_import.rows import TagRow
from orchestrator.records import Tag, TagType
from orchestrator.review.tag_edits import Keep
from orchestrator.store.hierarchy import MAX_DEPTH

Key = int
"""A tag: our id of one that there is; of a new one, its external id with a minus."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A tag as it will be. `line`: of its row; None for one that the file does not name."""

    key: Key
    external_id: int | None
    title: str
    type: TagType
    alias_of: Key | None
    parent: Key | None
    line: int | None


@dataclass(frozen=True, slots=True)
class TagPlan:
    """What is to be written. `problems` by line; nothing may be written while there are any.

    `new` and `renamed`: the rows, the latter by our id. `aliases`, `parents`: what changes. `closure`: the
    proper ancestors, nearest first, of every tag of which those change. `moved`: tags that there were whose
    alias (True) or parent changes. `changed_rows`: rows of tags that there were, and will be otherwise.
    """

    problems: Mapping[int, str]
    new: tuple[TagRow, ...] = ()
    renamed: Mapping[int, TagRow] = field(default_factory=dict)
    aliases: Mapping[Key, Key | None] = field(default_factory=dict)
    parents: Mapping[Key, Key | None] = field(default_factory=dict)
    closure: Mapping[Key, tuple[Key, ...]] = field(default_factory=dict)
    moved: Mapping[int, bool] = field(default_factory=dict)
    changed_rows: int = 0

    @property
    def empty(self) -> bool:
        """Whether nothing would change."""
        return not (self.new or self.renamed or self.aliases or self.parents)


def plan(rows: Sequence[TagRow], existing: Collection[Tag]) -> TagPlan:
    """Return what a file's rows change."""
    board = _Board(rows, existing)
    problems = board.problems()
    if problems:
        return TagPlan(problems)
    return board.difference()


def plan_good(rows: Sequence[TagRow], existing: Collection[Tag]) -> tuple[TagPlan, dict[int, str]]:
    """Return what the good rows of a file change, and what is wrong with the other ones, by line.

    A row that needs a bad one is bad itself.
    """
    refused: dict[int, str] = {}
    left = list(rows)
    while True:
        found = plan(left, existing)
        if not found.problems:
            return found, refused
        again = ", with the rows that are refused left out" if refused else ""
        refused |= {line: problem + again for line, problem in found.problems.items()}
        left = [row for row in left if row.line not in refused]


class _Board:
    def __init__(self, rows: Sequence[TagRow], existing: Collection[Tag]) -> None:
        self._before = {tag.id: tag for tag in existing}
        self._problems: dict[int, str] = {}
        self._rows: dict[Key, TagRow] = {}
        by_external = {tag.external_id: tag.id for tag in existing if tag.external_id is not None}
        unnamed = {(tag.type, tag.title): tag.id for tag in existing if tag.external_id is None}
        self._keys: dict[int, Key] = dict(by_external)
        for row in rows:
            if row.external_id in self._keys and self._keys[row.external_id] in self._rows:
                self._complain(row.line, f"external_id {row.external_id} stands in another row already")
                continue
            key = by_external.get(row.external_id) or unnamed.pop((row.type, row.title), -row.external_id)
            self._keys[row.external_id] = key
            self._rows[key] = row
        self._nodes = {key: self._node(key) for key in (*self._before, *(k for k in self._rows if k < 0))}
        self._canonical: dict[Key, Key] = {}

    def _complain(self, line: int | None, problem: str) -> None:
        if line is not None:
            self._problems.setdefault(line, problem)

    def _node(self, key: Key) -> _Node:
        tag, row = self._before.get(key), self._rows.get(key)
        alias, parent = (None, None) if tag is None else (tag.alias_of, tag.parent_id)
        if row is None:
            if tag is None:
                raise KeyError(key)
            return _Node(key, tag.external_id, tag.title, tag.type, alias, parent, None)
        if not isinstance(row.alias_of, Keep):
            alias = self._named(row, "alias_of", row.alias_of)
        if not isinstance(row.parent, Keep):
            parent = self._named(row, "parent", row.parent)
        return _Node(key, row.external_id, row.title, row.type, alias, parent, row.line)

    def _named(self, row: TagRow, what: str, external_id: int | None) -> Key | None:
        if external_id is None:
            return None
        key = self._keys.get(external_id)
        if key is None:
            self._complain(row.line, f"{what} is {external_id}: neither the board nor the file has that tag")
        return key

    def problems(self) -> dict[int, str]:
        """Return what is wrong with the tags as they would be, by line."""
        self._check_titles()
        self._check_aliases()
        self._check_parents()
        return self._problems

    def _check_titles(self) -> None:
        taken: dict[tuple[TagType, str], _Node] = {}
        for node in sorted(self._nodes.values(), key=lambda one: (one.line is not None, one.line or 0)):
            first = taken.setdefault((node.type, node.title), node)
            if first is not node:
                where = (
                    f"tag {first.external_id or first.key}" if first.line is None else f"line {first.line}"
                )
                self._complain(
                    node.line,
                    f"the {node.type} {node.title!r} is {where} already: titles differ within a type",
                )

    def _check_aliases(self) -> None:
        aliases = {key: node.alias_of for key, node in self._nodes.items() if node.alias_of is not None}
        for key in aliases:
            chain = [key]
            while (above := aliases.get(chain[-1])) is not None and above not in chain:
                chain.append(above)
            if above is not None:
                if above == key:
                    self._blame(chain, "its aliases lead in a circle: one of them must be a tag of its own")
                continue
            self._canonical[key] = chain[-1]
            subject, canonical = self._nodes[key], self._nodes[chain[-1]]
            if subject.type is not canonical.type:
                self._blame(
                    [key, *chain],
                    f"alias and canonical tag are of one type: here {subject.type} and {canonical.type}",
                )

    def _check_parents(self) -> None:
        forest = self._forest()
        for key, parent in forest.items():
            child, above = self._nodes[key], self._nodes[parent]
            if child.alias_of is not None:
                self._blame([key], "an alias has no parent: leave one of the two out")
            elif above.alias_of is not None:
                self._blame([key, parent], f"its parent {above.title!r} is an alias: name the canonical tag")
            elif child.type is not above.type:
                self._blame(
                    [key, parent], f"a tag and its parent are of one type: here {child.type} and {above.type}"
                )
        for key in forest:
            chain = list(_above(forest, key))
            if chain and chain[-1] == key:
                self._blame([key, *chain], "its parents lead in a circle: one of them must be a root")
            elif len(chain) > MAX_DEPTH and len(set(chain)) == len(chain):
                self._blame([key, *chain], f"the hierarchy would be deeper than {MAX_DEPTH}")

    def _blame(self, keys: Sequence[Key], problem: str) -> None:
        """Complain about the first of these that the file names: what it does not name was right before."""
        for key in keys:
            if self._nodes[key].line is not None:
                self._complain(self._nodes[key].line, problem)
                return

    def _forest(self) -> dict[Key, Key]:
        return {key: node.parent for key, node in self._nodes.items() if node.parent is not None}

    def difference(self) -> TagPlan:
        """Return what is to be written; there are no problems."""
        was = self._before
        named = {
            key: row
            for key, row in self._rows.items()
            if key > 0
            and (was[key].title, was[key].type, was[key].external_id)
            != (row.title, row.type, row.external_id)
        }
        aliases = {
            key: alias
            for key in self._nodes
            if (alias := self._canonical.get(key)) != (was[key].alias_of if key in was else None)
        }
        parents = {
            key: node.parent
            for key, node in self._nodes.items()
            if node.parent != (was[key].parent_id if key in was else None)
        }
        touched = {*named, *aliases, *parents}
        return TagPlan(
            {},
            new=tuple(row for key, row in self._rows.items() if key < 0),
            renamed=named,
            aliases=aliases,
            parents=parents,
            closure=self._closure(parents),
            moved={key: key in aliases for key in {*aliases, *parents} if key > 0},
            changed_rows=sum(key > 0 for key in touched & self._rows.keys()),
        )

    def _closure(self, moved: Collection[Key]) -> dict[Key, tuple[Key, ...]]:
        """Return the ancestors of every tag that moves, or is below one that does."""
        children: defaultdict[Key, list[Key]] = defaultdict(list)
        forest = self._forest()
        for key, parent in forest.items():
            children[parent].append(key)
        affected: set[Key] = set()
        waiting = list(moved)
        while waiting:
            key = waiting.pop()
            if key not in affected:
                affected.add(key)
                waiting += children[key]
        return {key: tuple(_above(forest, key)) for key in affected}


def _above(forest: Mapping[Key, Key], key: Key) -> Iterator[Key]:
    """Yield what is above a tag, nearest first; up to one above the greatest depth, or to itself again."""
    above = forest.get(key)
    for _ in range(MAX_DEPTH + 1):
        if above is None:
            return
        yield above
        if above == key:
            return
        above = forest.get(above)
