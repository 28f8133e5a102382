"""Reviews by filter over HTTP: a look, a yes, and a job where it is much."""

from typing import Any

import pytest
from queue_board import fill
from serving import Api, assert_problem
from small_board import SmallBoard

from orchestrator.records import Role
from orchestrator.review import bulk, bulk_undo
from orchestrator.review.jobs import JobRunner
from orchestrator.store import jobs
from orchestrator.store.transaction import Transaction

pytestmark = pytest.mark.anyio

BULK, JOBS = "/api/v1/tag-suggestions/batch-review", "/api/v1/review-jobs"


async def asked(api: Api, status: int = 200, **body: object) -> dict[str, Any]:
    response = await api.post(BULK, Role.MODERATOR, json=body)
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()
    return found


async def pending(api: Api, tag_id: int) -> int:
    response = await api.get("/api/v1/tag-suggestions", params={"tag_id": tag_id, "limit": 1})
    count: int = response.json()["pending"]
    return count


def smiles(board: SmallBoard, **more: object) -> dict[str, Any]:
    return {"decision": "approve", "filter": {"tag_ids": [board.tags["smile"].id], **more}}


async def test_a_few_are_decided_at_once_and_taken_back_as_one(api: Api, board: SmallBoard) -> None:
    """Given rows of a tag, when a moderator looks by a filter and says yes to what was shown, then it is done
    with the answer, once however often the yes is sent, and undone as one batch."""
    await fill(board, [9500, 9100, 4000])
    order = smiles(board, min_confidence=0.9, model="wd14")
    seen = (await asked(api, **order))["look"]
    assert (seen["count"], seen["at_once"]) == (2, True)
    assert sorted(one["confidence"] for one in seen["samples"]) == [0.91, 0.95]
    assert seen["samples"][0]["file"] == f"/api/v1/images/{seen['samples'][0]['image_id']}/file"
    assert await pending(api, board.tags["smile"].id) == 3

    done = (await asked(api, **order, confirmation=seen["confirmation"]))["job"]
    assert (done["state"], done["changed"], done["progress"], done["by"]) == (
        "done",
        2,
        1.0,
        board.moderator.name,
    )
    again = (await asked(api, **order, confirmation=seen["confirmation"]))["job"]
    assert again == done
    assert await pending(api, board.tags["smile"].id) == 1

    undone = await api.post(f"/api/v1/review-batches/{done['batch_id']}/undo", Role.MODERATOR, json={})
    assert [one["outcome"] for one in undone.json()["results"]] == ["restored"] * 2
    assert await pending(api, board.tags["smile"].id) == 3


