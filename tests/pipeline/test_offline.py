"""Images that a host without the database looks at: exported, looked at, taken in."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import respx
from colours import picture
from offline_board import PICTURES, Offline, lines
from services import RunningTriton
from world import BLUE, GREEN, RED, World, register_colours

from orchestrator.errors import Conflict, InvalidInput, ModelError
from orchestrator.offline.arrays import read_arrays
from orchestrator.offline.folder import alone
from orchestrator.offline.ingest import Fate
from orchestrator.offline.parts import Format, Part, SeenImage, UnseenImage, find_parts, read_lines
from orchestrator.offline.worklist import WHOLE, Shard
from orchestrator.pipeline.claims import claim
from orchestrator.records import Eligibility, ImageSource, ImageState, Priority, SourceKind
from orchestrator.resources import Resources
from orchestrator.store import eligibility, images, models
from orchestrator.store.transaction import Transaction

pytestmark = pytest.mark.anyio

DONE = 6
FAILURES = {"not_an_image": 1, "too_small": 1}


@pytest.fixture
async def offline(world: World, tmp_path: Path) -> Offline:
    """A board that knows its graphs, and another host."""
    board = Offline(world, tmp_path)
    await board.know_graphs()
    return board


def read(offline: Offline, out: str = "parts") -> list[Part]:
    """Return the parts that the other host wrote."""
    paths = sorted((offline.folder / out).glob("part-*"))
    return [read_lines(path) if path.suffix == ".jsonl" else read_arrays(path) for path in paths]


@pytest.mark.parametrize(("form", "through"), [(Format.JSONL, "onnxruntime"), (Format.NPZ, "triton")])
async def test_what_is_stored_is_what_workers_would_have_stored(
    offline: Offline, resources: Resources, colour_triton: RunningTriton, form: Format, through: str
):
    # Given the same pictures twice, one of each lot hidden, one with a tag, one that a person asked about
    first, second = await offline.add(), await offline.add()
    store = offline.world.store
    for lot in (first, second):
        await store.write(lambda tx, lot=lot: eligibility.put(tx, lot[1], Eligibility.DELETED))  # type: ignore[misc]
        await offline.world.execute(
            "UPDATE images SET explicit_analysis = TRUE, explicit_by = :user WHERE id = :id",
            id=lot[2],
            user=offline.world.user.id,
        )
        await offline.world.execute(
            "INSERT INTO tag_links (image_id, tag_id, origin) SELECT :id, t.id, 'board' FROM tags t"
            " WHERE t.title = 'red'",
            id=lot[4],
        )
    # When workers look at the first lot, and the other host at the second
    await resources.pipeline.analyse_images(first, Priority.BACKFILL)
    counted = await offline.counted()
    await offline.export(second)
    job = offline.job(form=form, triton=colour_triton.url if through == "triton" else None)
    looked = await offline.infer(job)
    assert (looked.looked, looked.failed) == (len(PICTURES), FAILURES)
    summary = await offline.ingest()
    # Then all that was stored of both is the same, and everything was counted once more
    assert await offline.common(second) == await offline.common(first)
    assert len((await offline.common(first))["suggestions"]) > 3
    assert await offline.counted() == {what: 2 * amount for what, amount in counted.items()}
    assert dict(summary.fates) == {Fate.STORED: DONE, Fate.FAILED: 2}
    assert dict(summary.failures) == FAILURES
    assert summary.missing == 0


async def test_ingesting_again_changes_nothing(offline: Offline):
    # Given a board that has taken parts in
    await offline.export(await offline.add())
    await offline.infer()
    await offline.ingest()
    before = await offline.everything()
    # When it takes them in again
    again = await offline.fates()
    # Then every row is as it was, moments and all
    assert again == {Fate.ALREADY_THERE: len(PICTURES)}
    assert await offline.everything() == before


async def test_both_forms_and_all_shards_say_the_same(offline: Offline):
    # Given a list of eight images
    ids = await offline.add()
    await offline.export(ids)
    # When it is looked at whole, as arrays, and in three shards of small parts
    await offline.infer()
    await offline.infer(offline.job("arrays", form=Format.NPZ, part_images=5))
    for number in (1, 2, 3):
        await offline.infer(offline.job("shards", shard=Shard(number, 3), part_images=2))
    # Then all of them hold the same outcomes
    (whole,) = read(offline)
    assert [one.id for one in whole.outcomes] == ids
    arrays = [one for part in read(offline, "arrays") for one in part.outcomes]
    assert arrays == list(whole.outcomes)
    shards = [one for part in read(offline, "shards") for one in part.outcomes]
    assert sorted(shards, key=lambda one: one.id) == list(whole.outcomes)
    # And what is missing of a shard is noticed
    (offline.folder / "shards" / "part-1of3-000001.jsonl").unlink()
    assert (await offline.ingest("shards")).missing == 1


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from orchestrator.offline import infer
from orchestrator.settings import load_picture_settings

folder, repository, blobs = map(Path, sys.argv[1:])
out = folder / "parts"

def tell(progress):
    if len(list(out.glob("part-*"))) >= 2:
        os.kill(os.getpid(), signal.SIGKILL)

assert not [name for name in sys.modules if name.startswith(("orchestrator.store", "sqlalchemy", "redis", "dramatiq"))]
settings = load_picture_settings().model_copy(update={"blob_dir": blobs, "decode_processes": 1})
job = infer.Job(folder / "work.jsonl", out, repository, part_images=2)
asyncio.run(infer.run(job, settings, tell=tell))
"""  # noqa: E501


