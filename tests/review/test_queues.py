"""The queues: which rows and tags come, in which order, and what is said beside them."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from queue_board import another_model, fill
from small_board import SmallBoard

from orchestrator.errors import InvalidInput, NotFound
from orchestrator.records import SCORE_ONE, Held, QueueOrder, TagType, User
from orchestrator.review.queues import (
    PagePlace,
    QueuePage,
    QueueRequest,
    WorklistRow,
    note_shown,
    read_queue,
    read_worklist,
    ten_thousandths,
)
from orchestrator.store import links, queues, tags, worklist
from orchestrator.store.queue_rows import QueuedRow
from orchestrator.store.queues import HALF
from orchestrator.store.transaction import Transaction

pytestmark = pytest.mark.anyio


def asked(board: SmallBoard, title: str = "smile", **more: object) -> QueueRequest:
    return QueueRequest(tag_id=board.tags[title].id, **more)  # type: ignore[arg-type]


async def page(board: SmallBoard, request: QueueRequest, user: User | None = None) -> QueuePage:
    return await board.store.read(lambda tx: read_queue(tx, user or board.tagger, request))


async def pages(board: SmallBoard, request: QueueRequest, user: User | None = None) -> list[list[QueuedRow]]:
    """Every page of a queue, from the first to the last."""
    found: list[list[QueuedRow]] = []
    place: PagePlace | None = request.after
    while place is not None:
        one = await page(board, replace(request, after=place), user)
        found.append(list(one.rows))
        place = one.next
    return found


def expected(order: QueueOrder, rows: dict[int, int]) -> list[int]:
    """Ids in the order that is meant, computed the plain way; `rows`: confidence by id."""

    def key(row: int) -> tuple[int, ...]:
        confidence = rows[row]
        match order:
            case QueueOrder.CONFIDENCE:
                return -confidence, -row
            case QueueOrder.NEWEST:
                return (-row,)
            case QueueOrder.UNCERTAINTY:
                below = confidence < HALF
                return abs(confidence - HALF), below, -row if below else row

    return sorted(rows, key=key)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("order", QueueOrder)
async def test_every_order_shows_every_row_once_whatever_the_size_of_a_page(
    board: SmallBoard, order: QueueOrder, seed: int
) -> None:
    """Given rows of a few confidences, many of them equal, and of two models, when a queue is walked, then
    the rows that are asked for come once each, in the order that is meant."""
    dice = random.Random(seed)
    other = await another_model(board)
    rows: dict[int, int] = {}
    of_other: set[int] = set()
    for version_id in (board.version_id, other, board.version_id):
        confidences = [dice.choice((3500, 4000, 4999, 5000, 5001, 6000, 9000)) for _ in range(12)]
        ids = await fill(board, confidences, version_id=version_id)
        rows |= dict(zip(ids, confidences, strict=True))
        of_other |= set(ids) if version_id == other else set()
    await fill(board, [9900], "blue eyes")
    for least in (0, 4500, 5500):
        for model, wanted in ((None, set(rows)), ("other", of_other)):
            request = asked(
                board, order=order, min_confidence=least, model=model, limit=dice.choice((1, 2, 5, 36, 50))
            )
            walked = await pages(board, request)
            ids = [row.id for part in walked for row in part]
            assert ids == expected(order, {i: c for i, c in rows.items() if c >= least and i in wanted})
            assert all(len(part) == request.limit for part in walked[:-1])


async def test_a_filter_that_little_fits_ends_a_page_early_and_loses_nothing(
    board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given one row in ten that fits, when a page may look at eight only, then pages are short, also empty,
    and all of them together have every row."""
    ids = await fill(board, [9000 if n % 10 == 0 else 4000 for n in range(40)])
    monkeypatch.setattr(queues, "SCANNED", 8)
    walked = await pages(board, asked(board, order=QueueOrder.NEWEST, min_confidence=8000, limit=4))
    assert [row.id for part in walked for row in part] == [ids[30], ids[20], ids[10], ids[0]]
    assert len(walked) == 6


