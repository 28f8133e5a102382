"""Tags come in as the tag API would have made them, whatever the order of the rows."""

import random
from itertools import count

import pytest
from board_files import Files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_board import SmallBoard

from orchestrator.board_import.files import Kind
from orchestrator.board_import.rows import TagRow
from orchestrator.board_import.tag_plan import plan_good
from orchestrator.records import TagType
from orchestrator.review.tag_edits import NewTag, create_tag
from orchestrator.store import tags
from orchestrator.store.import_runs import Counts
from orchestrator.store.transaction import Transaction

pytestmark = pytest.mark.anyio

NUMBERS = count(1)
RELATED = st.none() | st.tuples(st.sampled_from(("parent", "alias_of")), st.integers(0, 7))
Relations = list[tuple[str, int] | None]


def possible(relations: Relations) -> Relations:
    """Return relations to tags that come before, without those that the tag API would refuse."""
    found: Relations = []
    for number, one in enumerate(relations):
        other = None if one is None or one[1] >= number else found[one[1]]
        refused = one is None or one[1] >= number or (other is not None and other[0] == "alias_of")
        found.append(None if refused else one)
    return found


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(relations=st.lists(RELATED, min_size=1, max_size=8).map(possible), dice=st.randoms())
async def test_tags_in_any_order_are_those_that_the_api_makes(
    board: SmallBoard, files: Files, relations: Relations, dice: random.Random
) -> None:
    # Given tags that people made one by one
    made = f"made {next(NUMBERS)}-"
    ids: list[int] = []
    for number, one in enumerate(relations):
        named = {} if one is None else {"parent_id" if one[0] == "parent" else "alias_of": ids[one[1]]}
        new = NewTag(f"{made}{number}", TagType.THEME, **named)  # type: ignore[arg-type]
        ids.append((await create_tag(board.store, board.moderator, new)).tag.id)
    # When the same come from a file, in any order
    first = 1_000 * next(NUMBERS)
    rows = [
        {"external_id": first + number, "title": f"file {first + number}", "type": "theme"}
        | ({} if one is None else {one[0]: first + one[1]})
        for number, one in enumerate(relations)
    ]
    dice.shuffle(rows)
    files.write(Kind.TAGS, rows)
    counts = await files.run()
    # Then they stand to each other as those do
    assert counts == {Kind.TAGS: Counts(new=len(rows))}
    theirs = await board.store.read(lambda tx: tags.by_external_ids(tx, [row["external_id"] for row in rows]))  # type: ignore[misc]
    ours = [theirs[first + number].id for number in range(len(rows))]
    assert await board.store.read(lambda tx: relations_of(tx, ours)) == await board.store.read(
        lambda tx: relations_of(tx, ids)
    )


async def relations_of(tx: Transaction, ids: list[int]) -> tuple[object, object]:
    """Return aliases, parents and closure of tags, by their place in the list."""
    place = {tag_id: number for number, tag_id in enumerate(ids)} | {None: None}
    known = await tags.by_ids(tx, ids)
    closure = await tx.fetch_rows(
        "SELECT descendant_id, ancestor_id, depth FROM tag_closure WHERE descendant_id IN :ids", ids=ids
    )
    return (
        [(place[known[one].alias_of], place[known[one].parent_id]) for one in ids],
        sorted((place[row[0]], place[row[1]], row[2]) for row in closure),
    )


ANY_ID = st.none() | st.integers(1, 9)


@given(
    related=st.lists(st.tuples(ANY_ID, ANY_ID, st.sampled_from(TagType)), max_size=9),
    dice=st.randoms(use_true_random=False),
)
def test_what_is_refused_does_not_depend_on_the_order(
    related: list[tuple[int | None, int | None, TagType]], dice: random.Random
) -> None:
    rows = [
        TagRow(number, number, f"tag {number}", kind, alias, parent)
        for number, (alias, parent, kind) in enumerate(related, start=1)
    ]
    found, refused = plan_good(rows, ())
    mixed = list(rows)
    dice.shuffle(mixed)
    again, refused_again = plan_good(mixed, ())
    assert refused == refused_again
    assert {row.external_id for row in found.new} == {row.external_id for row in again.new}
    assert (found.aliases, found.parents, found.closure) == (again.aliases, again.parents, again.closure)
    # What is left is a board: aliases end at canonical tags of their type, and parents somewhere
    kinds = {row.external_id: row.type for row in found.new}
    for alias, canonical in found.aliases.items():
        assert canonical not in found.aliases
        assert canonical is not None
        assert kinds[-alias] is kinds[-canonical]
    assert not {*found.parents, *found.parents.values()} & found.aliases.keys()
    assert all(tag not in chain for tag, chain in found.closure.items())