async def test_many_are_a_job_whose_progress_is_seen(
    api: Api, board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given more rows than are decided at once, when a yes is said, then the answer names a job; it is seen
    to get on, its samples are listed page by page, and its batch is taken back by another job."""
    for module in (bulk, bulk_undo):
        monkeypatch.setattr(module, "AT_ONCE", 3)
    await fill(board, [9000 + n for n in range(30)])
    order = smiles(board)
    seen = (await asked(api, **order))["look"]
    assert (seen["count"], seen["at_once"]) == (30, False)
    response = await api.post(BULK, Role.MODERATOR, json={**order, "confirmation": seen["confirmation"]})
    assert response.status_code == 202
    job = response.json()["job"]
    address = response.headers["Location"]
    assert address == f"{JOBS}/{job['id']}"
    assert (job["state"], job["progress"], job["eta_seconds"]) == ("queued", 0.0, None)

    async def a_chunk(tx: Transaction) -> None:
        await bulk.judge_chunk(tx, await jobs.lock(tx, job["id"]), limit=20)

    await board.store.write(a_chunk)
    part = (await api.get(address, Role.MODERATOR)).json()
    assert (part["state"], part["processed"], part["progress"]) == ("running", 20, pytest.approx(2 / 3))
    assert part["eta_seconds"] >= 0
    while await JobRunner(board.store).work():
        pass
    done = (await api.get(address, Role.MODERATOR)).json()
    assert (done["state"], done["changed"], done["eta_seconds"]) == ("done", 30, None)
    assert await pending(api, board.tags["smile"].id) == 0

    samples: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await api.get(f"{address}/samples", Role.MODERATOR, params={"limit": 4, **cursor})).json()
        samples += [one["id"] for one in page["items"]]
        assert {one["status"] for one in page["items"]} <= {"approved"}
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(samples) == len(set(samples)) == done["sampled"] > 0

    undo = await api.post(f"/api/v1/review-batches/{job['batch_id']}/undo", Role.MODERATOR, json={})
    assert undo.status_code == 202
    assert undo.json()["undoes"] == job["batch_id"]
    while await JobRunner(board.store).work():
        pass
    assert (await api.get(undo.headers["Location"], Role.MODERATOR)).json()["state"] == "done"
    assert await pending(api, board.tags["smile"].id) == 30
    listed = (await api.get(JOBS, Role.MODERATOR)).json()["items"]
    assert [(one["kind"], one["state"]) for one in listed] == [("undo", "done"), ("bulk", "done")]


async def test_a_job_is_cancelled_and_keeps_what_it_has_done(
    api: Api, board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 1)
    await fill(board, [9000, 8000])
    order = smiles(board)
    seen = (await asked(api, **order))["look"]
    job = (await asked(api, 202, **order, confirmation=seen["confirmation"]))["job"]
    address = f"{JOBS}/{job['id']}"
    for _ in range(2):
        cancelled = await api.post(f"{address}/cancel", Role.MODERATOR)
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    await JobRunner(board.store).work()
    assert await pending(api, board.tags["smile"].id) == 2

    seen = (await asked(api, **order))["look"]
    job = (await asked(api, 202, **order, confirmation=seen["confirmation"]))["job"]
    while await JobRunner(board.store).work():
        pass
    assert_problem(await api.post(f"{JOBS}/{job['id']}/cancel", Role.MODERATOR), 409, "job_finished")


async def test_jobs_are_their_owners_and_those_in_charges(api: Api, board: SmallBoard) -> None:
    """Given a moderator's job, then an admin sees it, a tagger does not, and who may not review by filter is
    told so."""
    await fill(board, [9000])
    order = smiles(board)
    seen = (await asked(api, **order))["look"]
    job = (await asked(api, **order, confirmation=seen["confirmation"]))["job"]
    assert (await api.get(f"{JOBS}/{job['id']}", Role.ADMIN)).status_code == 200
    assert_problem(await api.get(f"{JOBS}/{job['id']}", Role.TAGGER), 403, "not_your_job")
    assert_problem(await api.get(f"{JOBS}/{job['id']}/samples", Role.TAGGER), 403, "not_your_job")
    assert (await api.get(JOBS, Role.TAGGER)).json()["items"] == []
    assert (await api.get(JOBS, Role.ADMIN, params={"mine": "true"})).json()["items"] == []
    assert len((await api.get(JOBS, Role.ADMIN)).json()["items"]) == 1
    assert_problem(await api.get(f"{JOBS}/{job['id'] + 1}", Role.ADMIN), 404, "job_not_found")
    assert_problem(await api.post(BULK, Role.TAGGER, json=order), 403, "role_forbids")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"filter": {}}, 422, "invalid_request"),
        ({"filter": {"status": "approved", "min_confidence": 0.5}}, 422, "invalid_request"),
        ({"reason": "wrong"}, 422, "invalid_request"),
        ({"decision": "reject", "reason": "other"}, 422, "invalid_request"),
        ({"filter": {"model": "nobody"}}, 422, "unknown_model"),
        ({"confirmation": "of my own making"}, 422, "bad_confirmation"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    api: Api, board: SmallBoard, change: dict[str, Any], status: int, code: str
) -> None:
    response = await api.post(BULK, Role.MODERATOR, json={**smiles(board), **change})
    assert_problem(response, status, code)


async def test_a_yes_to_what_has_grown_is_a_conflict(api: Api, board: SmallBoard) -> None:
    ids = await fill(board, [9000, 8000])
    decisions = [{"suggestion_id": ids[0], "version": 1, "decision": "reject"}]
    taken = await api.post("/api/v1/tag-suggestions/review", json={"decisions": decisions})
    order = smiles(board)
    seen = (await asked(api, **order))["look"]
    assert seen["count"] == 1
    await api.post(f"/api/v1/review-batches/{taken.json()['batch_id']}/undo", json={})
    response = await api.post(BULK, Role.MODERATOR, json={**order, "confirmation": seen["confirmation"]})
    assert_problem(response, 409, "selection_grew")
