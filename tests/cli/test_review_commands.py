"""`tagdesk review`: a moderator at a shell, on an API that listens."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from serving import listening
from small_board import SmallBoard
from terminal import tagdesk, with_store
from typer.testing import Result

from orchestrator import accounts
from orchestrator.cli import app as command_line
from orchestrator.cli import following
from orchestrator.review import bulk
from orchestrator.review.jobs import JobRunner
from orchestrator.review.leases import claim
from orchestrator.review.queues import QueueRequest
from orchestrator.settings import Settings
from orchestrator.store.unit_of_work import Store


@pytest.fixture
def board(settings: Settings) -> SmallBoard:
    """Three pictures that smile, one of them with blue eyes."""

    async def work(store: Store) -> SmallBoard:
        board = await SmallBoard.build(store, settings)
        for scores in ({"smile": 9500, "blue_eyes": 9000}, {"smile": 9000}, {"smile": 6000}):
            await board.suggested(scores)
        return board

    return with_store(settings, work)


@pytest.fixture
def moderator(board: SmallBoard, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A moderator's token; the environment names both it and the API."""
    token = with_store(settings, lambda store: accounts.issue_token(store, board.moderator, name="test"))
    with listening(settings) as url:
        monkeypatch.setenv("TAGDESK_PUBLIC_URL", url)
        monkeypatch.setenv("TAGDESK_TOKEN", token)
        yield token


def review(*arguments: str, status: int = 0) -> Result:
    """`tagdesk review …`, which ends with this status."""
    answer = tagdesk("review", *arguments)
    assert answer.exit_code == status, answer.output
    return answer


def rows(*arguments: str) -> list[dict[str, Any]]:
    """What a command prints as JSON."""
    return [json.loads(line) for line in review(*arguments, "--json").output.splitlines()]


def test_a_tag_is_found_reviewed_and_taken_back(moderator: str, board: SmallBoard) -> None:
    # Given the worklist, whose first tag has three rows
    assert [(one["tag"]["title"], one["pending"]) for one in rows("worklist")] == [
        ("smile", 3),
        ("blue eyes", 1),
    ]
    assert "smile" in review("worklist", "--search", "SMI").output
    # When its queue is looked at by its title, or by an alias of it
    first, second, third = (f"{one['id']}:{one['version']}" for one in rows("queue", "Smile"))
    shown = review("queue", "grin", "--limit", "1").output
    assert first in shown
    assert second not in shown
    # And two rows are approved and one rejected
    approved = review("approve", first, second.split(":")[0])
    assert approved.output.count("applied, tag put on the image") == 2
    assert (
        "batch 1" in approved.output.replace("batch", "batch", 1) or "tagdesk review undo" in approved.output
    )
    review("reject", third, "--reason", "not_wanted")
    assert "smile: 0 pending in all" in review("queue", "smile").output
    # Then both batches are there, and what is undone is pending again
    rejected, approvals = rows("batches", "--mine")
    assert "2 of 2 rows" in review("undo", str(approvals["id"])).output
    assert "1 of 1 rows" in review("undo", str(rejected["id"]), "--suggestion", third.split(":")[0]).output
    assert len(rows("queue", "smile")) == 3
    assert f"undo of {approvals['id']}" in review("batches").output


def test_a_lost_race_is_shown_and_fails(moderator: str, board: SmallBoard) -> None:
    first, second, _ = (f"{one['id']}:{one['version']}" for one in rows("queue", "smile"))
    review("approve", first)
    # When it is decided on as it was before, alone or beside another row
    for arguments in ((first,), (first, second)):
        answer = review("reject", *arguments, status=1)
        # Then the command says who decided what, and what else went through
        assert "conflict" in answer.output
        assert board.moderator.name in answer.output
    assert len(rows("queue", "smile")) == 1


