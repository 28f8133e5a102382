"""What the client tries again, and what it must not."""

import time
from collections.abc import Callable

import pytest
from edge import Edge, Failure, answering, cut, refused, silent
from serving import ADDRESS, Api
from small_board import SmallBoard

from orchestrator.client import ApiError, ApiUnavailable, Client
from orchestrator.records import Decision, Role
from orchestrator.wire.requests import DecisionItem, RegisterImage, ReviewRequest

pytestmark = pytest.mark.anyio

away = answering(503)


@pytest.fixture
async def review(board: SmallBoard, client: Client) -> ReviewRequest:
    """An approval of the only suggestion there is."""
    image_id = await board.suggested({"smile": 9000})
    (row,) = (await client.list_suggestions(image_id)).items
    decision = DecisionItem(suggestion_id=row.id, version=row.version, decision=Decision.APPROVE)
    return ReviewRequest(decisions=(decision,))


@pytest.mark.parametrize("failure", [refused, cut, silent, away])
async def test_a_question_is_asked_again(client: Client, edge: Edge, failure: Failure) -> None:
    edge.before += [failure, failure]
    assert (await client.list_tags()).items
    assert len(edge.seen) == 3


@pytest.mark.parametrize("failure", [cut, silent, away])
async def test_a_lost_answer_is_asked_for_under_the_same_key(
    client: Client, edge: Edge, board: SmallBoard, review: ReviewRequest, failure: Failure
) -> None:
    """Given a review whose answer is lost on the way back, when the client asks again, then it gets the
    answer of the first time, and the verdict is there once."""
    edge.seen.clear()
    edge.after += [failure, failure]
    done = await client.review_across_images(review)
    assert [one.outcome for one in done.results] == ["applied"]
    assert len(edge.keys) == 3
    assert len(set(edge.keys)) == 1
    assert edge.keys[0]
    verdicts = await board.store.read(lambda tx: tx.fetch_rows("SELECT id FROM verdicts"))
    assert len(verdicts) == 1
    await board.assert_counters_equal_recount()


async def test_an_upload_is_sent_again_as_it_was(client: Client, edge: Edge) -> None:
    edge.after.append(cut)
    sent = await client.register_image(b"some bytes", external_id=7)
    first, second = edge.seen
    assert first.read() == second.read()
    assert edge.keys[0] == edge.keys[1]
    assert (await client.show_image(sent.id)).external_id == 7


async def test_every_call_has_a_key_of_its_own_unless_it_is_given_one(client: Client, edge: Edge) -> None:
    picture = RegisterImage(url="https://board.example/1.png")
    ids = [(await client.register_image(picture)).id for _ in range(2)]
    assert len(set(edge.keys)) == 2
    ids += [(await client.register_image(picture, key="mine")).id for _ in range(2)]
    assert edge.keys[2:] == ["mine", "mine"]
    assert len(set(ids)) == 3


async def test_what_is_not_safe_to_repeat_is_not_repeated(
    client: Client, edge: Edge, review: ReviewRequest
) -> None:
    """Given an undo, which takes no key, when it may have been done, then the caller hears so at once; when
    it cannot have arrived it is sent again."""
    batch_id = (await client.review_across_images(review)).batch_id
    assert batch_id is not None
    for failure, kind in ((cut, ApiUnavailable), (silent, ApiUnavailable), (away, ApiError)):
        edge.seen.clear()
        edge.before.append(failure)
        with pytest.raises(kind):
            await client.undo_batch(batch_id)
        assert len(edge.seen) == 1
    edge.before.append(refused)
    undone = await client.undo_batch(batch_id)
    assert undone.batch_id is not None


@pytest.mark.parametrize("failure", [answering(400), answering(500), answering(502)])
async def test_what_asking_again_would_not_mend_is_not_asked_again(
    client: Client, edge: Edge, failure: Failure
) -> None:
    edge.before.append(failure)
    with pytest.raises(ApiError):
        await client.list_tags()
    assert len(edge.seen) == 1


async def test_the_api_says_how_long_to_wait(client: Client, edge: Edge) -> None:
    edge.before.append(answering(503, Retry_After="1"))
    start = time.monotonic()
    await client.list_tags()
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize(("failure", "kind"), [(refused, ApiUnavailable), (away, ApiError)])
async def test_patience_ends(
    client_of: Callable[..., Client], edge: Edge, failure: Failure, kind: type[Exception]
) -> None:
    async with client_of(patience=0.5) as client:
        edge.before += [failure] * 100
        start = time.monotonic()
        with pytest.raises(kind):
            await client.list_tags()
        assert time.monotonic() - start < 1
        assert len(edge.seen) > 1
        # And nobody waits for longer than that because the API asks for it
        edge.seen.clear()
        edge.before.clear()
        edge.before.append(answering(503, Retry_After="60"))
        with pytest.raises(ApiError):
            await client.list_tags()
        assert len(edge.seen) == 1


async def test_nobody_listens(api: Api) -> None:
    async with Client("http://127.0.0.1:1", api.tokens[Role.TAGGER], patience=0) as client:
        with pytest.raises(ApiUnavailable) as error:
            await client.list_tags()
    assert "http://127.0.0.1:1" in str(error.value)
    assert ADDRESS not in str(error.value)