async def test_a_row_comes_with_its_image_and_the_tags_that_the_image_has(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    await board.store.write(
        lambda tx: links.link_pairs(
            tx,
            {(image_id, board.tags["blue eyes"].id), (image_id, board.tags["hair"].id)},
            user_id=None,
            origin=links.LinkOrigin.BOARD,
        )
    )
    (row,) = (await page(board, asked(board))).rows
    assert (row.image.id, row.image.width, row.image.height) == (image_id, 640, 480)
    assert (row.image.media_type, row.image.uploader) == ("image/png", board.uploader.name)
    assert [tag.title for tag in row.image.tags] == ["blue eyes", "hair"]
    assert (row.confidence, row.model_source, row.model_name, row.version) == (9000, "danbooru", "wd14", 1)
    assert not row.exploration
    assert row.holder is None


async def test_a_page_costs_the_same_number_of_statements_whatever_is_on_it(board: SmallBoard) -> None:
    one = await fill(board, [9000])
    other = await fill(board, [8000 + n for n in range(60)], "blue eyes")
    await fill(board, [3000] * 5, "blue eyes", exploration=True)
    linked = board.tags["hair"].id
    await board.store.write(
        lambda tx: tx.execute(
            "INSERT INTO tag_links (image_id, tag_id, origin)"
            " SELECT image_id, :tag, 'board' FROM suggestions WHERE id IN :ids",
            tag=linked,
            ids=[*one, *other],
        )
    )

    async def statements(request: QueueRequest) -> tuple[int, int]:
        async def work(tx: Transaction) -> tuple[int, int]:
            async def asked_so_far() -> int:
                ((_, questions),) = await tx.fetch_rows("SHOW SESSION STATUS LIKE 'Questions'")
                return int(questions)

            before = await asked_so_far()
            found = await read_queue(tx, board.tagger, request)
            return await asked_so_far() - before - 1, len(found.rows)

        return await board.store.read(work)

    for order in QueueOrder:
        few = await statements(asked(board, order=order, limit=50))
        many = await statements(asked(board, "blue eyes", order=order, limit=50))
        assert (few, many) == ((7, 1), (7, 50))


async def test_one_row_in_twenty_explores_and_a_page_stays_as_it_is(board: SmallBoard) -> None:
    """Given plenty below the threshold, when the queue is walked, then one row in twenty is from there, each
    once; the same page has the same rows; and without explorations there are none."""
    sure = await fill(board, [4000 + n for n in range(400)])
    unsure = await fill(board, [3000] * 60, exploration=True)

    request = asked(board, limit=10)
    walked = await pages(board, request)
    again = await pages(board, request)
    assert again == walked

    rows = [row for part in walked for row in part]
    assert Counter(row.id for row in rows) == Counter([*sure, *unsure])
    assert {row.id for row in rows if row.exploration} == set(unsure)
    usual = [part for part in walked if not all(row.exploration for row in part)][:-1]
    share = sum(row.exploration for part in usual for row in part) / sum(len(part) for part in usual)
    assert 0.02 < share < 0.08
    places = {part.index(row) for part in usual for row in part if row.exploration}
    assert len(places) > 3

    without = await pages(board, replace(request, explorations=False))
    assert [row.id for part in without for row in part] == list(reversed(sure))


async def test_what_a_tag_has_left_below_its_threshold_comes_last(board: SmallBoard) -> None:
    """Given more explorations than rows, then the counter and the queue agree on how many there are."""
    await fill(board, [9000, 8000])
    await fill(board, [3000] * 7, exploration=True)
    walked = await pages(board, asked(board, limit=4))
    assert [len(part) for part in walked] == [4, 4, 1]
    assert sum(row.exploration for part in walked for row in part) == 7
    assert (await page(board, asked(board))).pending == 9


async def test_what_is_shown_is_noted_with_its_place_in_the_whole_queue(board: SmallBoard) -> None:
    await fill(board, [5000 + n for n in range(5)])
    request, ids, place = asked(board, limit=2), [], PagePlace()

    async def look(place: PagePlace) -> QueuePage:
        here = replace(request, after=place)
        shown = await page(board, here)
        await board.store.write(lambda tx: note_shown(tx, board.tagger, here, shown))
        return shown

    while place is not None:
        one = await look(place)
        ids += [row.id for row in one.rows]
        place = one.next
    rows = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT user_id, suggestion_id, suggestion_version, place, position FROM exposures ORDER BY id"
        )
    )
    assert rows == [(board.tagger.id, one, 1, "queue", number) for number, one in enumerate(ids)]


