"""Registration, claims, failures, retries and the sweeper's view of images."""

import asyncio

import pytest
from small_board import LEASE, SmallBoard

from orchestrator.errors import InvalidInput, NotFound
from orchestrator.records import ClaimedImage, ImageFailure, ImageSource, ImageState, Priority, SourceKind
from orchestrator.store import images
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

pytestmark = pytest.mark.anyio

SOURCE = ImageSource(SourceKind.URL, "https://board.example/1.png")
TIMEOUT = ImageFailure("fetch_unavailable", "the host took too long")


async def age_claims(store: Store, seconds: float) -> None:
    """Make every claim look older than it is."""
    await store.write(
        lambda tx: tx.execute(
            "UPDATE images SET claimed_at = claimed_at - INTERVAL :s SECOND WHERE claimed_at IS NOT NULL",
            s=seconds,
        )
    )


async def age_queue(store: Store, seconds: float) -> None:
    """Make every image look as if it was queued and enqueued earlier."""
    await store.write(
        lambda tx: tx.execute(
            "UPDATE images SET queued_at = queued_at - INTERVAL :s SECOND,"
            " enqueued_at = enqueued_at - INTERVAL :s SECOND, not_before = not_before - INTERVAL :s SECOND",
            s=seconds,
        )
    )


async def claim(store: Store, *ids: int, lease: float = LEASE) -> list[ClaimedImage]:
    return await store.write(lambda tx: images.claim(tx, ids, lease=lease))


async def test_registering_an_external_id_again_names_the_first_image(board: SmallBoard) -> None:
    first = await board.register(external_id=7)

    again = await board.store.write(
        lambda tx: images.register(
            tx, source=SOURCE, uploader_id=board.tagger.id, external_id=7, priority=Priority.LIVE
        )
    )

    assert (again.id, again.created, again.state) == (first, False, ImageState.QUEUED)


async def test_two_registrations_of_one_external_id_at_once_make_one_image(board: SmallBoard) -> None:
    ids = await asyncio.gather(*(board.register(external_id=7) for _ in range(6)))

    assert len(set(ids)) == 1


async def test_images_without_an_external_id_are_all_different(board: SmallBoard) -> None:
    assert await board.register() != await board.register()


async def test_bulk_registration_is_idempotent_like_single_ones(board: SmallBoard) -> None:
    known = await board.register(external_id=2)
    rows = [
        images.NewImage(SOURCE, board.uploader.id, external_id, Priority.BACKFILL)
        for external_id in (1, 2, None, 1)
    ]

    answers = await board.store.write(lambda tx: images.register_many(tx, rows))

    assert [answer.created for answer in answers] == [True, False, True, False]
    assert answers[1].id == known
    assert answers[0].id == answers[3].id
    assert len({answer.id for answer in answers}) == 3


async def test_an_image_of_nobody_is_refused(board: SmallBoard) -> None:
    with pytest.raises(InvalidInput) as caught:
        await board.store.write(
            lambda tx: images.register(
                tx, source=SOURCE, uploader_id=0, external_id=None, priority=Priority.LIVE
            )
        )

    assert caught.value.code == "unknown_user"


async def test_a_claim_takes_an_image_out_of_the_queue(board: SmallBoard) -> None:
    image_id = await board.register()

    claimed = await board.claim(image_id)

    image = await board.store.read(lambda tx: images.get(tx, image_id))
    assert (claimed.id, claimed.source, claimed.attempts, claimed.priority) == (
        image_id,
        SOURCE,
        1,
        Priority.LIVE,
    )
    assert (image.state, image.attempts) == (ImageState.RUNNING, 1)
    assert await claim(board.store, image_id) == []


async def test_racers_never_claim_an_image_twice(board: SmallBoard) -> None:
    # Given many images, and racers that all want all of them, in whatever order
    ids = [await board.register() for _ in range(40)]

    taken = await asyncio.gather(
        *(claim(board.store, *(ids if racer % 2 else reversed(ids))) for racer in range(12))
    )

    # Then each image was taken once
    assert sorted(image.id for part in taken for image in part) == ids


async def test_an_expired_claim_is_taken_over_and_the_first_holder_changes_nothing(board: SmallBoard) -> None:
    image_id = await board.register()
    first = await board.claim(image_id)
    await age_claims(board.store, LEASE + 1)

    second = await board.claim(image_id)

    assert second.attempts == 2
    assert second.token != first.token
    assert not await board.persist(first, {"smile": 9000})
    assert not await board.store.write(lambda tx: images.finish_failed(tx, image_id, first.token, TIMEOUT))
    assert not await board.store.write(
        lambda tx: images.release_for_retry(tx, image_id, first.token, TIMEOUT, delay=0)
    )
    assert await board.rows(image_id) == {}
    assert await board.persist(second, {"smile": 9000})


async def test_a_renewed_claim_is_not_taken_over(board: SmallBoard) -> None:
    image_id = await board.register()
    claimed = await board.claim(image_id)
    await age_claims(board.store, LEASE + 1)

    assert await board.store.write(lambda tx: images.renew(tx, [image_id], claimed.token)) == 1

    assert await claim(board.store, image_id) == []


async def test_a_failure_ends_an_image_and_says_why(board: SmallBoard) -> None:
    image_id = await board.register()
    claimed = await board.claim(image_id)
    failure = ImageFailure("decode_failed", "not a picture")

    assert await board.store.write(lambda tx: images.finish_failed(tx, image_id, claimed.token, failure))

    image = await board.store.read(lambda tx: images.get(tx, image_id))
    assert (image.state, image.failure) == (ImageState.FAILED, failure)


