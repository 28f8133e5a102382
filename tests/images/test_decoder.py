"""The pool of decoding processes: whatever happens to one, only its own picture suffers."""

import asyncio
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from picture_samples import drawing, encoded, turned, with_alpha
from PIL import Image

from orchestrator.errors import DecodeError, TransientError
from orchestrator.images.codes import DecodeCode, UnavailableCode
from orchestrator.images.decoder import MIB, Decoder
from orchestrator.images.limits import Limits
from orchestrator.images.prepare import prepare
from orchestrator.images.shared import ROOM
from orchestrator.records import Geometry, PreparedImage

pytestmark = pytest.mark.anyio

MODEL = Geometry()
GOOD = encoded(drawing(300, 200), "PNG")
SLOW = encoded(drawing(64, 64).resize((7000, 7000)), "PNG", compress_level=1)
"""49 MP: a second to decode, from whose beginning on a watcher can see the process grow."""
GROWN = 100 * MIB


@pytest.fixture
async def decoder() -> AsyncIterator[Decoder]:
    async with Decoder(processes=2, timeout=20) as pool:
        yield pool


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if decodes(child)]


def decodes(process: psutil.Process) -> bool:
    try:
        return "orchestrator.images.child" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # ended between being listed and being asked; a zombie counts as ended
        return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 (nothing announces what the kernel does to a process)
            await asyncio.sleep(0.005)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_tensors_that_shared_memory_has_no_room_for_come_all_the_same(decoder) -> None:
    # Given models of so many sizes that their tensors take more than the child shares with us
    geometries = [Geometry(size=size) for size in range(448, 448 + 8)]
    here = prepare(GOOD, geometries)
    assert sum(tensor.nbytes for tensor in here.tensors.values()) > ROOM
    # When the picture is prepared there, then nothing is missing
    there = await decoder.prepare(GOOD, geometries)
    for geometry in geometries:
        np.testing.assert_array_equal(there.tensors[geometry], here.tensors[geometry])


async def test_a_tensor_stays_when_its_child_prepares_the_next_picture() -> None:
    async with Decoder(processes=1, timeout=20) as pool:
        first = (await pool.prepare(GOOD, [MODEL])).tensors[MODEL]
        kept = first.copy()
        await pool.prepare(encoded(drawing(200, 300), "PNG"), [MODEL])
    np.testing.assert_array_equal(first, kept)


async def test_a_picture_comes_back_as_if_prepared_here(decoder) -> None:
    geometries = [MODEL, Geometry(size=224, pad_colour=(0, 0, 0), filter="bilinear")]
    data = encoded(with_alpha(drawing(640, 480)), "PNG")

    there, here = await decoder.prepare(data, geometries), prepare(data, geometries)

    assert (there.width, there.height, there.has_alpha, there.media_type) == (640, 480, True, "image/png")
    for geometry in geometries:
        assert np.array_equal(there.tensors[geometry], here.tensors[geometry])


async def test_nothing_runs_before_the_first_picture_and_then_it_stays_warm(decoder) -> None:
    assert decoder.idle_pids == ()
    await decoder.prepare(GOOD, [MODEL])
    first = decoder.idle_pids
    await decoder.prepare(GOOD, [MODEL])

    assert decoder.idle_pids == first
    assert len(first) == 1


async def test_warming_starts_every_child() -> None:
    async with Decoder(processes=2) as pool:
        await pool.warm()

        assert len(pool.idle_pids) == 2


async def test_a_refusal_carries_its_code(decoder) -> None:
    with pytest.raises(DecodeError) as refusal:
        await decoder.prepare(b"GIF of nothing", [MODEL])

    assert refusal.value.code == DecodeCode.NOT_AN_IMAGE
    assert (await decoder.prepare(GOOD, [MODEL])).width == 300


async def test_a_file_over_the_limit_is_not_even_sent() -> None:
    async with Decoder(limits=Limits(bytes=100)) as pool:
        with pytest.raises(DecodeError) as refusal:
            await pool.prepare(GOOD, [MODEL])

        assert refusal.value.code == DecodeCode.TOO_LARGE
        assert pool.idle_pids == ()