async def test_a_tag_or_a_model_that_there_is_not(board: SmallBoard) -> None:
    with pytest.raises(NotFound, match="no tag"):
        await page(board, QueueRequest(tag_id=404))
    with pytest.raises(InvalidInput, match="no model"):
        await page(board, asked(board, model="nobody"))
    assert (await page(board, asked(board, held=Held.MINE))).rows == ()


@pytest.mark.parametrize(
    ("confidence", "stored"), [(0.0, 0), (0.56, 5600), (0.57, 5700), (0.12345, 1235), (1.0, SCORE_ONE)]
)
def test_a_wanted_confidence_leaves_out_what_is_below_it(confidence: float, stored: int) -> None:
    assert ten_thousandths(confidence) == stored


async def listed(board: SmallBoard, limit: int = 50, **more: object) -> list[tuple[str, int]]:
    """The whole worklist, page by page, as (title, pending)."""
    rows: list[WorklistRow] = []
    after: tuple[int, int] | None = None
    while True:
        found = await board.store.read(
            lambda tx, after=after: read_worklist(tx, board.tagger, after=after, limit=limit, **more)  # type: ignore[misc]
        )
        rows += found.rows
        after = found.next
        if after is None:
            return [(row.waiting.tag.title, row.waiting.pending) for row in rows]


async def test_the_worklist_has_the_tags_with_the_most_pending_first(board: SmallBoard) -> None:
    """Given pending rows of several tags, when the worklist is read by pages of any size, then it agrees with
    a count of the rows."""
    await fill(board, [9000, 8000, 4000], "hair")
    await fill(board, [9000] * 5, "smile")
    await fill(board, [4000, 4100, 9700], "blue eyes")
    await fill(board, [3000], "blue eyes", exploration=True)
    counted = [("smile", 5), ("blue eyes", 4), ("hair", 3)]
    for limit in (1, 2, 50):
        assert await listed(board, limit) == counted
    await board.assert_counters_equal_recount()


async def test_tags_with_as_many_rows_follow_each_other_once(board: SmallBoard) -> None:
    for title in ("hair", "smile", "blue eyes", "long hair"):
        await fill(board, [9000, 8000], title)
    for limit in (1, 3):
        assert Counter(await listed(board, limit)) == Counter(
            (title, 2) for title in ("hair", "smile", "blue eyes", "long hair")
        )


async def test_the_worklist_counts_from_a_confidence_on_in_steps(board: SmallBoard) -> None:
    await fill(board, [9000, 8000, 4000], "hair")
    await fill(board, [4000] * 5, "smile")
    await fill(board, [10_000, 9500], "blue eyes")
    assert await listed(board, min_confidence=8000, limit=1) == [("blue eyes", 2), ("hair", 2)]
    assert await listed(board, min_confidence=8400) == [("blue eyes", 2), ("hair", 2)]
    assert await listed(board, min_confidence=8500) == [("blue eyes", 2), ("hair", 1)]
    assert await listed(board, min_confidence=10_000) == [("blue eyes", 2)]


async def test_the_worklist_by_type_title_and_model(
    board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    reimu = await board.store.write(lambda tx: tags.create(tx, title="reimu", type=TagType.CHARACTER))
    board.tags["reimu"] = reimu
    other = await another_model(board)
    await fill(board, [9000] * 4, "hair")
    await fill(board, [9000] * 3, "long hair")
    await fill(board, [9000] * 2, "reimu", version_id=other)
    await fill(board, [9000], "smile")

    assert await listed(board, type=TagType.CHARACTER) == [("reimu", 2)]
    assert await listed(board, search="HAIR") == [("hair", 4), ("long hair", 3)]
    assert await listed(board, search="%") == []
    assert await listed(board, search="_") == []
    assert await listed(board, search="\\") == []
    assert await listed(board, model="other") == [("reimu", 2)]
    assert [title for title, _ in await listed(board, model="wd14")] == ["hair", "long hair", "smile"]
    assert await listed(board, model="wd14", min_confidence=9500) == []
    # A page that may ask two tags only is short, and the next one goes on.
    monkeypatch.setattr(worklist, "PROBED", 2)
    assert await listed(board, model="other", limit=1) == [("reimu", 2)]
    with pytest.raises(InvalidInput):
        await listed(board, model="nobody")


async def test_a_tag_whose_rows_are_all_decided_is_not_listed(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    assert await listed(board) == [("smile", 1)]
    await board.analyse(image_id, {})
    assert await listed(board) == []