async def test_a_killed_run_goes_on_with_the_parts_that_are_not_there(offline: Offline):
    # Given a run, in a process that knows of no database, that is killed when some of twelve parts are there
    ids = await offline.add(3 * PICTURES)
    await offline.export(ids)
    command = [sys.executable, "-c", KILLED, offline.folder, offline.repository, offline.settings.blob_dir]
    environment = {"PATH": os.environ["PATH"]}
    killed = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    parts = offline.folder / "parts"
    there = {path.name: path.stat().st_ino for path in parts.glob("part-*")}
    assert 2 <= len(there) < 12
    half = parts / ".new-part-1of1-half"
    half.write_text("{")
    # When it is run again
    looked = await offline.infer(offline.job(part_images=2))
    # Then it looks at the others only, leaves what was there, and no half part
    assert (looked.looked, looked.before) == (len(ids) - 2 * len(there), 2 * len(there))
    assert {path.name: path.stat().st_ino for path in parts.glob("part-*")}.items() >= there.items()
    assert not half.exists()
    assert [one.id for part in read(offline) for one in part.outcomes] == ids
    # And a third time there is nothing to do
    assert (await offline.infer(offline.job(part_images=2))).looked == 0


async def test_two_runs_are_not_at_one_shard(offline: Offline):
    await offline.export(await offline.add())
    with alone(offline.folder, WHOLE), pytest.raises(Conflict) as refusal:
        await offline.infer(offline.job(out=""))
    assert refusal.value.code == "shard_busy"


async def test_a_folder_with_other_parts_is_refused(offline: Offline):
    # Given parts of a list
    ids = await offline.add()
    await offline.export(ids)
    await offline.infer()
    # When the same folder is named for parts of another size, other shards, another list
    jobs = [offline.job(part_images=3), offline.job(shard=Shard(1, 2))]
    for job in jobs:
        with pytest.raises(InvalidInput) as refusal:
            await offline.infer(job)
        assert refusal.value.code == "other_run"
    await offline.export(ids[1:])
    with pytest.raises(InvalidInput) as refusal:
        await offline.infer()
    assert refusal.value.code == "other_run"


async def test_another_graph_than_the_boards_is_refused(offline: Offline):
    # Given a list for a board whose version 1 of `colours` is another graph
    await offline.world.execute("UPDATE model_versions SET sha256 = REPEAT('x', 32) WHERE name = 'colours'")
    await offline.export(await offline.add())
    with pytest.raises(Conflict, match=r"colours/1/model\.onnx is not the graph of colours 1") as refusal:
        await offline.infer()
    assert refusal.value.code == "graph_differs"
    # And one that this host does not have
    elsewhere = replace(offline.job(), repository=offline.folder)
    with pytest.raises(ModelError, match="there is no") as missing:
        await offline.infer(elsewhere)
    assert missing.value.code == "graph_missing"
    assert not (offline.folder / "parts").exists()


