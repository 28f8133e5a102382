"""A keeper that dies in the middle of a review by filter, and of taking it back."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from processes import Process
from queue_board import fill
from small_board import SmallBoard

from orchestrator.records import Decision, JobState
from orchestrator.review import bulk, bulk_undo
from orchestrator.review.bulk import BulkOrder
from orchestrator.review.confirmation import Confirmations
from orchestrator.settings import Settings
from orchestrator.store import consistency
from orchestrator.store import jobs as stored
from orchestrator.store.jobs import Job
from orchestrator.store.unit_of_work import Store

pytestmark = pytest.mark.anyio

ROWS = 6_000
PATIENCE = 120.0


@pytest.fixture
def start_keeper(settings: Settings, tmp_path: Path) -> Iterator[Callable[[], Process]]:
    """Starts keepers that have no Triton, so that they leave that of other tests alone."""
    models = tmp_path / "models"
    models.mkdir()
    alone = settings.model_copy(update={"triton_url": "127.0.0.1:9", "model_repository": models})
    started: list[Process] = []

    def start() -> Process:
        started.append(Process(["orchestrator.keeper"], alone, tmp_path / f"keeper-{len(started)}.log"))
        return started[-1]

    yield start
    for process in started:
        process.clean_up()


async def reaches(store: Store, job_id: int, condition: Callable[[Job], bool]) -> Job:
    """Wait until a job is that far."""
    deadline = time.monotonic() + PATIENCE
    while True:
        job = await store.read(lambda tx: stored.get(tx, job_id))
        if condition(job):
            return job
        assert time.monotonic() < deadline, f"the job stays {job.state} at {job.processed} of {job.total}"
        await anyio.sleep(0.005)


async def finish_through_kills(store: Store, job: Job, start: Callable[[], Process]) -> Job:
    """Kill a keeper twice while it works on a job, and let the third one end it."""
    for part in (1, 3):
        keeper = start()
        await reaches(store, job.id, lambda now: now.processed >= part * job.total // 5)  # noqa: B023
        keeper.kill()
        seen = await store.read(lambda tx: stored.get(tx, job.id))
        assert seen.state is JobState.RUNNING, "the keeper was killed too late to mean anything"
    keeper = start()
    done = await reaches(store, job.id, lambda now: now.state not in stored.OPEN)
    assert keeper.terminate() == 0
    return done


async def test_a_killed_keeper_decides_nothing_twice_and_leaves_nothing_out(
    board: SmallBoard, start_keeper: Callable[[], Process]
) -> None:
    """Given thousands of rows that a moderator approves by filter, when the keeper that does it is killed
    again and again, then every row is decided once, in one batch; and taking that back, through as many
    kills, leaves everything pending."""
    confidences = [5000 + n % 5000 for n in range(ROWS)]
    await fill(board, confidences)
    order = BulkOrder(Decision.APPROVE, min_confidence=1)
    confirmations = Confirmations.from_settings(board.settings)
    seen = await bulk.look(board.store, board.moderator, order, confirmations)
    assert seen.confirmation is not None
    job = await bulk.confirm(board.store, board.moderator, order, seen.confirmation, confirmations)
    assert (job.state, job.total) == (JobState.QUEUED, ROWS)

    done = await finish_through_kills(board.store, job, start_keeper)
    assert (done.state, done.processed, done.changed) == (JobState.DONE, ROWS, ROWS)
    log = await board.store.read(
        lambda tx: tx.fetch_rows(
            "SELECT COUNT(*), COUNT(DISTINCT suggestion_id), COUNT(DISTINCT batch_id) FROM verdicts"
        )
    )
    assert log == [(ROWS, ROWS, 1)]
    assert await board.store.read(consistency.violations) == ()

    undo = await bulk_undo.take_back(board.store, board.moderator, job.batch_id)
    assert isinstance(undo, Job)
    undone = await finish_through_kills(board.store, undo, start_keeper)
    assert (undone.state, undone.changed) == (JobState.DONE, ROWS)
    left = await board.store.read(
        lambda tx: tx.fetch_rows("SELECT status, COUNT(*) FROM suggestions GROUP BY 1")
    )
    assert left == [("pending", ROWS)]
    assert await board.store.read(consistency.violations) == ()
