"""Backfills: which images, a window at a time, and counts that are exact whatever happens."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from colours import picture
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from world import BLUE, GREEN, RED, World, register_colours

from orchestrator.backfill import runs
from orchestrator.backfill.listing import read_ids
from orchestrator.backfill.selection import parse
from orchestrator.errors import Conflict, InvalidInput
from orchestrator.feeder import Feeder
from orchestrator.pipeline.analyse import Pipeline
from orchestrator.records import Eligibility, ImageState, Priority, Role, RunState
from orchestrator.resources import Resources
from orchestrator.store import backfills, eligibility, models, users
from orchestrator.store.backfills import Backfill, ImageFilter
from orchestrator.store.transaction import Transaction
from orchestrator.sweeper import GRACE, Sweeper

pytestmark = pytest.mark.anyio

NO_PICTURE = b"this is no picture"
NO_ONE = frozenset[int]()


class Town:
    """A board, its pipeline, and a feeder with a small window."""

    def __init__(self, world: World, resources: Resources, pipeline: Pipeline, window: int) -> None:
        self.world = world
        self.resources = resources
        self.pipeline = pipeline
        self.feeder = Feeder(world.store, resources.queue, window=window)

    async def add(self, count: int, *, broken: int = 0) -> list[int]:
        """Register pictures that nobody has looked at."""
        files = [picture(*RED)] * count + [NO_PICTURE] * broken
        return [await self.world.add(data, priority=Priority.BACKFILL) for data in files]

    async def of(self, backfill: Backfill) -> Backfill:
        return await self.world.store.read(lambda tx: backfills.get(tx, backfill.id))

    async def sent(self, backfill: Backfill) -> list[int]:
        rows = await self.world.store.read(
            lambda tx: tx.fetch_rows(
                "SELECT image_id FROM backfill_images WHERE backfill_id = :id AND state = 'sent'"
                " ORDER BY image_id",
                id=backfill.id,
            )
        )
        return [row[0] for row in rows]

    async def analyse(self, image_ids: Sequence[int]) -> None:
        await self.pipeline.analyse_images(image_ids, Priority.BACKFILL)

    async def finish(self, backfill: Backfill) -> Backfill:
        """Feed and analyse until it has ended."""
        for _ in range(100):
            await self.feeder.feed()
            await self.analyse(await self.sent(backfill))
            found = await self.of(backfill)
            if found.state is not RunState.RUNNING:
                return found
        raise AssertionError(await self.of(backfill))

    async def recount(self, backfill: Backfill) -> dict[str, int]:
        rows = await self.world.store.read(
            lambda tx: tx.fetch_rows(
                "SELECT state, COUNT(*) FROM backfill_images WHERE backfill_id = :id GROUP BY state",
                id=backfill.id,
            )
        )
        return {state: int(count) for state, count in rows}


@pytest.fixture
def town(world: World, resources: Resources) -> Town:
    return Town(world, resources, resources.pipeline, window=3)


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        ([], "say which"),
        (["all", "state=done"], "no condition"),
        (["everything"], "no condition"),
        (["state=asleep"], "queued, done, failed or imported"),
        (["state="], "no condition"),
        (["state=done", "state=failed"], "twice"),
        (["ids=9-3"], "from … to"),
        (["ids=0"], "from … to"),
        (["unseen_by=wd14"], "a version"),
        (["uploaded_since=yesterday"], "a day"),
        (["colour=red"], "name=value with one of state"),
    ],
)
def test_a_condition_that_means_nothing_is_refused_by_name(conditions: list[str], says: str):
    with pytest.raises(InvalidInput, match=says) as refusal:
        parse(conditions)
    assert refusal.value.code == "bad_condition"


def test_conditions_are_read_together():
    assert parse(["all"]) == ImageFilter()
    assert parse(
        ["state=done, failed", "uploader=mira", "unseen_by=wd14:2", "ids=5-9", "uploaded_before=2026-01-31"]
    ) == ImageFilter(
        states=(ImageState.DONE, ImageState.FAILED),
        uploader="mira",
        unseen_by=("wd14", 2),
        ids=(5, 9),
        uploaded_before=datetime(2026, 1, 31, tzinfo=UTC),
    )


async def test_a_filter_finds_what_it_says_and_nothing_hidden(town: Town):
    # Given images of each state, one of another uploader, one deleted
    done, failed, fresh, hidden = *await town.add(1), *await town.add(0, broken=1), *await town.add(2)
    await town.analyse([done, failed])
    store = town.world.store
    other = await store.write(lambda tx: users.create(tx, name="mira", role=Role.UPLOADER, external_id=None))
    await town.world.execute("UPDATE images SET uploader_id = :user WHERE id = :id", user=other.id, id=fresh)
    await store.write(lambda tx: eligibility.put(tx, hidden, Eligibility.DELETED))

    async def found(*conditions: str) -> set[int]:
        backfill = await runs.start(store, conditions)
        await Feeder(store, town.resources.queue, window=0).feed()
        rows = await store.read(
            lambda tx: tx.fetch_rows(
                "SELECT image_id FROM backfill_images WHERE backfill_id = :id", id=backfill.id
            )
        )
        counted = await store.read(lambda tx: backfills.count_images(tx, parse(conditions)))
        assert counted == len(rows)
        return {row[0] for row in rows}

    assert await found("all") == {done, failed, fresh}
    assert await found("state=queued") == {fresh}
    assert await found("state=done,failed") == {done, failed}
    assert await found("failure=not_an_image") == {failed}
    assert await found("uploader=mira") == {fresh}
    assert await found("unseen_by=colours:1") == {failed, fresh}
    assert await found(f"ids={failed}-{hidden}", "state=failed") == {failed}
    assert await found("uploaded_since=2026-01-01") == {done, failed, fresh}
    assert await found("uploaded_before=2026-01-01") == NO_ONE
    # And what is not there is refused
    for condition, code in (("uploader=nobody", "unknown_user"), ("unseen_by=wd14:99", "unknown_version")):
        with pytest.raises(InvalidInput) as refusal:
            await runs.start(store, [condition])
        assert refusal.value.code == code


async def test_a_backfill_queues_a_window_at_a_time_and_ends_with_exact_counts(town: Town):
    # Given eight pictures, and two files that are none
    await town.add(8, broken=2)
    backfill = await runs.start(town.world.store, ["all"])
    # When it is fed before anything has ended
    await town.feeder.feed()
    await town.feeder.feed()
    # Then no more than the window is queued
    found = await town.of(backfill)
    assert (found.total, found.sent, found.waiting) == (10, 3, 7)
    depth = await town.resources.queue.depth(Priority.BACKFILL)
    assert depth is not None
    assert depth.ready == 1
    # And when they end, the next ones follow until all have ended
    ended = await town.finish(backfill)
    assert ended.state is RunState.DONE
    assert (ended.total, ended.done, ended.failed, ended.sent) == (10, 8, 2, 0)
    assert await town.world.store.read(lambda tx: backfills.failures(tx, backfill.id)) == [
        ("not_an_image", 2, max(await _ids(town, "failed")))
    ]


async def _ids(town: Town, state: str) -> list[int]:
    rows = await town.world.store.read(
        lambda tx: tx.fetch_rows("SELECT id FROM images WHERE state = :state", state=state)
    )
    return [row[0] for row in rows]


async def test_what_was_done_before_is_looked_at_again(town: Town):
    # Given an image that was analysed, and a new version of its model
    (image_id,) = await town.add(1)
    await town.analyse([image_id])
    before = await town.world.image(image_id)
    backfill = await runs.start(town.world.store, [f"ids={image_id}"])
    await town.finish(backfill)
    after = await town.world.image(image_id)
    assert (after.state, before.analysed_at != after.analysed_at) == (ImageState.DONE, True)


async def test_a_live_upload_keeps_its_place(town: Town):
    waiting = await town.world.add(picture(*GREEN))
    backfill = await runs.start(town.world.store, ["all"])
    await town.feeder.feed()
    rows = await town.world.store.read(
        lambda tx: tx.fetch_rows("SELECT priority FROM images WHERE id = :id", id=waiting)
    )
    assert rows == [("live",)]
    assert (await town.finish(backfill)).done == 1


async def test_pause_resume_and_cancel(town: Town):
    await town.add(7)
    store = town.world.store
    backfill = await runs.start(store, ["all"])
    await town.feeder.feed()
    # When it is paused, what was sent ends and nothing more is sent
    await runs.pause(store, backfill.id)
    await town.analyse(await town.sent(backfill))
    await town.feeder.feed()
    paused = await town.of(backfill)
    assert (paused.state, paused.done, paused.sent, paused.waiting) == (RunState.PAUSED, 3, 0, 4)
    # When it goes on and is cancelled with images under way
    await runs.resume(store, backfill.id)
    await town.feeder.feed()
    await runs.cancel(store, backfill.id)
    await town.analyse(await town.sent(backfill))
    await town.feeder.feed()
    # Then those count, the last one is left alone, and it cannot go on
    ended = await town.of(backfill)
    assert (ended.state, ended.done, ended.sent, ended.waiting) == (RunState.CANCELLED, 6, 0, 1)
    for act in (runs.pause, runs.resume):
        with pytest.raises(Conflict, match="cancelled"):
            await act(store, backfill.id)
    with pytest.raises(Conflict, match="cancelled"):
        await runs.retry(store, backfill.id, None)
    assert (await runs.cancel(store, backfill.id)).state is RunState.CANCELLED


async def test_failures_are_tried_again_by_their_reason(town: Town):
    # Given a backfill that is done, with a failure
    await town.add(1, broken=1)
    store = town.world.store
    backfill = await runs.start(store, ["all"])
    await town.finish(backfill)
    assert (await runs.retry(store, backfill.id, "fetch_timeout"))[1] == 0
    # When the failure is tried again, it runs again
    again, number = await runs.retry(store, backfill.id, "not_an_image")
    assert (again.state, again.failed, again.waiting, number) == (RunState.RUNNING, 0, 1, 1)
    ended = await town.finish(backfill)
    assert (ended.state, ended.done, ended.failed) == (RunState.DONE, 1, 1)


async def test_a_list_starts_once_it_is_read_and_names_what_is_not_there(town: Town, tmp_path: Path):
    first, second = await town.add(2)
    listed = tmp_path / "ids.txt"
    listed.write_text(f"# ours\n{second}\n\n{first}  # a portrait\n{second}\n" + '{"image_id": 999999}\n')
    read: list[int] = []
    backfill, unknown = await runs.start_listed(
        town.world.store, read_ids(listed), name="ids.txt", progress=read.append
    )
    assert (unknown, sum(read), backfill.total) == ([999999], 4, 2)
    assert backfill.state is RunState.RUNNING
    assert (await town.finish(backfill)).done == 2


@pytest.mark.parametrize(
    "line", ["seven", "-1", "0", "1.5", '{"image": 3}', '{"image_id": "3"}', "{", "9" * 30]
)
def test_a_line_that_is_no_id_is_named_and_nothing_starts(tmp_path: Path, line: str):
    listed = tmp_path / "ids.txt"
    listed.write_text(f"1\n{line}\n")
    with pytest.raises(InvalidInput, match="line 2"):
        read_ids(listed)


async def test_what_redis_loses_is_the_sweepers_business(town: Town, lose_everything):
    # Given a fed backfill whose messages are lost
    await town.add(3)
    backfill = await runs.start(town.world.store, ["all"])
    await town.feeder.feed()
    lose_everything()
    await town.world.make_older(GRACE + 1)
    sweeper = Sweeper(town.world.settings, town.world.store, town.resources.queue, town.resources.metrics)
    # Then they are sent again, and counted once
    assert await sweeper.sweep() == 3
    assert (await town.finish(backfill)).done == 3


steps = st.lists(
    st.one_of(
        st.just("feed"),
        st.tuples(st.just("analyse"), st.integers(0, 2)),
        st.sampled_from(["pause", "resume", "retry", "requeue", "second"]),
    ),
    max_size=12,
)


@effort(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
async def test_whatever_is_done_in_whatever_order_counts_equal_a_recount(
    town: Town, steps: list[str | tuple[str, int]]
):
    """Given a backfill, when it is fed, paused, resumed, retried and beside it images are analysed, asked for
    again or part of a second backfill, then its counts equal its rows, and it ends."""
    store = town.world.store
    images = await town.add(4, broken=1)
    run = [await runs.start(store, [f"ids={images[0]}-{images[-1]}"])]
    for step in steps:
        match step:
            case "feed":
                await town.feeder.feed()
            case ("analyse", count):
                await town.analyse((await town.sent(run[0]))[: int(count)])
            case "requeue":
                await town.world.execute(
                    "UPDATE images SET state = 'queued', attempts = 0 WHERE id = :id AND state = 'done'",
                    id=images[1],
                )
            case "second":
                run.append(await runs.start(store, [f"ids={images[1]}-{images[2]}"]))
            case "retry":
                await runs.retry(store, run[0].id, None)
            case "pause" | "resume":
                if (await town.of(run[0])).state is not RunState.DONE:
                    await (runs.pause if step == "pause" else runs.resume)(store, run[0].id)
        for one in run:
            counts, found = await town.recount(one), await town.of(one)
            assert {
                "waiting": found.waiting,
                "sent": found.sent,
                "done": found.done,
                "failed": found.failed,
            } == {state: counts.get(state, 0) for state in ("waiting", "sent", "done", "failed")}
    for one in run:
        if (await town.of(one)).state is RunState.PAUSED:
            await runs.resume(store, one.id)
    for one in run:
        if (await town.of(one)).state is RunState.RUNNING:
            await town.finish(one)
    ended = [await town.of(one) for one in run]
    assert all((one.state, one.sent, one.waiting) == (RunState.DONE, 0, 0) for one in ended)
    assert (ended[0].done, ended[0].failed) == (4, 1)


async def test_what_only_older_versions_have_seen_comes_by_value(town: Town, monkeypatch: pytest.MonkeyPatch):
    # Given images with one suggestion, with none and with two, seen by version 1 of a model, then version 2
    colours = [RED, BLUE, RED, (0, 255, 255), BLUE]
    ids = [await town.world.add(picture(*colour)) for colour in colours]
    await town.analyse(ids[:4])

    async def promote(tx: Transaction) -> int:
        await models.set_active(tx, await register_colours(tx, 2, active=False))
        return await runs.start_stale(tx, "colours")

    started = await town.world.store.write(promote)
    backfill = await town.world.store.read(lambda tx: backfills.get(tx, started))
    await town.analyse(ids[4:])  # the last image is seen by version 2 only
    # When it is fed in small windows, then the most pending suggestions come first, then the newest
    monkeypatch.setattr(backfills, "HELD_TOGETHER", ids[1])
    order: list[int] = []
    for _ in range(30):
        await town.feeder.feed()
        found = await town.sent(backfill)
        order += sorted(set(found) - set(order), reverse=True)
        await town.analyse(found)
        if (await town.of(backfill)).state is RunState.DONE:
            break
    assert [ids.index(one) for one in order] == [3, 2, 0, 1]
    # And with no version in use there is nothing to be older than
    with pytest.raises(InvalidInput, match="no version of nobody"):
        await runs.start(town.world.store, ["stale=nobody"])