@pytest.mark.parametrize("damage", ["cut line", "cut file", "another score", "no label", "more", "empty"])
async def test_a_damaged_part_is_named_and_nothing_of_it_is_stored(offline: Offline, damage: str):
    # Given a whole part, and one that is damaged
    await offline.export(await offline.add())
    await offline.infer(offline.job(part_images=4))
    path = offline.folder / "parts" / "part-1of1-000002.jsonl"
    text = path.read_text()
    whole = text.splitlines(keepends=True)
    broken, line = {
        "cut line": (text[: len("".join(whole[:3])) - 9], 3),
        "cut file": ("".join(whole[:3]), 4),
        "another score": (text.replace('"width":48', '"width":47', 1), 6),
        "no label": (text.replace('"raw":[[[', '"raw":[[[7,', 1), 2),
        "more": (text + "{}\n", 7),
        "empty": ("", 1),
    }[damage]
    assert broken != text
    path.write_text(broken)
    # When they are taken in, then the file and the line are named
    with pytest.raises(InvalidInput, match=rf"part-1of1-000002\.jsonl, line {line}\b") as refusal:
        await offline.ingest()
    assert refusal.value.code == "bad_part"
    # And nothing of the damaged part is stored; mended, it goes on
    states = await offline.rows("SELECT state, COUNT(*) FROM images GROUP BY state ORDER BY state")
    assert dict(states) in ({"queued": 4, "done": 4}, {"queued": 8})
    path.write_text(text)
    assert (await offline.fates())[Fate.FAILED] == 2
    assert await offline.rows("SELECT COUNT(*) FROM images WHERE state = 'queued'") == [(0,)]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
async def test_a_damaged_archive_is_named(offline: Offline, damage: str):
    await offline.export(await offline.add())
    await offline.infer(offline.job(form=Format.NPZ))
    path = offline.folder / "parts" / "part-1of1-000001.npz"
    data = path.read_bytes()
    half = len(data) // 2
    flipped = data[:half] + bytes([data[half] ^ 0xFF]) + data[half + 1 :]
    path.write_bytes({"cut": data[:half], "flipped": flipped, "empty": b""}[damage])
    with pytest.raises(InvalidInput, match=r"part-1of1-000001\.npz") as refusal:
        await offline.ingest()
    assert refusal.value.code == "bad_part"
    assert await offline.rows("SELECT COUNT(*) FROM images WHERE state <> 'queued'") == [(0,)]


@pytest.mark.parametrize("damage", ["cut", "bad line", "more"])
async def test_a_damaged_list_is_named_by_line(offline: Offline, damage: str):
    await offline.export(await offline.add())
    whole = offline.work.read_text().splitlines(keepends=True)
    broken, line = {
        "cut": (whole[:5], 6),
        "bad line": ([*whole[:2], '{"id": -1}\n', *whole[3:]], 3),
        "more": ([*whole, whole[1]], 11),
    }[damage]
    offline.work.write_text("".join(broken))
    with pytest.raises(InvalidInput, match=rf"work\.jsonl, line {line}\b") as refusal:
        await offline.infer()
    assert refusal.value.code == "bad_work_list"


async def test_what_others_have_done_meanwhile_is_left(offline: Offline, resources: Resources):
    # Given parts of images that look fine, and of three that fail
    good, broken = [picture(*RED)] * 4, [b"no picture"] * 3
    seen, claimed, free, other, failed, again, gone = ids = await offline.add([*good, *broken])
    await offline.export(ids)
    await offline.infer()
    # When meanwhile workers look at some and hold one, queue one, move one, lose one
    world = offline.world
    await resources.pipeline.analyse_images([seen, failed], Priority.LIVE)
    held = await claim(world.store, [claimed], lease=60)
    await resources.pipeline.analyse_images([again], Priority.LIVE)
    await world.store.write(lambda tx: images.requeue(tx, again, explicit=True, priority=Priority.LIVE))
    await world.execute("UPDATE images SET source_location = REPEAT('a', 64) WHERE id = :id", id=other)
    await world.execute("DELETE FROM images WHERE id = :id", id=gone)
    # Then only what nobody has touched is stored
    fates = await offline.fates()
    assert fates == {
        Fate.ALREADY_THERE: 2,
        Fate.UNDER_WAY: 1,
        Fate.STORED: 1,
        Fate.REFUSED: 2,
        Fate.ASKED_AGAIN: 1,
    }
    assert await world.state(free) is ImageState.DONE
    assert await world.state(again) is ImageState.QUEUED
    assert await world.state(other) is ImageState.QUEUED
    # And the worker that holds its image finishes it
    (image,) = held
    await world.store.write(lambda tx: images.let_go(tx, [image.id], image.token))
    assert await offline.fates() == {
        Fate.ALREADY_THERE: 3,
        Fate.STORED: 1,
        Fate.REFUSED: 2,
        Fate.ASKED_AGAIN: 1,
    }


