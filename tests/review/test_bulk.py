"""Reviewing by filter: a look first, a yes to what was seen, one batch that is taken back as one."""

from collections import Counter
from dataclasses import replace

import pytest
from queue_board import another_model, fill
from small_board import SmallBoard

from orchestrator.errors import Conflict, Forbidden, InvalidInput
from orchestrator.records import (
    Decision,
    JobKind,
    JobState,
    RejectReason,
    UndoneAs,
    UndoOutcome,
    User,
    VerdictRequest,
)
from orchestrator.review import bulk, bulk_undo, confirmation, jobs
from orchestrator.review.bulk import BulkOrder, Preview
from orchestrator.review.confirmation import Confirmations
from orchestrator.review.service import review_many
from orchestrator.store import batches, consistency, selection
from orchestrator.store import jobs as stored
from orchestrator.store.jobs import Job
from orchestrator.store.selection import Place, Selection

pytestmark = pytest.mark.anyio

APPROVE, REJECT = Decision.APPROVE, Decision.REJECT


async def look(board: SmallBoard, order: BulkOrder, by: User | None = None) -> Preview:
    return await bulk.look(
        board.store, by or board.moderator, order, Confirmations.from_settings(board.settings)
    )


async def confirm(board: SmallBoard, order: BulkOrder, token: str | None, by: User | None = None) -> Job:
    assert token is not None
    return await bulk.confirm(
        board.store, by or board.moderator, order, token, Confirmations.from_settings(board.settings)
    )


async def run(board: SmallBoard, order: BulkOrder) -> Job:
    return await confirm(board, order, (await look(board, order)).confirmation)


async def finish(board: SmallBoard, job: Job) -> Job:
    """Let the keeper's part work until nothing is left."""
    runner = jobs.JobRunner(board.store)
    while await runner.work():
        pass
    return await board.store.read(lambda tx: stored.get(tx, job.id))


async def of_status(board: SmallBoard, status: str) -> Counter[str]:
    rows = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT t.title, COUNT(*) FROM suggestions s JOIN tags t ON t.id = s.tag_id"
            " WHERE s.status = :status GROUP BY t.title",
            status=status,
        )
    )
    return Counter(dict(rows))


async def assert_sound(board: SmallBoard) -> None:
    """Every invariant of the review holds."""
    assert await board.store.read(consistency.violations) == ()


def smiles(board: SmallBoard, decision: Decision = APPROVE, **more: object) -> BulkOrder:
    return replace(BulkOrder(decision, tag_ids=(board.tags["smile"].id,)), **more)  # type: ignore[arg-type]


async def test_a_look_says_how_many_and_changes_nothing(board: SmallBoard) -> None:
    """Given rows of several tags, when somebody looks by a filter, then it says how many match and shows some
    of them, and everything is as before."""
    await fill(board, [9000, 8000, 4000])
    await fill(board, [9500], "hair")
    await fill(board, [3000], exploration=True)
    seen = await look(board, smiles(board, min_confidence=5000))
    assert (seen.count, seen.at_once) == (2, True)
    assert sorted(row.confidence for row in seen.samples) == [8000, 9000]
    assert {row.tag.title for row in seen.samples} == {"smile"}
    assert await of_status(board, "pending") == {"smile": 4, "hair": 1}
    nothing = await look(board, smiles(board, min_confidence=9900))
    assert (nothing.count, nothing.samples, nothing.confirmation) == (0, (), None)


async def test_every_part_of_a_filter_counts(board: SmallBoard) -> None:
    other = await another_model(board)
    await fill(board, [9000, 4000])
    await fill(board, [9000], version_id=other)
    await fill(board, [9000], "hair")
    await fill(board, [9000], exploration=True)
    images = [await board.suggested({"smile": 9000, "hair": 6000}), await board.suggested({"hair": 9000})]
    smile, hair = board.tags["smile"].id, board.tags["hair"].id

    async def counted(**filters: object) -> int:
        return (await look(board, BulkOrder(APPROVE, **filters))).count  # type: ignore[arg-type]

    assert await counted(tag_ids=(smile,)) == 4
    assert await counted(tag_ids=(smile, hair)) == 7
    assert await counted(min_confidence=1) == 7
    assert await counted(min_confidence=6001) == 5
    assert await counted(model="other") == 1
    assert await counted(model="other", tag_ids=(hair,)) == 0
    assert await counted(image_ids=tuple(images)) == 3
    assert await counted(image_ids=tuple(images), tag_ids=(hair,), min_confidence=7000) == 1
    assert await counted(image_ids=(10**9,)) == 0