def test_who_holds_what_is_shown(moderator: str, board: SmallBoard) -> None:
    assert "nobody holds anything" in review("leases").output
    # Given a lease on the whole of a tag
    with_store(board.settings, lambda store: _claim(store, board))
    # Then it is listed, also by its tag
    assert "the whole tag" in review("leases", "--tag", "smile").output
    assert rows("leases", "--tag", "blue eyes") == []
    assert "the tagger: all" in review("worklist").output
    assert "held by the tagger: all" in review("queue", "smile").output


async def _claim(store: Store, board: SmallBoard) -> None:
    request = QueueRequest(tag_id=board.tags["smile"].id)
    await claim(store, board.tagger, request, whole_tag=True, duration=60)


def test_a_review_by_filter_is_looked_at_first(moderator: str, board: SmallBoard) -> None:
    order = ("bulk", "approve", "--tag", "smile", "--min-confidence", "0.8")
    # When the question is answered with no, or only JSON is asked for
    refused = review(*order, status=1)
    (look,) = rows(*order)
    # Then nothing has changed
    assert "approve these 2 suggestions?" in refused.output
    assert (look["look"]["count"], look["job"]) == (2, None)
    assert len(rows("queue", "smile")) == 3
    # When it is answered with yes, then it is done, and can be undone
    assert "2 of 2 decided" in review(*order, "--yes").output
    assert "nothing that is pending fits" in review(*order, "--yes").output
    (job,) = rows("jobs")
    assert "2 of 2" in review("jobs").output
    review("undo", str(job["batch_id"]))
    assert len(rows("queue", "smile")) == 3


def test_a_job_is_followed_to_its_end(
    moderator: str, board: SmallBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given more rows than are decided at once, and a keeper that works while somebody waits,
    then the command stays until the job is done."""
    monkeypatch.setattr(bulk, "AT_ONCE", 1)

    async def work_meanwhile(_seconds: float) -> None:
        store = await Store.connect(board.settings)
        try:
            await JobRunner(store).work()
        finally:
            await store.close()

    monkeypatch.setattr(following.asyncio, "sleep", work_meanwhile)
    answer = review("bulk", "reject", "--tag", "smile", "--reason", "not_wanted", "--yes")
    assert "3 of 3 decided" in answer.output
    assert "goes on without you" in answer.output
    assert rows("queue", "smile") == []


def test_statistics_are_shown(moderator: str, board: SmallBoard) -> None:
    assert "approval" in review("stats").output
    assert [one["pending"] for one in rows("stats")] == [4]
    review("stats", "tag", "--since", "2026-01-01")


def test_what_goes_wrong_is_one_line(
    moderator: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, said in (
        (("queue", "no such tag"), "no tag is called"),
        (("queue", "404"), "tag_not_found"),
        (("worklist", "--model", "No Model"), "--model: "),
        (("bulk", "approve"), "a filter that names nothing"),
        (("worklist", "--token", "nobody"), "bad_token"),
        (("worklist", "--url", "http://127.0.0.1:1"), "does not answer"),
        (("worklist", "--url", "nowhere"), "is no address"),
    ):
        monkeypatch.setattr("sys.argv", ["tagdesk", "review", *arguments])
        with pytest.raises(SystemExit) as end:
            command_line.main()
        error = capsys.readouterr().err
        assert end.value.code == 1
        assert said in error
        assert len(error.splitlines()) == 1


@pytest.mark.parametrize("row", ["smile", "1:", "0:1", "1:2:3", "-1"])
def test_what_is_no_row(row: str) -> None:
    assert tagdesk("review", "approve", "--", row).exit_code == 2


def test_there_is_no_installation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given neither an address nor a stack that runs
    monkeypatch.setenv("TAGDESK_INSTANCE", "not-there")
    for arguments, said in (((), "tagdesk up"), (("--url", "http://127.0.0.1:1"), "--token")):
        monkeypatch.setattr("sys.argv", ["tagdesk", "review", "worklist", *arguments])
        with pytest.raises(SystemExit):
            command_line.main()
        # Then the command says what to do
        assert said in capsys.readouterr().err
