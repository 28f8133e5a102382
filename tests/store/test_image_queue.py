"""Images by what is pending on them, when they came and from whom."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from small_board import SmallBoard, version

from orchestrator.records import ImageState, TagType, VersionState
from orchestrator.store import image_queue, models, tags
from orchestrator.store.image_queue import ImageFilter, ImageKeys, Place
from orchestrator.store.transaction import Transaction

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 1, tzinfo=UTC)


async def walked(board: SmallBoard, where: ImageFilter, limit: int = 3) -> list[int]:
    """Every image of a list, page by page; no page is longer than asked for."""
    found: list[int] = []
    after: Place | None = None
    while True:

        async def work(tx: Transaction, after: Place | None = after) -> ImageKeys:
            return await image_queue.page(tx, where, after=after, limit=limit)

        keys = await board.store.read(work)
        assert len(keys.ids) <= limit
        found += keys.ids
        after = keys.next
        if after is None:
            return found


async def uploaded_at(board: SmallBoard, image_id: int, moment: datetime) -> None:
    await board.store.write(
        lambda tx: tx.execute(
            "UPDATE images SET created_at = :at WHERE id = :id", id=image_id, at=moment.replace(tzinfo=None)
        )
    )


async def test_images_with_pending_rows_by_type_and_model(board: SmallBoard) -> None:
    reimu = await board.store.write(lambda tx: tags.create(tx, title="reimu", type=TagType.CHARACTER))
    other = await board.store.write(
        lambda tx: models.insert_version(tx, version("other"), state=VersionState.ACTIVE)
    )
    themes = [await board.suggested({"smile": 9000, "hair": 8000}) for _ in range(4)]
    bare = await board.register()
    with_character = themes[1]
    await board.store.write(
        lambda tx: tx.insert(
            "suggestions",
            image_id=with_character,
            tag_id=reimu.id,
            score=9000,
            confidence=9000,
            model_version_id=other,
        )
    )
    newest_first = list(reversed(themes))
    assert await walked(board, ImageFilter(pending=True)) == newest_first
    assert await walked(board, ImageFilter(pending=True, type=TagType.THEME)) == newest_first
    assert await walked(board, ImageFilter(pending=True, type=TagType.CHARACTER)) == [with_character]
    assert await walked(board, ImageFilter(pending=True, type=TagType.ARTIST)) == []
    assert await walked(board, ImageFilter(pending=True, versions=(other,))) == [with_character]
    assert await walked(board, ImageFilter(pending=True, versions=())) == []
    both = ImageFilter(pending=True, type=TagType.THEME, versions=(other,))
    assert await walked(board, both) == []
    assert await walked(board, ImageFilter()) == [bare, *newest_first]
    assert await walked(board, ImageFilter(state=ImageState.QUEUED)) == [bare]


async def test_images_by_uploader_and_time(board: SmallBoard) -> None:
    """Given images of two people whose upload times are not in the order of their ids, then each span of time
    has those uploaded in it, the newest first, its first moment included and its last one not."""
    dice = random.Random(7)
    moments: dict[int, datetime] = {}
    owners: dict[int, int] = {}
    for number in range(12):
        owner = board.tagger if number % 3 == 0 else board.uploader
        image_id = await board.suggested({"smile": 9000}, owner)
        moments[image_id] = START + timedelta(hours=dice.randrange(6))
        owners[image_id] = owner.id
        await uploaded_at(board, image_id, moments[image_id])
    bare = await board.register()
    await uploaded_at(board, bare, START + timedelta(hours=2))

    for since, until in ((None, 3), (2, None), (1, 4), (0, 6), (5, 5)):
        first = None if since is None else START + timedelta(hours=since)
        last = None if until is None else START + timedelta(hours=until)
        wanted = [
            image_id
            for image_id, moment in moments.items()
            if (first is None or first <= moment) and (last is None or moment < last)
        ]
        wanted.sort(key=lambda image_id: (moments[image_id], image_id), reverse=True)
        where = ImageFilter(pending=True, since=first, until=last)
        assert await walked(board, where, dice.choice((1, 2, 20))) == wanted
        mine = ImageFilter(pending=True, uploader_ids=(board.tagger.id,), since=first, until=last)
        assert await walked(board, mine, 2) == [one for one in wanted if owners[one] == board.tagger.id]
    of_tagger = sorted((one for one in moments if owners[one] == board.tagger.id), reverse=True)
    assert await walked(board, ImageFilter(pending=True, uploader_ids=(board.tagger.id,))) == of_tagger
    assert await walked(board, ImageFilter(pending=True, uploader_ids=())) == []
    span = ImageFilter(since=START + timedelta(hours=2), until=START + timedelta(hours=3))
    assert bare in await walked(board, span)


@pytest.mark.parametrize("looks", [2, 3, 5])
async def test_a_page_that_may_look_at_little_is_short_and_loses_nothing(
    board: SmallBoard, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    """Given a few images that fit among many that do not, whatever a page may look at, then the pages
    together have each once."""
    monkeypatch.setattr(image_queue, "SCANNED_ROWS", looks)
    monkeypatch.setattr(image_queue, "SCANNED_IMAGES", looks)
    reimu = await board.store.write(lambda tx: tags.create(tx, title="reimu", type=TagType.CHARACTER))
    fitting = []
    for number in range(9):
        image_id = await board.suggested({"smile": 9000})
        await board.register()
        if number % 4 == 0:
            fitting.append(image_id)
            await board.store.write(
                lambda tx, image_id=image_id: tx.insert(  # type: ignore[misc]
                    "suggestions",
                    image_id=image_id,
                    tag_id=reimu.id,
                    score=9000,
                    confidence=9000,
                    model_version_id=board.version_id,
                )
            )
    fitting.reverse()
    assert await walked(board, ImageFilter(pending=True, type=TagType.CHARACTER)) == fitting
    by_uploader = ImageFilter(pending=True, type=TagType.CHARACTER, uploader_ids=(board.uploader.id,))
    assert await walked(board, by_uploader) == fitting
    by_time = ImageFilter(pending=True, type=TagType.CHARACTER, since=START - timedelta(days=9))
    assert await walked(board, by_time) == fitting