async def test_a_yes_decides_what_was_seen_as_one_batch(board: SmallBoard) -> None:
    await fill(board, [9000, 8000, 4000])
    order = smiles(board, min_confidence=5000)
    job = await run(board, order)
    assert (job.state, job.total, job.processed, job.changed) == (JobState.DONE, 2, 2, 2)
    assert await of_status(board, "approved") == {"smile": 2}
    batch = await board.store.read(lambda tx: batches.get(tx, job.batch_id))
    assert (batch.kind, batch.user_id) == (bulk.KIND, board.moderator.id)
    await assert_sound(board)


async def test_a_rejection_carries_its_reason(board: SmallBoard) -> None:
    await fill(board, [4000, 3900])
    await run(board, smiles(board, REJECT, reason=RejectReason.OTHER, note="not on this board"))
    rows = await board.store.read(lambda tx: tx.fetch_rows("SELECT reason, note FROM verdicts"))
    assert rows == [("other", "not on this board")] * 2


async def test_the_same_yes_again_is_the_same_job(board: SmallBoard) -> None:
    await fill(board, [9000, 8000])
    order = smiles(board)
    token = (await look(board, order)).confirmation
    first = await confirm(board, order, token)
    await fill(board, [9000])
    again = await confirm(board, order, token)
    assert again.id == first.id
    assert await of_status(board, "pending") == {"smile": 1}


async def test_a_yes_is_to_what_was_seen_only(board: SmallBoard) -> None:
    """Given a confirmation, then it is worth nothing for another decision, filter or person, nor when it was
    made elsewhere; rows that came after the look are left alone; when more match than were seen, it says
    so."""
    ids = await fill(board, [9000, 8000])
    order = smiles(board)
    token = (await look(board, order)).confirmation
    assert token is not None
    admin = replace(board.moderator, id=board.moderator.id + 1000)
    elsewhere = Confirmations(b"another key").seal(
        Confirmations.from_settings(board.settings).open(
            token, user_id=board.moderator.id, request=bulk._fingerprint(order)
        )
    )
    for wrong, who, said in (
        (smiles(board, REJECT), board.moderator, token),
        (smiles(board, min_confidence=1), board.moderator, token),
        (order, admin, token),
        (order, board.moderator, elsewhere),
        (order, board.moderator, "nonsense"),
        (order, board.moderator, token[:-1]),
    ):
        with pytest.raises(InvalidInput) as refused:
            await confirm(board, wrong, said, who)
        assert refused.value.code == "bad_confirmation"

    rejected = [VerdictRequest(ids[0], 1, REJECT)]
    outcome = await review_many(board.store, board.tagger, rejected)
    later = await fill(board, [9900])
    few = await look(board, order)
    assert few.count == 2
    assert outcome.batch_id is not None
    until = (await look(board, order)).confirmation  # one of the first two is decided, the third is there
    await bulk_undo.take_back(board.store, board.moderator, outcome.batch_id)
    with pytest.raises(Conflict) as grew:
        await confirm(board, order, until)
    assert grew.value.code == "selection_grew"
    job = await confirm(board, order, token)
    assert (job.total, job.changed) == (2, 2)
    rows = await board.store.read(
        lambda tx: tx.fetch_rows("SELECT status FROM suggestions WHERE id IN :ids", ids=later)
    )
    assert rows == [("pending",)]


