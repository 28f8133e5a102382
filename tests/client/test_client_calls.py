"""What a program does with the client: it reviews, walks lists, sends pictures, and is told what is wrong."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from edge import Edge, answering
from PIL import Image
from serving import ADDRESS
from small_board import SmallBoard

from orchestrator.client import ApiError, Client, every, pages
from orchestrator.errors import InvalidInput
from orchestrator.records import Decision, ImageState, JobState, RejectReason, Role, TagType, VerdictOutcome
from orchestrator.review import bulk, bulk_undo
from orchestrator.review.jobs import JobRunner
from orchestrator.wire.bulk import BulkFilter, BulkReviewRequest, JobAnswer, JobsQuery
from orchestrator.wire.queues import QueueQuery, WorklistQuery
from orchestrator.wire.requests import (
    DecisionItem,
    ImagesQuery,
    ReviewRequest,
    SuggestionsQuery,
)
from orchestrator.wire.schemas import UndoAnswer
from orchestrator.wire.tags import NewTagRequest, TagEditRequest, TagsQuery

pytestmark = pytest.mark.anyio


async def test_a_tag_is_worked_off(client: Client, board: SmallBoard) -> None:
    """Given pending rows, when a program takes the worklist's first tag, decides on its rows and undoes
    it, then each answer says what really happened."""
    for n in range(3):
        await board.suggested({"smile": 9000 - n})
    (tag,) = [one async for one in every(client.show_worklist, WorklistQuery(type=TagType.THEME))]
    rows = [one async for one in every(client.show_queue, QueueQuery(tag_id=tag.tag.id))]
    assert (tag.tag.title, tag.pending, len(rows)) == ("smile", 3, 3)
    first, *others = rows
    done = await client.review_across_images(
        ReviewRequest(
            decisions=(
                DecisionItem(
                    suggestion_id=first.id,
                    version=first.version,
                    decision=Decision.REJECT,
                    reason=RejectReason.NOT_WANTED,
                ),
                *(
                    DecisionItem(suggestion_id=one.id, version=one.version, decision=Decision.APPROVE)
                    for one in others
                ),
            )
        )
    )
    assert {one.outcome for one in done.results} == {VerdictOutcome.APPLIED}
    assert done.batch_id is not None
    undone = await client.undo_batch(done.batch_id)
    assert isinstance(undone, UndoAnswer)
    assert (undone.undone_batch_id, len(undone.results)) == (done.batch_id, 3)
    assert (await client.show_worklist()).items[0].pending == 3


async def test_lists_are_walked_page_by_page(client: Client, board: SmallBoard, edge: Edge) -> None:
    ids = [await board.suggested({"smile": 9000, "hair": 8000}) for _ in range(5)]
    found = [one.id async for one in every(client.list_images, ImagesQuery(pending=True, limit=2))]
    assert found == ids[::-1]
    assert len(edge.seen) == 3
    sizes = [len(page.items) async for page in pages(client.list_tags, TagsQuery(limit=4))]
    assert sizes == [4, 2]
    of_one = partial(client.list_suggestions, ids[0])
    titles = [one.tag.title async for one in every(of_one, SuggestionsQuery(limit=1))]
    assert titles == ["smile", "hair"]


async def test_a_review_by_filter_is_looked_at_confirmed_and_stopped(
    client: Client, board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given more rows than are decided at once, when a program looks, says yes and thinks better of it, then
    the job stops; and undoing a large batch is a job, too."""
    for module in (bulk, bulk_undo):
        monkeypatch.setattr(module, "AT_ONCE", 2)
    for _ in range(3):
        await board.suggested({"smile": 9000})
    order = BulkReviewRequest(decision=Decision.APPROVE, filter=BulkFilter(tag_ids=(board.tags["smile"].id,)))

    async def start() -> JobAnswer:
        look = (await client.batch_review(order)).look
        assert look is not None
        assert (look.count, look.at_once) == (3, False)
        job = (await client.batch_review(order.model_copy(update={"confirmation": look.confirmation}))).job
        assert job is not None
        return job

    stopped = await client.cancel_review_job((await start()).id)
    assert (stopped.state, stopped.changed) == (JobState.CANCELLED, 0)
    job = await start()
    while await JobRunner(board.store).work():
        pass
    assert (await client.show_review_job(job.id)).changed == 3
    assert [one.id async for one in every(client.list_review_jobs, JobsQuery(limit=1))] == [
        job.id,
        stopped.id,
    ]
    assert isinstance(await client.undo_batch(job.batch_id), JobAnswer)


