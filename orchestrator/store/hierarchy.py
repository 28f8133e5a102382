"""The hierarchy of tags, kept closed: `tag_closure` holds every proper ancestor of every tag.

The whole forest changes rarely and fits in memory, so a change is checked and the closure is rewritten for
the tags below it. Writers serialise on the forest: two concurrent moves could close a cycle between them.
"""

from collections.abc import Collection, Mapping

from orchestrator.errors import InvalidInput, NotFound
from orchestrator.records import TagType
from orchestrator.store import rules_version
from orchestrator.store.transaction import Transaction

MAX_DEPTH = 32


async def set_parents(tx: Transaction, parents: Mapping[int, int | None]) -> None:
    """Give each tag a parent (None: makes it a root) and bring the closure up to date.

    Raises InvalidInput for a cycle, a tree deeper than 32, a parent of another type, or an alias at either
    end; NotFound for an unknown tag.
    """
    if not parents:
        return
    # Taken first and alone, so that concurrent changes of the forest wait here and not half-way.
    await rules_version.lock(tx)
    nodes = {
        row[0]: (TagType(row[1]), row[2], row[3])
        for row in await tx.fetch_rows(
            "SELECT id, type, alias_of, parent_id FROM tags WHERE parent_id IS NOT NULL OR id IN :named",
            named=sorted({end for pair in parents.items() for end in pair if end is not None}),
        )
    }
    forest: dict[int, int] = {tag: node[2] for tag, node in nodes.items() if node[2] is not None}
    moved: set[int] = set()
    for tag, parent in parents.items():
        for end in (tag, parent):
            if end is not None and end not in nodes:
                raise NotFound(f"no tag has the id {end}", code="tag_not_found")
            if end is not None and nodes[end][1] is not None:
                raise InvalidInput("an alias has no place in the hierarchy", code="alias_in_hierarchy")
        if forest.get(tag) == parent:
            continue
        moved.add(tag)
        if parent is None:
            forest.pop(tag, None)
        elif nodes[parent][0] != nodes[tag][0]:
            raise InvalidInput("a tag and its parent are of one type", code="parent_type")
        else:
            forest[tag] = parent
    if not moved:
        return
    affected = {tag: chain for tag in nodes if (chain := ancestors(forest, tag)) and moved & {tag, *chain}}
    for tag in sorted(moved):
        await tx.execute("UPDATE tags SET parent_id = :parent WHERE id = :id", parent=forest.get(tag), id=tag)
    await _rewrite(tx, affected, also=moved)
    await rules_version.bump(tx)


def ancestors(forest: Mapping[int, int], tag: int) -> tuple[int, ...]:
    """Return a tag's proper ancestors, nearest first. Raises InvalidInput for a cycle or too deep a tree."""
    chain: list[int] = []
    above = forest.get(tag)
    while above is not None:
        if above == tag or above in chain:
            raise InvalidInput("the hierarchy would have a cycle", code="hierarchy_cycle")
        chain.append(above)
        if len(chain) > MAX_DEPTH:
            raise InvalidInput(f"the hierarchy would be deeper than {MAX_DEPTH}", code="hierarchy_depth")
        above = forest.get(above)
    return tuple(chain)


async def _rewrite(tx: Transaction, chains: Mapping[int, tuple[int, ...]], *, also: Collection[int]) -> None:
    stale = sorted({*chains, *also})
    await tx.execute("DELETE FROM tag_closure WHERE descendant_id IN :tags", tags=stale)
    await tx.insert_many(
        "tag_closure",
        ("descendant_id", "ancestor_id", "depth"),
        [
            (tag, above, depth)
            for tag, chain in sorted(chains.items())
            for depth, above in enumerate(chain, 1)
        ],
    )


async def ancestors_of(tx: Transaction, tag_ids: Collection[int]) -> dict[int, frozenset[int]]:
    """Return each tag's proper ancestors; every tag asked for has an entry."""
    found: dict[int, set[int]] = {tag_id: set() for tag_id in tag_ids}
    if not found:
        return {}
    for tag_id, ancestor in await tx.fetch_rows(
        "SELECT descendant_id, ancestor_id FROM tag_closure WHERE descendant_id IN :tags", tags=sorted(found)
    ):
        found[tag_id].add(ancestor)
    return {tag_id: frozenset(above) for tag_id, above in found.items()}


async def descendants_of(tx: Transaction, tag_id: int) -> frozenset[int]:
    """Return a tag's proper descendants."""
    rows = await tx.fetch_rows("SELECT descendant_id FROM tag_closure WHERE ancestor_id = :tag", tag=tag_id)
    return frozenset(row[0] for row in rows)


async def set_character_sources(tx: Transaction, pairs: Collection[tuple[int, int]]) -> int:
    """Add (character tag id, source tag id) relations; returns how many are new.

    Raises InvalidInput when a tag is unknown or of the wrong type.
    """
    if not pairs:
        return 0
    wanted = sorted(set(pairs))
    types = {
        row[0]: TagType(row[1])
        for row in await tx.fetch_rows(
            "SELECT id, type FROM tags WHERE id IN :tags",
            tags=sorted({tag for pair in wanted for tag in pair}),
        )
    }
    for character, source in wanted:
        if types.get(character) != TagType.CHARACTER or types.get(source) != TagType.SOURCE:
            raise InvalidInput("a character's source is a tag of type source", code="bad_character_source")
    known = {tuple(row) for row in await load_character_sources(tx)}
    fresh = [pair for pair in wanted if pair not in known]
    await tx.insert_many("tag_sources", ("character_id", "source_id"), fresh)
    if fresh:
        await rules_version.bump(tx)
    return len(fresh)


async def load_character_sources(tx: Transaction) -> tuple[tuple[int, int], ...]:
    """Return all (character tag id, source tag id) relations, in order."""
    rows = await tx.fetch_rows(
        "SELECT character_id, source_id FROM tag_sources ORDER BY character_id, source_id"
    )
    return tuple((row[0], row[1]) for row in rows)
