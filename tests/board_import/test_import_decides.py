"""An import on a board that people review: what it says decides as if people had done it."""

import random

import pytest
from board_files import Files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_board import SmallBoard

from orchestrator.board_import.files import Kind
from orchestrator.board_import.service import Options
from orchestrator.board_import.writing import ActorNeeded
from orchestrator.records import Eligibility
from orchestrator.review.tagging import TagChange, TagNames, change_tags
from orchestrator.store.import_runs import Counts

pytestmark = pytest.mark.anyio

SCORES = {"hair": 9000, "long_hair": 8000, "smile": 6000}


async def name_image(board: SmallBoard, image_id: int, external_id: int) -> None:
    await board.store.write(
        lambda tx: tx.execute(
            "UPDATE images SET external_id = :external_id WHERE id = :id",
            id=image_id,
            external_id=external_id,
        )
    )


async def test_links_answer_pending_suggestions(board: SmallBoard, files: Files) -> None:
    # Given two images that people are asked about, and one that nobody is
    asked = [await board.suggested(SCORES), await board.suggested(SCORES)]
    for number, image_id in enumerate(asked):
        await name_image(board, image_id, 901 + number)
    quiet = await board.register(external_id=900)
    links = [{"image": image, "tag": tag} for image in (900, 901, 902) for tag in (101, 105)]
    files.write(Kind.LINKS, links)
    # When links come that do not say who made them, nobody is taken for it
    with pytest.raises(ActorNeeded, match="line 4"):
        await files.run()
    assert await board.linked(quiet) == set()
    # Links of other images need nobody, and neither does asking what a file would need
    files.write(Kind.LINKS, links[:2])
    assert (await files.check())[Kind.LINKS].anonymous is None
    files.write(Kind.LINKS, links)
    counts = await files.run(Options(actor=board.moderator))
    # Then the suggestions are approved by implication, and what they make redundant is cleared
    assert counts[Kind.LINKS] == Counts(new=6)
    for image_id in (quiet, *asked):
        assert await board.linked(image_id) == {"long hair", "smile"}
    for image_id in asked:
        assert await board.statuses(image_id) == {
            "hair": "cleared",
            "long hair": "approved",
            "smile": "approved",
        }
    await files.assert_consistent()


async def test_who_made_a_link_is_who_decided(board: SmallBoard, files: Files) -> None:
    image_id = await board.suggested(SCORES)
    await name_image(board, image_id, 901)
    files.write(Kind.USERS, [{"external_id": 11, "name": "mira"}, {"external_id": 12, "name": "zoe"}])
    files.write(Kind.LINKS, [{"image": 901, "tag": 103, "by": 11}, {"image": 901, "tag": 101, "by": 12}])
    await files.run()
    rows = await board.rows(image_id)
    assert {title: row.decided_by for title, row in rows.items()} == {
        **{"smile": "mira", "long hair": "zoe", "hair": "zoe"}
    }
    await files.assert_consistent()


async def test_more_images_to_decide_than_a_transaction_takes(
    board: SmallBoard, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.board_import.writing.DECIDED_TOGETHER", 2)
    for number in range(5):
        await name_image(board, await board.suggested({"smile": 7000}), 901 + number)
    files.write(Kind.LINKS, [{"image": 901 + n % 5, "tag": 103 - n // 5} for n in range(10)])
    assert await files.run(Options(actor=board.moderator)) == {Kind.LINKS: Counts(new=10)}
    await files.assert_consistent()


async def test_tags_that_change_take_their_rows_along(board: SmallBoard, files: Files) -> None:
    # Given pending rows of a tag, and an image that has its future parent's child
    image_id = await board.suggested({"smile": 7000, "blue_eyes": 6000})
    row = {"external_id": 103, "title": "smile", "type": "theme", "alias_of": 104}
    files.write(Kind.TAGS, [row])
    with pytest.raises(ActorNeeded):
        await files.run()
    # When the tag becomes an alias of the other, which has an alias of its own
    assert await files.run(Options(actor=board.moderator)) == {Kind.TAGS: Counts(changed=1)}
    # Then both rows are one, and the alias of old follows
    assert await board.statuses(image_id) == {"blue eyes": "pending"}
    tags = (await files.rows())[0]
    assert {one[0]: one[3] for one in tags if one[0] in (103, 105)} == {103: 104, 105: 104}
    await files.assert_consistent()


async def test_hidden_images_lose_their_pending_rows_and_get_them_back(
    board: SmallBoard, files: Files
) -> None:
    image_id = await board.suggested({"smile": 7000})
    await name_image(board, image_id, 901)
    files.write(Kind.USERS, [{"external_id": 11, "name": "the uploader"}])
    for status, rows in ((Eligibility.DELETED, {}), (Eligibility.ACTIVE, {"smile": "pending"})):
        image = {"external_id": 901, "url": "https://board.example/1.png", "uploader": 11, "status": status}
        files.write(Kind.IMAGES, [image])
        counts = await files.run(Options(actor=board.moderator))
        assert counts[Kind.IMAGES] == Counts(changed=1)
        assert await board.statuses(image_id) == rows
    await files.assert_consistent()


TAGS_OF_ONE = st.lists(st.integers(100, 105), min_size=1, max_size=6)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    wanted=st.dictionaries(st.integers(901, 904), TAGS_OF_ONE, min_size=1),
    chunk=st.integers(7, 30),
    pending=st.sets(st.integers(901, 904)),
    dice=st.none() | st.randoms(use_true_random=False),
)
async def test_links_in_any_order_and_again_are_what_people_would_have_made(
    board: SmallBoard,
    files: Files,
    wanted: dict[int, list[int]],
    chunk: int,
    pending: set[int],
    dice: random.Random | None,
) -> None:
    await board.store.write(lambda tx: tx.execute("UPDATE images SET external_id = NULL"))
    # Given the same images twice, some with suggestions
    pairs: dict[int, tuple[int, int]] = {}
    for number in range(901, 905):
        first, second = [
            await (board.suggested(SCORES) if number in pending else board.register()) for _ in range(2)
        ]
        pairs[number] = first, second
        await name_image(board, first, number)
    # When the one get their links by a file, twice, image by image or in any order, and the others by hand
    links = [{"image": image, "tag": tag} for image, tags in wanted.items() for tag in tags]
    if dice is not None:
        dice.shuffle(links)
    files.write(Kind.LINKS, links)
    for _ in range(2):
        await files.run(Options(actor=board.moderator, chunk=chunk))
    for number, tags in wanted.items():
        names = TagNames(external_ids=tuple(tags))
        await change_tags(board.store, board.moderator, pairs[number][1], TagChange.ADD, names)
    # Then nothing tells them apart; of links that come in any order, some may come after others have decided
    for first, second in pairs.values():
        assert await board.linked(first) == await board.linked(second)
        if dice is None or len(links) < chunk:
            assert await board.statuses(first) == await board.statuses(second)
    await files.assert_consistent()