async def test_workers_and_an_ingest_at_once_store_each_image_once(offline: Offline, resources: Resources):
    # Given parts of images that are queued, and of some that were imported only
    lots = [await offline.add(PICTURES[:6]) for _ in range(4)]
    ids = [image_id for lot in lots for image_id in lot]
    await offline.world.execute("UPDATE images SET state = 'imported' WHERE id IN :ids", ids=lots[3])
    await offline.export(ids)
    await offline.infer(offline.job(part_images=5))
    # When workers look at the queued ones while two hosts take the parts in
    one, other, _ = await asyncio.gather(
        offline.ingest(), offline.ingest(), resources.pipeline.analyse_images(ids, Priority.BACKFILL)
    )
    last = await offline.ingest()
    # Then every image is done, each was stored once, and the counts are those of the rows
    assert await offline.rows("SELECT DISTINCT state FROM images") == [("done",)]
    assert dict(last.fates) == {Fate.ALREADY_THERE: len(ids)}
    assert one.fates[Fate.STORED] + other.fates[Fate.STORED] <= len(ids)
    assert len({str(await offline.common(lot)) for lot in lots[:3]}) == 1
    assert await offline.rows(
        "SELECT SUM(amount) = (SELECT COUNT(*) FROM suggestions WHERE status = 'pending')"
        " FROM tag_counters WHERE measure = 'pending'"
    ) == [(1,)]
    # of the three pictures of a lot with a blue that nothing maps, too
    assert await offline.rows("SELECT external_tag, images FROM unmapped_tags") == [("blue", 3 * len(lots))]


async def test_a_newer_version_keeps_its_say(offline: Offline, resources: Resources):
    # Given parts of version 1, and version 2 promoted since
    first, second, third = await offline.add([picture(*RED), picture(*GREEN), picture(*BLUE)])
    await offline.export([first, second, third])
    await offline.infer()
    world = offline.world

    async def promote(tx: Transaction) -> int:
        await models.set_active(tx, version_id := await register_colours(tx, 2, active=False))
        return version_id

    newer = await world.store.write(promote)
    await resources.pipeline.analyse_images([first, second], Priority.LIVE)
    # and of one of its images only version 2's own scores are known
    await world.execute(
        "DELETE a, r FROM analyses a JOIN model_versions v ON v.id = a.model_version_id AND v.name = 'shades'"
        " LEFT JOIN raw_predictions r ON r.image_id = a.image_id AND r.model_version_id = v.id"
        " WHERE a.image_id = :id",
        id=second,
    )
    # When the parts are taken in
    assert await offline.fates() == {Fate.ALREADY_THERE: 1, Fate.STORED: 2}
    # Then version 2 decides where it has looked, and version 1 counts where it has not
    rows = await offline.rows(
        "SELECT s.image_id, s.model_version_id = :newer FROM suggestions s JOIN tags t ON t.id = s.tag_id"
        " WHERE t.title IN ('red', 'green') ORDER BY s.image_id",
        newer=newer,
    )
    assert rows == [(first, 1), (second, 1)]
    seen_by = await offline.rows("SELECT model_version_id FROM analyses WHERE image_id = :id", id=third)
    assert (newer,) not in seen_by
    assert len(seen_by) == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("UPDATE model_versions SET sha256 = REPEAT('x', 32) WHERE name = 'colours'", "version_changed"),
        ("UPDATE model_versions SET state = 'removed' WHERE name = 'colours'", "version_removed"),
        ("UPDATE model_versions SET name = 'hues' WHERE name = 'colours'", "unknown_version"),
    ],
)
async def test_parts_of_versions_that_are_not_the_boards_are_refused(
    offline: Offline, change: str, code: str
):
    await offline.export(await offline.add())
    await offline.infer()
    await offline.world.execute(change)
    with pytest.raises((InvalidInput, Conflict), match="colours") as refusal:
        await offline.ingest()
    assert refusal.value.code == code
    assert await offline.rows("SELECT COUNT(*) FROM images WHERE state <> 'queued'") == [(0,)]


async def test_scores_that_are_missing_by_a_higher_floor_are_refused(offline: Offline):
    await offline.export(await offline.add())
    await offline.infer()
    stricter = Offline(
        replace(offline.world, settings=offline.world.settings.model_copy(update={"raw_score_floor": 0.01})),
        offline.folder,
    )
    with pytest.raises(InvalidInput, match=r"0\.05") as refusal:
        await stricter.ingest()
    assert refusal.value.code == "floor_differs"


