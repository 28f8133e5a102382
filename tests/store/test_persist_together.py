"""Analyses of many images that are stored in one transaction end as they would one by one."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from small_board import LABELS, TITLES, SmallBoard

from orchestrator.records import Decision, ImageState, Priority, SuggestionView, VerdictRequest
from orchestrator.review.service import review
from orchestrator.store import images, mappings, suggestions
from orchestrator.store.suggestions import Finished

pytestmark = pytest.mark.anyio

KNOWN = [LABELS[index].name for index in TITLES]
MEDIA_TYPES = ("image/png", "image/jpeg", "image/avif")

Scores = dict[str, int]
scores = st.dictionaries(st.sampled_from([*KNOWN, "unheard_of"]), st.integers(500, 10_000), max_size=5)
acts = st.dictionaries(st.sampled_from(sorted(TITLES.values())), st.sampled_from(Decision), max_size=3)
image_lives = st.tuples(scores, acts, scores, st.booleans())


async def live(board: SmallBoard, before: Scores, decided: dict[str, Decision], again: bool) -> int:
    """An image that was analysed and reviewed, and is queued once more; `again`: for a person who asks."""
    image_id = await board.suggested(before)
    for title, decision in decided.items():
        row = (await board.rows(image_id)).get(title)
        if row is not None and row.status == "pending":
            request = VerdictRequest(row.id, row.version, decision)
            await review(board.store, board.moderator, image_id, [request])
    await board.store.write(
        lambda tx: images.requeue(
            tx, image_id, explicit=again, priority=Priority.BACKFILL, asked_by=board.tagger.id
        )
    )
    return image_id


async def finished(board: SmallBoard, image_id: int, found: Scores, number: int) -> Finished:
    analysis = replace(
        board.analysis(found),
        width=17 * (number + 1) ** 3,
        has_alpha=bool(number % 2),
        media_type=MEDIA_TYPES[number % 3],
        sha256=f"{number:02x}" * 32,
    )
    return Finished(await board.claim(image_id), analysis, board.resolution(found))


async def end(board: SmallBoard, image_id: int) -> tuple[object, ...]:
    """All that is stored of an image, but for ids and moments."""

    def plain(view: SuggestionView) -> tuple[object, ...]:
        evidence = tuple((one.external_tag, one.score) for one in view.evidence)
        return view.status, view.score, view.confidence, view.version, view.decided_by, evidence

    image = await board.store.read(lambda tx: images.get(tx, image_id))
    raw = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT model_version_id, label, score FROM raw_predictions WHERE image_id = :id ORDER BY label",
            id=image_id,
        )
    )
    rows = {title: plain(view) for title, view in (await board.rows(image_id)).items()}
    picture = (image.state, image.sha256, image.width, image.height, image.has_alpha, image.media_type)
    return picture, raw, rows, await board.linked(image_id)


@effort(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=st.lists(image_lives, min_size=1, max_size=5))
async def test_together_or_one_by_one_the_end_is_the_same(
    board: SmallBoard, lives: list[tuple[Scores, dict[str, Decision], Scores, bool]]
) -> None:
    # Given the same lives of images, twice
    single = [await live(board, before, decided, again) for before, decided, _, again in lives]
    group = [await live(board, before, decided, again) for before, decided, _, again in lives]
    # When their next analyses are stored, one by one and all together, in an order that is not theirs
    for number, image_id in enumerate(single):
        one = await finished(board, image_id, lives[number][2], number)
        assert await board.store.write(lambda tx, one=one: suggestions.persist_many(tx, [one]))  # type: ignore[misc]
    several = [
        await finished(board, image_id, lives[number][2], number) for number, image_id in enumerate(group)
    ]
    kept = await board.store.write(lambda tx: suggestions.persist_many(tx, several[::-1]))
    # Then every image ends the same, and the counters are right
    assert kept == {one.image for one in several}
    assert [await end(board, i) for i in group] == [await end(board, i) for i in single]
    await board.assert_counters_equal_recount()


async def test_a_lost_claim_costs_only_its_own_image(board: SmallBoard) -> None:
    # Given two finished analyses, one of an image that somebody else has taken over
    kept_id, lost_id = await board.register(), await board.register()
    kept = await finished(board, kept_id, {"smile": 9000, "unheard_of": 7000}, 1)
    lost = await finished(board, lost_id, {"smile": 8000, "unheard_of": 7000}, 2)
    lost = replace(lost, image=replace(lost.image, token="00" * 16))
    # When both are stored together
    answer = await board.store.write(lambda tx: suggestions.persist_many(tx, [kept, lost]))
    # Then the one is stored, and of the other nothing
    assert answer == {kept.image}
    assert set(await board.rows(kept_id)) == {"smile"}
    assert not await board.rows(lost_id)
    states = await board.store.read(lambda tx: images.get_many(tx, [kept_id, lost_id]))
    assert [image.state for image in states] == [ImageState.DONE, ImageState.RUNNING]
    unmapped = await board.store.read(mappings.list_unmapped)
    assert [(one.external_tag, one.images) for one in unmapped] == [("unheard_of", 1)]