async def test_a_yes_does_not_keep(board: SmallBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(board, [9000])
    monkeypatch.setattr(confirmation, "LIFETIME", -1)
    order = smiles(board)
    token = (await look(board, order)).confirmation
    with pytest.raises(Conflict) as late:
        await confirm(board, order, token)
    assert late.value.code == "confirmation_expired"
    assert await of_status(board, "pending") == {"smile": 1}


async def test_who_may_and_what_makes_no_sense(board: SmallBoard) -> None:
    with pytest.raises(Forbidden):
        await look(board, smiles(board), board.tagger)
    for order, code in (
        (BulkOrder(APPROVE), "empty_filter"),
        (smiles(board, reason=RejectReason.WRONG), "bad_reason"),
        (smiles(board, REJECT, reason=RejectReason.OTHER), "note_missing"),
        (smiles(board, REJECT, note="x" * 501), "note_too_long"),
        (smiles(board, model="nobody"), "unknown_model"),
    ):
        with pytest.raises(InvalidInput) as refused:
            await look(board, order)
        assert refused.value.code == code


async def test_a_large_one_runs_as_a_job_in_chunks_and_is_taken_back_as_one(
    board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given more rows than one transaction takes, on images with several of them, when they are approved
    by filter, then a job does it chunk by chunk in one batch with its progress to be seen; undoing the batch,
    again as a job, leaves all as it was."""
    monkeypatch.setattr(bulk, "AT_ONCE", 3)
    monkeypatch.setattr(bulk_undo, "AT_ONCE", 3)
    monkeypatch.setattr(bulk_undo, "CHUNK", 4)
    for _ in range(7):
        await board.suggested({"hair": 9000, "long_hair": 8000, "smile": 7000, "blue_eyes": 2000})
    before = await of_status(board, "pending")
    order = BulkOrder(APPROVE, min_confidence=5000)
    seen = await look(board, order)
    assert (seen.count, seen.at_once) == (21, False)
    job = await confirm(board, order, seen.confirmation)
    assert (job.state, job.total, job.processed) == (JobState.QUEUED, 21, 0)

    async def chunk(tx):  # type: ignore[no-untyped-def]
        await bulk.judge_chunk(tx, await stored.lock(tx, job.id), limit=5)
        return await stored.get(tx, job.id)

    part = await board.store.write(chunk)
    assert (part.state, part.processed, part.changed) == (JobState.RUNNING, 5, 5)
    with pytest.raises(Conflict) as busy:
        await bulk_undo.take_back(board.store, board.moderator, job.batch_id)
    assert busy.value.code == "job_running"

    done = await finish(board, job)
    assert (done.state, done.processed, done.changed) == (JobState.DONE, 21, 21)
    assert await of_status(board, "approved") == {"hair": 7, "long hair": 7, "smile": 7}
    rows = await board.store.read(
        lambda tx: tx.fetch_rows("SELECT batch_id, decision, COUNT(*) FROM verdicts GROUP BY 1, 2")
    )
    assert rows == [(job.batch_id, "approve", 21)]
    await assert_sound(board)

    undoing = await bulk_undo.take_back(board.store, board.moderator, job.batch_id)
    assert isinstance(undoing, Job)
    assert (undoing.kind, undoing.target_batch_id, undoing.total) == (JobKind.UNDO, job.batch_id, 21)
    again = await bulk_undo.take_back(board.store, board.moderator, job.batch_id)
    assert isinstance(again, Job)
    assert again.id == undoing.id
    ended = await finish(board, undoing)
    assert (ended.state, ended.processed, ended.changed) == (JobState.DONE, 21, 21)
    assert await of_status(board, "pending") == before
    assert await of_status(board, "approved") == {}
    batch = await board.store.read(lambda tx: batches.get(tx, job.batch_id))
    assert batch.undone_by == undoing.batch_id
    await assert_sound(board)
    nothing = await bulk_undo.take_back(board.store, board.moderator, job.batch_id)
    assert isinstance(nothing, UndoOutcome)
    assert nothing.results == ()


async def test_cascades_and_newer_verdicts_within_a_large_undo(
    board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_undo, "AT_ONCE", 1)
    monkeypatch.setattr(bulk_undo, "CHUNK", 1)
    images = [await board.suggested({"hair": 9000, "long_hair": 8000}) for _ in range(3)]
    job = await run(board, BulkOrder(APPROVE, tag_ids=(board.tags["long hair"].id,)))
    assert await of_status(board, "cleared") == {"hair": 3}
    rows = await board.rows(images[1])
    await bulk_undo.take_back(
        board.store, board.moderator, job.batch_id, suggestion_ids=[rows["long hair"].id]
    )
    version = (await board.rows(images[1]))["long hair"].version
    await review_many(board.store, board.tagger, [VerdictRequest(rows["long hair"].id, version, REJECT)])
    undoing = await bulk_undo.take_back(board.store, board.moderator, job.batch_id)
    assert isinstance(undoing, Job)
    ended = await finish(board, undoing)
    assert (ended.total, ended.changed) == (4, 4)
    assert await of_status(board, "pending") == {"hair": 3, "long hair": 2}
    assert await of_status(board, "rejected") == {"long hair": 1}
    await assert_sound(board)


async def test_a_row_decided_since_is_left_by_a_large_undo(
    board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_undo, "AT_ONCE", 1)
    ids = await fill(board, [9000, 8000, 7000])
    job = await run(board, smiles(board))
    await board.store.write(
        lambda tx: tx.execute("UPDATE suggestions SET version = version + 1 WHERE id = :id", id=ids[0])
    )
    undoing = await bulk_undo.take_back(board.store, board.moderator, job.batch_id)
    assert isinstance(undoing, Job)
    ended = await finish(board, undoing)
    assert (ended.processed, ended.changed) == (3, 2)
    assert await of_status(board, "approved") == {"smile": 1}


async def test_a_partial_undo_of_a_bulk_batch_is_answered_at_once(board: SmallBoard) -> None:
    ids = await fill(board, [9000, 8000, 7000])
    job = await run(board, smiles(board))
    outcome = await bulk_undo.take_back(board.store, board.moderator, job.batch_id, suggestion_ids=ids[:1])
    assert isinstance(outcome, UndoOutcome)
    assert [(one.suggestion_id, one.outcome) for one in outcome.results] == [(ids[0], UndoneAs.RESTORED)]
    assert await of_status(board, "approved") == {"smile": 2}


async def test_what_others_decide_meanwhile_is_left_alone(
    board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 1)
    ids = await fill(board, [9000, 8000, 7000])
    job = await run(board, smiles(board))
    await review_many(board.store, board.tagger, [VerdictRequest(ids[1], 1, REJECT)])
    done = await finish(board, job)
    assert (done.total, done.changed) == (3, 2)
    assert await of_status(board, "rejected") == {"smile": 1}
    await assert_sound(board)


async def test_a_cancelled_job_keeps_what_it_did_and_can_be_taken_back(
    board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 1)
    await fill(board, [9000, 8000, 7000])
    job = await run(board, smiles(board))
    await board.store.write(lambda tx: _one_chunk(tx, job.id))
    cancelled = await jobs.cancel(board.store, board.moderator, job.id)
    assert cancelled.state is JobState.CANCELLED
    assert (await jobs.cancel(board.store, board.moderator, job.id)).finished_at == cancelled.finished_at
    assert await jobs.JobRunner(board.store).work() == 0
    assert await of_status(board, "approved") == {"smile": 1}
    outcome = await bulk_undo.take_back(board.store, board.moderator, job.batch_id)
    assert isinstance(outcome, UndoOutcome)
    assert await of_status(board, "pending") == {"smile": 3}

    finished = await finish(board, await run(board, smiles(board)))
    with pytest.raises(Conflict) as ended:
        await jobs.cancel(board.store, board.moderator, finished.id)
    assert ended.value.code == "job_finished"
    with pytest.raises(Forbidden) as others:
        await jobs.cancel(board.store, board.tagger, finished.id)
    assert others.value.code == "not_your_job"


async def _one_chunk(tx, job_id):  # type: ignore[no-untyped-def]
    await bulk.judge_chunk(tx, await stored.lock(tx, job_id), limit=1)


async def test_a_job_ends_when_its_owner_may_no_longer(
    board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 1)
    await fill(board, [9000, 8000])
    job = await run(board, smiles(board))
    await board.store.write(
        lambda tx: tx.execute("UPDATE users SET role = 'tagger' WHERE id = :id", id=board.moderator.id)
    )
    ended = await finish(board, job)
    assert (ended.state, ended.failure_code) == (JobState.FAILED, "role_forbids")
    assert await of_status(board, "pending") == {"smile": 2}


async def test_a_chunk_that_fails_is_tried_again_and_then_given_up(
    board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 1)
    await fill(board, [9000, 8000])
    job = await run(board, smiles(board))
    await board.store.write(
        lambda tx: tx.execute("UPDATE review_jobs SET request = '{}' WHERE id = :id", id=job.id)
    )
    ended = await finish(board, job)
    assert (ended.state, ended.failure_code, ended.attempts) == (
        JobState.FAILED,
        "internal_error",
        jobs.MAX_ATTEMPTS,
    )


async def test_some_rows_are_marked_to_be_looked_at_again(board: SmallBoard) -> None:
    ids = await fill(board, [9000] * 60)
    job = await run(board, smiles(board))
    marked = await board.store.read(lambda tx: stored.samples(tx, job.id, after_id=0, limit=100))
    assert len(marked) == job.sampled
    assert 1 <= len(marked) < 40
    assert set(marked) <= set(ids)
    few = await fill(board, [9000] * 5)
    small = await run(board, smiles(board))
    assert await board.store.read(lambda tx: stored.samples(tx, small.id, after_id=0, limit=100)) == tuple(
        few
    )


async def test_a_walk_meets_every_row_once_whatever_its_pages(board: SmallBoard) -> None:
    ids = {*await fill(board, [9000] * 7), *await fill(board, [8000] * 3, "hair")}
    ids |= set(await fill(board, [8000], "blue eyes"))
    until = await board.store.read(selection.last_id)
    await fill(board, [9000])
    for where in (
        Selection(until),
        Selection(until, tag_ids=tuple(tag.id for tag in board.tags.values())),
    ):
        met: list[int] = []
        place = Place()
        while page := await board.store.read(
            lambda tx, at=place, of=where: selection.after(tx, of, at, limit=2)  # type: ignore[misc]
        ):
            met += [one.suggestion_id for one in page]
            place = page[-1]
        assert sorted(met) == sorted(ids)