async def test_a_retry_waits_for_its_moment(board: SmallBoard) -> None:
    image_id = await board.register()
    claimed = await board.claim(image_id)

    await board.store.write(
        lambda tx: images.release_for_retry(tx, image_id, claimed.token, TIMEOUT, delay=30)
    )

    assert await claim(board.store, image_id) == []
    await age_queue(board.store, 31)
    (again,) = await claim(board.store, image_id)
    assert again.attempts == 2


async def due(store: Store, older_than: float = 10.0) -> list[tuple[int, Priority]]:
    return await store.read(lambda tx: images.due_for_sweep(tx, older_than=older_than, limit=10, lease=LEASE))


async def test_the_sweeper_leaves_fresh_images_and_fresh_messages_alone(board: SmallBoard) -> None:
    image_id = await board.register()
    assert await due(board.store) == []

    await age_queue(board.store, 11)
    assert await due(board.store) == [(image_id, Priority.LIVE)]

    await board.store.write(lambda tx: images.mark_enqueued(tx, [image_id]))
    assert await due(board.store) == []

    await age_queue(board.store, 11)
    assert await due(board.store) == [(image_id, Priority.LIVE)]


async def test_the_sweeper_hands_out_a_retry_as_soon_as_its_moment_has_come(board: SmallBoard) -> None:
    image_id = await board.register()
    claimed = await board.claim(image_id)
    await board.store.write(
        lambda tx: images.release_for_retry(tx, image_id, claimed.token, TIMEOUT, delay=30)
    )
    assert await due(board.store, older_than=0) == []

    await age_queue(board.store, 30.5)

    assert await due(board.store, older_than=1000) == [(image_id, Priority.LIVE)]


async def test_the_sweeper_finds_images_whose_worker_died(board: SmallBoard) -> None:
    image_id = await board.register()
    await board.claim(image_id)
    assert await due(board.store, older_than=0) == []

    await age_claims(board.store, LEASE + 1)

    assert await due(board.store, older_than=1000) == [(image_id, Priority.LIVE)]


async def test_live_images_are_swept_before_older_backfill(board: SmallBoard) -> None:
    rows = [images.NewImage(SOURCE, board.uploader.id, None, priority) for priority in reversed(Priority)]
    backfill, live = await board.store.write(lambda tx: images.register_many(tx, rows))
    await age_queue(board.store, 11)

    assert await due(board.store) == [(live.id, Priority.LIVE), (backfill.id, Priority.BACKFILL)]


async def test_requeueing_starts_attempts_anew_and_forgets_the_failure(board: SmallBoard) -> None:
    image_id = await board.register()
    claimed = await board.claim(image_id)
    await board.store.write(lambda tx: images.finish_failed(tx, image_id, claimed.token, TIMEOUT))

    assert await board.store.write(
        lambda tx: images.requeue(tx, image_id, explicit=True, priority=Priority.BACKFILL)
    )

    image = await board.store.read(lambda tx: images.get(tx, image_id))
    assert (image.state, image.attempts, image.failure) == (ImageState.QUEUED, 0, None)
    assert (await board.claim(image_id)).priority is Priority.BACKFILL


async def test_a_running_image_is_not_requeued(board: SmallBoard) -> None:
    image_id = await board.register()
    claimed = await board.claim(image_id)

    assert not await board.store.write(
        lambda tx: images.requeue(tx, image_id, explicit=True, priority=Priority.LIVE)
    )
    assert await board.persist(claimed, {"smile": 9000})


async def test_an_unknown_image_is_not_found(board: SmallBoard) -> None:
    with pytest.raises(NotFound):
        await board.store.read(lambda tx: images.get(tx, 404))
    with pytest.raises(NotFound):
        await board.store.write(lambda tx: images.requeue(tx, 404, explicit=True, priority=Priority.LIVE))


async def test_lists_are_newest_first_page_by_page_and_filtered(board: SmallBoard) -> None:
    bare = await board.register(board.tagger)
    pending = [await board.suggested({"smile": 9000}) for _ in range(3)]

    async def page(tx: Transaction, after_id: int | None) -> list[int]:
        found = await images.list_images(tx, pending_only=True, after_id=after_id, limit=2)
        return [image.id for image in found]

    assert await board.store.read(lambda tx: page(tx, None)) == [pending[2], pending[1]]
    assert await board.store.read(lambda tx: page(tx, pending[1])) == [pending[0]]
    mine = await board.store.read(lambda tx: images.list_images(tx, uploader_id=board.tagger.id))
    assert [(image.id, image.uploader_name) for image in mine] == [(bare, board.tagger.name)]
    queued = await board.store.read(lambda tx: images.list_images(tx, state=ImageState.QUEUED))
    assert [image.id for image in queued] == [bare]


async def test_the_backlog_is_counted_by_state_and_age(board: SmallBoard) -> None:
    assert await board.store.read(images.oldest_queued_age) is None
    await board.register()
    await board.suggested({"smile": 9000})
    await age_queue(board.store, 100)

    counts = await board.store.read(images.counts_by_state)
    age = await board.store.read(images.oldest_queued_age)

    assert counts == {
        ImageState.QUEUED: 1,
        ImageState.RUNNING: 0,
        ImageState.DONE: 1,
        ImageState.FAILED: 0,
        ImageState.IMPORTED: 0,
    }
    assert age is not None
    assert 100 <= age < 130


async def test_images_are_queued_in_the_order_in_which_they_are_named(board: SmallBoard) -> None:
    # Given images that have ended, the most valuable one named first
    ids = [await board.suggested({"smile": 9000}) for _ in range(3)]
    wanted = [ids[1], ids[2], ids[0]]
    # When they are queued, then messages go out in that order
    assert await board.store.write(lambda tx: images.requeue_many(tx, wanted, Priority.BACKFILL)) == wanted
