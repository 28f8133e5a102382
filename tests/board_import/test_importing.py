"""A board's files come in: every kind in every form, once and again, stopped and resumed."""

import pytest
from board_files import BOARD, IMAGES, TAGS, USERS, Files
from small_board import SmallBoard

from orchestrator.board_import.files import Kind
from orchestrator.board_import.service import Options, Watch
from orchestrator.records import ImageState, Priority
from orchestrator.review.tag_edits import TagEdit, edit_tag
from orchestrator.store import audit, backlog, images, rules_version
from orchestrator.store.import_runs import Counts

pytestmark = pytest.mark.anyio


class Stopped(Exception):
    """Somebody stopped the import."""


def stop_after(rows: int) -> Watch:
    """Stop when so many rows of images or links are stored."""
    left = rows

    def imported(kind: Kind, more: int) -> None:
        nonlocal left
        if kind in (Kind.IMAGES, Kind.LINKS):
            left -= more
            if left <= 0:
                raise Stopped

    return Watch(imported=imported)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "csv.gz", "jsonl.gz"])
async def test_a_board_comes_in_from_any_form(files: Files, suffix: str) -> None:
    # Given files of every kind
    files.write_board(suffix=suffix)
    # When they are imported
    counts = await files.run()
    # Then all rows are new, and the board is what they say
    assert {kind: one.new for kind, one in counts.items()} == {
        **{Kind.TAGS: 7, Kind.USERS: 2, Kind.IMAGES: 3},
        Kind.LINKS: 4,  # two of five are of one canonical tag
    }
    found = await files.rows()
    tags, closure, users, pictures, links, counters = found
    assert (5, "beaming", "theme", 4, None) in tags  # an alias of an alias is one of the canonical tag
    assert (4, 'smile, "wide"', "theme", None, None) in tags
    assert closure == [(2, 1, 1), (3, 1, 2), (3, 2, 1)]
    assert users == [(11, "mira", "uploader"), (12, "Zoë", "moderator")]
    assert [row[0] for row in pictures] == [101, 102, 103]
    assert [row[4:] for row in pictures] == [
        ("active", "imported", "AB" * 32),
        ("spoiler", "imported", None),
        ("deleted", "imported", None),
    ]
    assert links == [(101, 3, 0), (101, 4, 1), (102, 7, 1), (103, 1, 1)]
    assert counters == [(tag, "links", 0, 1) for tag in (1, 3, 4, 7)]
    await files.assert_consistent()


async def test_a_file_imported_again_changes_nothing(files: Files) -> None:
    files.write_board()
    await files.run()
    rows, stamp = await files.rows(), await files.store.read(rules_version.current)
    # When all of it comes again, in another form, too
    again = await files.run()
    files.write_board(suffix="jsonl")
    once_more = await files.run()
    # Then everything was there, and nothing was written, the stamp of the rules included
    assert again == once_more == {kind: Counts(existing=len(rows)) for kind, rows in BOARD.items()}
    assert (await files.rows(), await files.store.read(rules_version.current)) == (rows, stamp)


async def test_a_stopped_import_goes_on_and_ends_as_one_that_was_not(files: Files) -> None:
    # Given what an undisturbed import gives
    many = [{"external_id": n, "url": f"https://board.example/{n}", "uploader": 11} for n in range(1, 24)]
    links = [{"image": n, "tag": 1 + n % 7} for n in range(1, 24)]
    files.write_board({**BOARD, Kind.IMAGES: many, Kind.LINKS: links})
    # When the import is stopped in the middle of the images, and then in the middle of the links
    for rows in (10, 25):
        with pytest.raises(Stopped):
            await files.run(Options(chunk=5, watch=stop_after(rows)))
    behind: dict[Kind, int] = {}
    watch = Watch(begins=lambda kind, _, done: behind.update({kind: done}))
    counts = await files.run(Options(chunk=5, watch=watch))
    # Then the last try had only the rest to do, and counts all
    assert behind == {Kind.TAGS: 7, Kind.USERS: 2, Kind.IMAGES: 23, Kind.LINKS: 12}
    assert counts[Kind.IMAGES] == Counts(new=23)
    assert counts[Kind.LINKS] == Counts(new=23)
    stopped = await files.rows()
    # And the rows are those of an import that nobody stopped
    assert await files.run() == {kind: Counts(existing=counts[kind].rows) for kind in counts}
    assert await files.rows() == stopped
    await files.assert_consistent()


