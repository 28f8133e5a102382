"""Storing an analysis: what becomes of suggestions, evidence and counters when the rules run again."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from small_board import LABELS, TITLES, SmallBoard, version

from orchestrator.records import (
    Decision,
    Eligibility,
    ImageState,
    RawPrediction,
    VerdictRequest,
    VersionState,
)
from orchestrator.review.service import review
from orchestrator.store import counters, images, links, mappings, models, suggestions
from orchestrator.store.transaction import Transaction

pytestmark = pytest.mark.anyio

SCORES = {"long_hair": 8000, "smile": 9000, "unheard_of": 7000}


async def decide(board: SmallBoard, image_id: int, title: str, decision: Decision) -> None:
    row = (await board.rows(image_id))[title]
    request = VerdictRequest(row.id, row.version, decision)
    outcome = await review(board.store, board.moderator, image_id, [request])
    assert outcome.batch_id is not None


async def unlink(board: SmallBoard, image_id: int, title: str) -> None:
    """Someone removes a tag from the image, outside the desk."""

    async def work(tx: Transaction) -> None:
        tag_id = board.tags[title].id
        await tx.execute(
            "DELETE FROM tag_links WHERE image_id = :image_id AND tag_id = :tag_id",
            image_id=image_id,
            tag_id=tag_id,
        )
        deltas = counters.Deltas()
        deltas.links(tag_id, -1)
        await deltas.apply(tx)

    await board.store.write(work)


async def link(board: SmallBoard, image_id: int, title: str) -> None:
    """Someone tags the image, outside the desk."""

    async def work(tx: Transaction) -> None:
        deltas = counters.Deltas()
        for tag_id in await links.link(
            tx, image_id, [board.tags[title].id], user_id=None, origin=links.LinkOrigin.BOARD
        ):
            deltas.links(tag_id, 1)
        await deltas.apply(tx)

    await board.store.write(work)


async def test_an_analysis_ends_its_image_and_shows_what_was_proposed(board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)

    image = await board.store.read(lambda tx: images.get(tx, image_id))
    rows = await board.rows(image_id)
    assert (image.state, image.width, image.height, image.media_type) == (
        ImageState.DONE,
        640,
        480,
        "image/png",
    )
    assert image.sha256 == "ab" * 32
    assert image.analysed_at is not None
    assert list(rows) == ["smile", "long hair"]
    smile = rows["smile"]
    assert (smile.status, smile.score, smile.confidence, smile.version) == ("pending", 9000, 9000, 1)
    assert (smile.model_source, smile.model_name, smile.model_version) == ("danbooru", "wd14", 1)
    assert [(item.external_tag, item.score) for item in smile.evidence] == [("smile", 9000)]
    await board.assert_counters_equal_recount()


async def test_raw_scores_and_ratings_are_kept_per_version(board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)
    await board.analyse(image_id, {"smile": 8500})

    raw = await board.store.read(
        lambda tx: tx.fetch_rows("SELECT image_id, model_version_id, label, score FROM raw_predictions")
    )
    analyses = await board.store.read(
        lambda tx: tx.fetch_rows("SELECT image_id, model_version_id, rating FROM analyses")
    )

    assert raw == [(image_id, board.version_id, 4, 8500)]
    assert analyses == [(image_id, board.version_id, "general")]


async def test_changed_scores_raise_the_version_and_move_the_counters(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000, "long_hair": 8000})

    await board.analyse(image_id, {"smile": 6000, "long_hair": 8000})

    rows = await board.rows(image_id)
    assert (rows["smile"].score, rows["smile"].version) == (6000, 2)
    assert rows["long hair"].version == 1
    await board.assert_counters_equal_recount()


async def test_pending_rows_that_are_no_longer_proposed_go(board: SmallBoard) -> None:
    image_id = await board.suggested(SCORES)

    await board.analyse(image_id, {"smile": 9000})

    assert await board.statuses(image_id) == {"smile": "pending"}
    await board.assert_counters_equal_recount()


async def test_what_people_decided_survives_another_analysis(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000, "blue_eyes": 9000, "long_hair": 9000, "hair": 8000})
    await decide(board, image_id, "smile", Decision.REJECT)
    await decide(board, image_id, "blue eyes", Decision.APPROVE)
    await decide(board, image_id, "long hair", Decision.APPROVE)  # clears `hair`
    before = await board.rows(image_id)

    await board.analyse(image_id, {"smile": 9900, "blue_eyes": 9900, "hair": 9900}, explicit=True)

    after = await board.rows(image_id)
    assert {title: str(row.status) for title, row in after.items()} == {
        "smile": "rejected",
        "blue eyes": "approved",
        "long hair": "approved",
        "hair": "cleared",
    }
    assert {t: (r.version, r.score) for t, r in after.items()} == {
        t: (r.version, r.score) for t, r in before.items()
    }
    await board.assert_counters_equal_recount()


async def test_a_new_version_adds_evidence_to_a_rejected_row_and_nothing_else(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    await decide(board, image_id, "smile", Decision.REJECT)
    board.version_id = await board.store.write(
        lambda tx: models.insert_version(tx, version(number=2), state=VersionState.STAGED)
    )

    await board.analyse(image_id, {"smile": 9500})

    row = (await board.rows(image_id))["smile"]
    assert (row.status, row.version, row.score) == ("rejected", 2, 9000)
    assert {(item.model_version, item.score) for item in row.evidence} == {(1, 9000), (2, 9500)}


async def test_an_approved_tag_that_lost_its_link_returns_only_when_a_person_asks(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    await decide(board, image_id, "smile", Decision.APPROVE)
    await unlink(board, image_id, "smile")

    await board.analyse(image_id, {"smile": 9000})
    assert await board.statuses(image_id) == {"smile": "approved"}

    await board.analyse(image_id, {"smile": 9000}, explicit=True)
    row = (await board.rows(image_id))["smile"]
    assert (row.status, row.version, row.decided_by) == ("pending", 3, None)
    await board.assert_counters_equal_recount()


async def test_a_tag_that_was_linked_meanwhile_is_not_proposed_nor_its_ancestors(board: SmallBoard) -> None:
    # Given an image whose rules ran before someone tagged it
    image_id = await board.register()
    claimed = await board.claim(image_id)
    await link(board, image_id, "long hair")

    assert await board.persist(claimed, {"very_long_hair": 5000, "long_hair": 9000, "hair": 9000})

    assert await board.statuses(image_id) == {"very long hair": "pending"}
    await board.assert_counters_equal_recount()


async def test_a_link_on_an_alias_counts_for_its_canonical_tag(board: SmallBoard) -> None:
    image_id = await board.register()
    claimed = await board.claim(image_id)
    await link(board, image_id, "grin")

    assert await board.persist(claimed, {"smile": 9000})

    assert await board.statuses(image_id) == {}


async def test_hidden_images_keep_raw_scores_and_have_nothing_pending(board: SmallBoard) -> None:
    image_id = await board.suggested({"smile": 9000})
    await board.store.write(
        lambda tx: tx.execute(
            "UPDATE images SET eligibility = :e WHERE id = :id", e=Eligibility.REPOST, id=image_id
        )
    )

    await board.analyse(image_id, {"smile": 9000})

    assert await board.statuses(image_id) == {}
    raw = await board.store.read(lambda tx: tx.fetch_rows("SELECT score FROM raw_predictions"))
    assert raw == [(9000,)]
    await board.assert_counters_equal_recount()


async def test_an_unmapped_name_counts_once_an_image_and_version(board: SmallBoard) -> None:
    first = await board.suggested(SCORES)
    await board.analyse(first, {"unheard_of": 9900})
    await board.suggested(SCORES)

    (unmapped,) = await board.store.read(mappings.list_unmapped)

    assert (unmapped.external_tag, unmapped.images, unmapped.max_score) == ("unheard_of", 2, 7000)


async def test_an_analysis_without_models_still_ends_the_image(board: SmallBoard) -> None:
    image_id = await board.register()
    claimed = await board.claim(image_id)
    empty = replace(board.analysis({}), model_version_ids=(), raw=(), ratings=())

    assert await board.store.write(lambda tx: suggestions.persist(tx, claimed, empty, board.resolution({})))

    assert (await board.store.read(lambda tx: images.get(tx, image_id))).state is ImageState.DONE


async def test_all_raw_scores_of_a_large_vocabulary_are_stored(board: SmallBoard) -> None:
    image_id = await board.register()
    claimed = await board.claim(image_id)
    raw = tuple(RawPrediction(board.version_id, label, 500 + label) for label in range(2500))
    wide = replace(board.analysis({}), raw=raw)

    await board.store.write(lambda tx: suggestions.persist(tx, claimed, wide, board.resolution({})))

    stored = await board.store.read(
        lambda tx: tx.fetch_rows("SELECT label, score FROM raw_predictions ORDER BY label")
    )
    assert stored == [(item.label, item.score) for item in raw]


scores = st.dictionaries(
    st.sampled_from([LABELS[index].name for index in TITLES]), st.integers(500, 10_000), max_size=5
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("analyse"), scores, st.booleans()),
        st.tuples(st.just("decide"), st.sampled_from(sorted(TITLES.values())), st.sampled_from(Decision)),
        st.tuples(st.just("unlink"), st.sampled_from(sorted(TITLES.values())), st.none()),
    ),
    max_size=6,
)


@effort(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=steps, last=scores)
async def test_whatever_happened_counters_are_right_and_repeating_an_analysis_changes_nothing(
    board: SmallBoard, steps: list[tuple[str, object, object]], last: dict[str, int]
) -> None:
    image_id = await board.register()
    for what, subject, how in steps:
        if what == "analyse":
            await board.analyse(image_id, subject, explicit=how)  # type: ignore[arg-type]
        elif what == "unlink" and subject in await board.linked(image_id):
            await unlink(board, image_id, subject)  # type: ignore[arg-type]
        elif what == "decide":
            row = (await board.rows(image_id)).get(subject)  # type: ignore[call-overload]
            if row is not None and row.status == "pending":
                await decide(board, image_id, subject, how)  # type: ignore[arg-type]
    await board.analyse(image_id, last)
    once = await board.rows(image_id)
    counted = await board.store.read(counters.load)

    await board.analyse(image_id, last)

    assert await board.rows(image_id) == once
    assert await board.store.read(counters.load) == counted
    await board.assert_counters_equal_recount()
    redundant = await board.linked(image_id)
    assert not [title for title, row in once.items() if row.status == "pending" and title in redundant]