async def test_good_pictures_among_bad_ones_all_at_once(decoder) -> None:
    bad = [b"text", GOOD[: len(GOOD) // 2], encoded(drawing(16, 900), "PNG")]

    outcomes = await asyncio.gather(
        *(decoder.prepare(data, [MODEL]) for data in [GOOD, *bad] * 5), return_exceptions=True
    )

    codes = [getattr(outcome, "code", "good") for outcome in outcomes]
    assert codes == ["good", "not_an_image", "truncated", "aspect_too_extreme"] * 5
    assert len(children()) <= 2


async def test_a_hanging_child_is_killed_and_replaced() -> None:
    async with Decoder(processes=1, timeout=2) as pool:
        # Given a child that has stopped answering
        await pool.prepare(GOOD, [MODEL])
        (stuck,) = pool.idle_pids
        os.kill(stuck, signal.SIGSTOP)

        with pytest.raises(DecodeError) as refusal:
            await pool.prepare(GOOD, [MODEL])

        assert refusal.value.code == DecodeCode.DECODE_TIMEOUT
        await until(lambda: gone(stuck))
        await pool.warm()
        assert stuck not in pool.idle_pids
        assert len(pool.idle_pids) == 1


async def test_a_child_killed_between_pictures_costs_none(decoder) -> None:
    await decoder.prepare(GOOD, [MODEL])
    (victim,) = decoder.idle_pids
    os.kill(victim, signal.SIGKILL)

    assert (await decoder.prepare(GOOD, [MODEL])).width == 300
    assert victim not in decoder.idle_pids


async def busy_child(besides: set[int]) -> int:
    """The id of a child that has begun to allocate a large picture."""
    found: list[int] = []

    def decoding() -> bool:
        for child in children():
            try:
                if child.pid not in besides and child.memory_info().rss > GROWN:
                    found.append(child.pid)
            except psutil.NoSuchProcess:
                continue
        return bool(found)

    await until(decoding)
    return found[0]


async def test_a_crash_in_mid_picture_is_tried_once_more(decoder) -> None:
    work = asyncio.create_task(decoder.prepare(SLOW, [MODEL]))
    os.kill(await busy_child(set()), signal.SIGKILL)

    assert (await work).width == 7000


async def test_a_picture_that_crashes_its_decoder_again_fails_alone() -> None:
    async with Decoder(processes=2, timeout=20) as pool:
        work = asyncio.create_task(pool.prepare(SLOW, [MODEL]))
        first = await busy_child(set())
        os.kill(first, signal.SIGKILL)
        os.kill(await busy_child({first}), signal.SIGKILL)

        with pytest.raises(DecodeError) as refusal:
            await work

        assert refusal.value.code == DecodeCode.DECODE_CRASHED
        assert (await pool.prepare(GOOD, [MODEL])).width == 300


async def test_damaged_files_end_with_a_code_and_cost_no_child() -> None:
    # Given files of every format with bytes changed at random, in the header and all over
    chance = np.random.default_rng(7)
    intact = [encoded(drawing(90, 70), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "AVIF")]

    def damaged(number: int) -> bytes:
        data = bytearray(intact[number % len(intact)])
        for at in chance.integers(0, len(data) if number % 2 else 100, size=8):
            data[at] = chance.integers(0, 256)
        return bytes(data)

    async with Decoder(processes=2) as pool:
        await pool.warm()
        pids = set(pool.idle_pids)
        outcomes = await asyncio.gather(
            *(pool.prepare(damaged(number), [MODEL]) for number in range(100)), return_exceptions=True
        )

        assert all(isinstance(outcome, PreparedImage | DecodeError) for outcome in outcomes)
        assert set(pool.idle_pids) == pids


async def test_memory_is_bounded() -> None:
    async with Decoder(processes=1, memory=64 * MIB) as pool:
        with pytest.raises(DecodeError) as refusal:
            await pool.prepare(SLOW, [MODEL])

        assert refusal.value.code == DecodeCode.TOO_MUCH_MEMORY
        assert (await pool.prepare(GOOD, [MODEL])).width == 300


async def test_the_default_memory_is_enough_for_the_worst_within_the_limits(decoder) -> None:
    # Given the most expensive shape that is allowed: 49 MP, turned, with alpha
    glass = Image.new("RGBA", (7000, 7000), (200, 30, 90, 128))
    worst = encoded(glass, "PNG", compress_level=1, exif=turned(6))

    assert (await decoder.prepare(worst, [MODEL])).has_alpha


async def test_a_cancelled_picture_takes_its_child_with_it(decoder) -> None:
    work = asyncio.create_task(decoder.prepare(SLOW, [MODEL]))
    child = await busy_child(set())
    work.cancel()

    with pytest.raises(asyncio.CancelledError):
        await work
    await until(lambda: gone(child))
    assert (await decoder.prepare(GOOD, [MODEL])).width == 300


async def test_closing_leaves_no_process_and_no_pipe() -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    pool = Decoder(processes=2)
    await pool.warm()
    pids = pool.idle_pids
    await asyncio.gather(*(pool.prepare(GOOD, [MODEL]) for _ in range(6)))
    await pool.close()

    assert all(gone(pid) for pid in pids)
    await until(lambda: len(os.listdir("/proc/self/fd")) <= before)  # noqa: PTH208
    with pytest.raises(TransientError) as refusal:
        await pool.prepare(GOOD, [MODEL])
    assert refusal.value.code == UnavailableCode.DECODER_UNAVAILABLE


async def test_closing_in_mid_picture_ends_that_too() -> None:
    pool = Decoder(processes=1)
    work = asyncio.create_task(pool.prepare(SLOW, [MODEL]))
    child = await busy_child(set())

    await pool.close()

    with pytest.raises(TransientError):
        await work
    assert gone(child)
    assert children() == []


async def test_children_do_not_inherit_secrets(decoder, monkeypatch) -> None:
    monkeypatch.setenv("TAGDESK_DATABASE_URL", "mysql+asyncmy://user:secret@127.0.0.1/x")
    await decoder.prepare(GOOD, [MODEL])
    (pid,) = decoder.idle_pids

    assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()  # noqa: ASYNC240


PARENT = """
import asyncio, json, sys
from orchestrator.images.decoder import Decoder
from orchestrator.records import Geometry, PreparedImage

async def main():
    decoder = Decoder(processes=2)
    await decoder.warm()
    print(json.dumps(decoder.idle_pids), flush=True)
    await decoder.prepare(open(sys.argv[1], "rb").read(), [Geometry()])
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_children_die_with_a_parent_that_is_killed(tmp_path) -> None:
    # Given another process with a warm decoder, one of whose children is in the middle of a picture
    (tmp_path / "slow.png").write_bytes(SLOW)
    command = [sys.executable, "-c", PARENT, str(tmp_path / "slow.png")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:  # noqa: ASYNC220
        assert parent.stdout is not None
        pids = json.loads(await asyncio.to_thread(parent.stdout.readline))
        await until(lambda: any(psutil.Process(pid).memory_info().rss > GROWN for pid in pids))

        parent.kill()

        await until(lambda: all(gone(pid) for pid in pids))


def prepare_on_a_loop_in_a_thread(data: bytes) -> tuple[int, int]:
    """As a dramatiq worker does: a daemonic process whose event loop is not on the main thread."""
    sizes = []

    async def work() -> None:
        async with Decoder(processes=1) as pool:
            prepared = await pool.prepare(data, [MODEL])
            sizes.append((prepared.width, prepared.height))

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    thread.join()
    return sizes[0]


def test_it_works_inside_a_daemonic_process_off_the_main_thread() -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        assert pool.apply(prepare_on_a_loop_in_a_thread, (GOOD,)) == (300, 200)
        pool.close()
        pool.join()