async def test_pictures_may_come_from_a_folder_of_copies(offline: Offline):
    # Given an upload, a path, a URL and one more image, of which copies lie in a folder, and one without
    world, copies = offline.world, offline.folder / "copies"
    upload = await world.add(picture(*RED))
    path = await world.add_source(ImageSource(SourceKind.PATH, "/srv/board/a.png"))
    url = await world.add_source(ImageSource(SourceKind.URL, "https://board.example/b/c%20d.png?token=1"))
    named = await world.add_source(ImageSource(SourceKind.URL, "https://board.example/named.png"))
    nowhere = await world.add_source(ImageSource(SourceKind.PATH, "/srv/board/b.png"))
    changed = await world.add(picture(*GREEN))
    key = (await world.image(upload)).source.location
    other = (await world.image(changed)).source.location
    for name, data in {
        f"{key[:2]}/{key[2:]}": picture(*RED),
        "srv/board/a.png": picture(*GREEN),
        "board.example/b/c d.png": picture(*BLUE),
        f"{named}.png": picture(*RED),
        f"{other[:2]}/{other[2:]}": picture(*RED),
    }.items():
        (copies / name).parent.mkdir(parents=True, exist_ok=True)
        (copies / name).write_bytes(data)
    ids = [upload, path, url, named, nowhere, changed]
    await offline.export(ids)
    # When it is looked at from there
    looked = await offline.infer(offline.job(images_from=copies))
    # Then each was found in its place, and what has other bytes than the board's, or none, is out of reach
    (part,) = read(offline)
    assert [one.what for one in part.outcomes] == ["seen"] * 4 + ["unseen"] * 2
    reasons = [one.code for one in part.outcomes if isinstance(one, UnseenImage) and one.out_of_reach]
    assert reasons == ["path_refused", "picture_changed"]
    assert (looked.out_of_reach, looked.failed) == (2, {})
    # And as long as one is, the same command tries again, whatever form it writes
    again = await offline.infer(offline.job(images_from=copies, form=Format.NPZ))
    assert (again.before, again.looked, again.out_of_reach) == (0, 6, 2)
    assert [path.suffix for path in find_parts(offline.job().out)] == [".npz"]
    # And these two stay as they are
    assert await offline.fates() == {Fate.STORED: 4, Fate.OUT_OF_REACH: 2}
    assert [await world.state(one) for one in (nowhere, changed)] == [ImageState.QUEUED] * 2


@respx.mock
async def test_what_passes_is_tried_again_and_what_does_not_is_reported(offline: Offline):
    # Given a host that is down for a moment, one that stays down, and one that says there is nothing
    sources = [f"https://board.example/{name}.png" for name in ("moment", "down", "gone")]
    ids = [await offline.world.add_source(ImageSource(SourceKind.URL, one)) for one in sources]
    respx.get(sources[0]).mock(side_effect=[httpx.Response(503), httpx.Response(200, content=picture(*RED))])
    respx.get(sources[1]).mock(return_value=httpx.Response(503))
    respx.get(sources[2]).mock(return_value=httpx.Response(404))
    await offline.export(ids)
    # When they are looked at, then they end as with workers
    looked = await offline.infer()
    assert looked.failed == {"fetch_unavailable": 1, "not_found": 1}
    (part,) = read(offline)
    assert isinstance(part.outcomes[0], SeenImage)
    summary = await offline.ingest()
    assert dict(summary.failures) == looked.failed
    failure = (await offline.world.image(ids[1])).failure
    assert failure is not None
    assert (failure.code, failure.detail) == ("fetch_unavailable", "the host answered 503")


async def test_a_list_has_what_a_filter_finds_and_no_secret(offline: Offline, resources: Resources):
    # Given an image that was analysed and two that were not
    from orchestrator.offline.export import export

    done, *fresh = await offline.add([picture(*RED), picture(*GREEN), picture(*BLUE)])
    await resources.pipeline.analyse_images([done], Priority.LIVE)
    # When those are exported that `colours` has not seen
    store, settings = offline.world.store, offline.world.settings
    written, _ = await export(
        store, settings, offline.work, conditions=["unseen_by=colours:1"], tell=lambda _: None
    )
    # Then the list has both, what is wanted of them, and nothing more
    header, *listed, end = lines(offline.work)
    assert written == 2
    assert [one["id"] for one in listed] == fresh
    assert set(listed[0]) == {"id", "kind", "location", "sha256"}
    assert end == {"end": 2}
    assert set(header) == {"tagdesk_work", "exported_at", "floor", "versions"}
    # And of ids that name none they are told; a list of nothing is not written
    assert (await export(store, settings, offline.work, ids=[done, 99999], tell=lambda _: None))[1] == [99999]
    before = offline.work.read_bytes()
    with pytest.raises(InvalidInput, match="no image"):
        await export(store, settings, offline.work, ids=[99999], tell=lambda _: None)
    assert offline.work.read_bytes() == before
    assert [path.name for path in offline.folder.glob("*.jsonl")] == ["work.jsonl"]