async def test_a_picture_is_sent_as_bytes_or_as_a_file(
    client: Client, board: SmallBoard, tmp_path: Path
) -> None:
    file = tmp_path / "picture.png"
    Image.new("RGB", (32, 32), "teal").save(file)
    first = await client.register_image(file, external_id=4711)
    assert (first.created, first.external_id, first.status) == (True, 4711, ImageState.QUEUED)
    again = await client.register_image(file.read_bytes(), external_id=4711)
    assert (again.id, again.created) == (first.id, False)
    assert await client.show_picture(first.id) == file.read_bytes()


async def test_left_out_is_not_null(client: Client, board: SmallBoard) -> None:
    """Given a tag with a parent, when only its title is edited, then it keeps the parent; null takes it
    away."""
    tag = board.tags["long hair"]
    renamed = await client.edit_tag(tag.id, TagEditRequest(title="hair, long"))
    assert (renamed.tag.title, renamed.tag.parent_id) == ("hair, long", board.tags["hair"].id)
    assert (await client.edit_tag(tag.id, TagEditRequest(parent_id=None))).tag.parent_id is None


async def test_a_refusal_says_what_and_where(client: Client, client_of: Callable[..., Client]) -> None:
    with pytest.raises(ApiError) as missing:
        await client.show_image(404)
    assert (missing.value.status, missing.value.code) == (404, "image_not_found")
    assert len(missing.value.request_id) >= 8
    with pytest.raises(ApiError) as unfit:
        await client.list_images(ImagesQuery.model_construct(limit=1000))
    assert unfit.value.code == "invalid_request"
    assert [one.pointer for one in unfit.value.errors] == ["/limit"]
    assert "/limit" in str(unfit.value)
    async with client_of(Role.TAGGER) as tagger:
        with pytest.raises(ApiError) as forbidden:
            await tagger.create_tag(NewTagRequest(title="new", type=TagType.THEME))
    assert (forbidden.value.status, forbidden.value.code) == (403, "role_forbids")


async def test_a_lost_race_carries_its_results(
    client: Client, client_of: Callable[..., Client], board: SmallBoard
) -> None:
    """Given a row that a tagger has rejected, when a moderator decides on the version before, then the error
    says who decided what."""
    image_id = await board.suggested({"smile": 9000})
    (row,) = (await client.list_suggestions(image_id)).items

    def decide(decision: Decision) -> ReviewRequest:
        return ReviewRequest(
            decisions=(DecisionItem(suggestion_id=row.id, version=row.version, decision=decision),)
        )

    async with client_of(Role.TAGGER) as tagger:
        await tagger.review_suggestions(image_id, decide(Decision.REJECT))
    with pytest.raises(ApiError) as lost:
        await client.review_suggestions(image_id, decide(Decision.APPROVE))
    assert (lost.value.status, lost.value.code) == (409, "stale_version")
    (result,) = lost.value.results
    assert (result.outcome, result.status) == (VerdictOutcome.CONFLICT, "rejected")
    assert result.decided_by == board.tagger.name
    assert lost.value.counts is not None
    assert lost.value.counts.rejected == 1


async def test_what_is_no_tagdesk_is_called_so(client: Client, edge: Edge) -> None:
    edge.before += [answering(200, "<html>welcome</html>"), answering(302), answering(404, "nothing here")]
    for status in (200, 302, 404):
        with pytest.raises(ApiError) as error:
            await client.health_live()
        assert (error.value.status, error.value.code) == (status, "api_error")


async def test_a_newer_api_may_say_more(client: Client, edge: Edge) -> None:
    edge.before.append(answering(200, '{"status": "ok", "version": "9.0", "mood": "good"}'))
    assert (await client.health_live()).version == "9.0"


async def test_what_is_not_ready_is_an_answer(client: Client, board: SmallBoard) -> None:
    """Given a model version that Triton does not serve, then health is told, not raised."""
    assert not (await client.health_ready()).ready


@pytest.mark.parametrize(
    ("url", "token"),
    [
        (ADDRESS, ""),
        (ADDRESS, "td_…"),
        (ADDRESS, "a\nb"),
        ("", "t"),
        ("127.0.0.1:8080", "t"),
        ("ftp://a", "t"),
    ],
)
async def test_what_can_be_no_address_or_token(url: str, token: str) -> None:
    with pytest.raises(InvalidInput):
        Client(url, token)