async def test_later_files_change_what_they_say_and_keep_the_rest(files: Files) -> None:
    # Given a board
    files.write_board()
    await files.run()
    # When two tags exchange titles, an alias becomes a tag of its own, a user and an image change
    files.write(
        Kind.TAGS,
        [
            {"external_id": 1, "title": "long hair", "type": "theme"},
            {"external_id": 2, "title": "hair", "type": "theme"},
            {"external_id": 5, "title": "beaming", "type": "theme", "alias_of": None},
        ],
        "jsonl",
    )
    files.write(Kind.USERS, [{"external_id": 11, "name": "mira two"}])
    files.write(
        Kind.IMAGES, [{**IMAGES[0], "url": "https://cdn.example/101.jpg", "sha256": "", "status": "repost"}]
    )
    del files.paths[Kind.LINKS]
    counts = await files.run()
    # Then that changed, and what is not said is as before
    assert counts == {
        Kind.TAGS: Counts(changed=3),
        Kind.USERS: Counts(changed=1),
        Kind.IMAGES: Counts(changed=1),
    }
    tags, closure, users, pictures, *_ = await files.rows()
    assert (1, "long hair", "theme", None, None) in tags
    assert (2, "hair", "theme", None, 1) in tags
    assert (5, "beaming", "theme", None, None) in tags
    assert closure == [(2, 1, 1), (3, 1, 2), (3, 2, 1)]
    assert users[0] == (11, "mira two", "uploader")
    assert pictures[0][2:] == ("https://cdn.example/101.jpg", 11, "repost", "imported", "AB" * 32)
    await files.assert_consistent()


async def test_imported_images_wait_for_a_backfill_or_a_registration(board: SmallBoard, files: Files) -> None:
    # Given imported images
    files.write(Kind.USERS, USERS)
    files.write(Kind.IMAGES, IMAGES)
    await files.run()
    # Then the sweeper does not find them, and a worker that is sent one leaves it alone
    ids = [
        row[0]
        for row in await board.store.read(lambda tx: tx.fetch_rows("SELECT id FROM images ORDER BY id"))
    ]
    assert await board.store.read(lambda tx: backlog.due_for_sweep(tx, older_than=0, limit=9)) == []
    assert await board.store.write(lambda tx: images.claim(tx, ids, lease=1.0)) == []
    # When a backfill takes one, and somebody registers another
    sent = await board.store.write(lambda tx: images.requeue_many(tx, ids[:1], Priority.BACKFILL))
    again = await board.register(external_id=102)
    # Then both are queued
    assert (sent, again) == (ids[:1], ids[1])
    states = await board.store.read(backlog.counts_by_state)
    assert (states[ImageState.QUEUED], states[ImageState.IMPORTED]) == (2, 1)


async def test_links_through_an_alias_count_once_also_after_a_change(board: SmallBoard, files: Files) -> None:
    # Given an image that is linked to a tag which then became an alias
    image_id = await board.register(external_id=900)
    files.write(Kind.LINKS, [{"image": 900, "tag": 104}])  # blue eyes
    await files.run()
    eyes, smile = board.tags["blue eyes"], board.tags["smile"]
    await edit_tag(board.store, board.moderator, eyes.id, TagEdit(alias_of=smile.id))
    # When links of both, and of the alias of old, come
    files.write(Kind.LINKS, [{"image": 900, "tag": tag} for tag in (104, 103, 105)])
    counts = await files.run()
    # Then the image has the canonical tag already
    assert counts[Kind.LINKS] == Counts(existing=3)
    assert await board.linked(image_id) == {"blue eyes"}
    await files.assert_consistent()


async def test_an_import_leaves_a_line_in_the_audit_log(files: Files) -> None:
    files.write(Kind.TAGS, TAGS)
    await files.run()
    (entry,) = await files.store.read(lambda tx: audit.of(tx, "tags"))
    assert (entry.actor, entry.action) == ("the board import", "import_board")


async def test_people_without_an_external_id_are_found_by_name(board: SmallBoard, files: Files) -> None:
    files.write(Kind.USERS, [{"external_id": 31, "name": "The Tagger"}])
    assert await files.run() == {Kind.USERS: Counts(changed=1)}
    rows = (await files.rows())[2]
    assert (31, "The Tagger", "tagger") in rows


async def test_images_by_path_lie_below_an_allowed_folder(board: SmallBoard, files: Files) -> None:
    files.write(Kind.USERS, USERS)
    root = files.settings.image_roots[0]
    rows = [{"external_id": 1, "path": f"{root}/a.png", "uploader": 11}]
    files.write(Kind.IMAGES, [*rows, {"external_id": 2, "path": f"{root}/../b.png", "uploader": 11}])
    checked = await files.check()
    assert list(checked[Kind.IMAGES].problems) == [3]
    assert "TAGDESK_IMAGE_ROOTS" in checked[Kind.IMAGES].problems[3]
