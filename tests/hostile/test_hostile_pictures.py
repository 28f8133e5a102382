"""Hundreds of hostile files through the real decoder: documented codes, no child lost, little memory."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from hostile_files import MIB, Case, good, hostile_cases, with_scans
from PIL import Image

from orchestrator.errors import DecodeError
from orchestrator.images.codes import DecodeCode
from orchestrator.images.decoder import Decoder
from orchestrator.records import Geometry

pytestmark = pytest.mark.anyio

MODEL = Geometry()
AT_ONCE = 4
PEAK = 700 * MIB
"""Bytes of memory that the worst of these files may make a child use."""


def peak_memory(pid: int) -> int:
    """Return the most memory that a process ever had resident, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


async def outcome(decoder: Decoder, data: bytes) -> str:
    """Return `ok WIDTHxHEIGHT`, or the code that the file is refused with."""
    try:
        prepared = await decoder.prepare(data, [MODEL])
    except DecodeError as error:
        return error.code
    assert prepared.tensors[MODEL].shape == (448, 448, 3)
    return f"ok {prepared.width}x{prepared.height}"


def documented(case: Case) -> set[str]:
    """Return the outcomes that are right for a file."""
    if case.size is not None:
        return {"ok {}x{}".format(*case.size)}
    return {code.value for code in case.codes}


def test_the_corpus_is_large_varied_and_always_the_same() -> None:
    # Given the corpus, made twice
    once, again = hostile_cases(), hostile_cases()
    # Then there are hundreds of cases of different names, of every code that bytes alone can bring about
    assert len(once) >= 300
    assert len({case.name for case in once}) == len(once)
    by_bytes = set(DecodeCode) - {
        DecodeCode.TOO_MUCH_MEMORY,
        DecodeCode.DECODE_TIMEOUT,
        DecodeCode.DECODE_CRASHED,
    }
    assert {code for case in once for code in case.codes} == by_bytes
    # And the bytes are the same
    small = [number for number, case in enumerate(once) if "bomb" not in case.name and "49" not in case.name]
    for number in small[::10]:
        digests = {hashlib.sha256(cases[number].make()).digest() for cases in (once, again)}
        assert len(digests) == 1, once[number]


async def test_every_file_gets_its_documented_outcome_and_no_child_is_lost() -> None:
    # Given a warm decoder, and a good picture after every fourth hostile one
    wrong: dict[str, str] = {}
    slots = asyncio.Semaphore(AT_ONCE)
    async with Decoder(processes=2, timeout=30) as decoder:
        await decoder.warm()
        children = set(decoder.idle_pids)

        async def judge(name: str, data: bytes, right: set[str]) -> None:
            if (found := await outcome(decoder, data)) not in right:
                wrong[name] = f"{found}, not {sorted(right)}"

        async def hostile(case: Case) -> None:
            async with slots:
                await judge(case.name, await asyncio.to_thread(case.make), documented(case))

        async def sound(number: int) -> None:
            async with slots:
                data, (width, height) = good(number)
                await judge(f"good-{number}", data, {f"ok {width}x{height}"})

        # When all of them are prepared
        async with asyncio.TaskGroup() as tasks:
            for number, case in enumerate(hostile_cases()):
                tasks.create_task(hostile(case))
                if number % 4 == 0:
                    tasks.create_task(sound(number))

        # Then each ended as documented, in the children of the beginning, which stayed small
        assert wrong == {}
        assert set(decoder.idle_pids) == children
        peaks = {pid: peak_memory(pid) // MIB for pid in children}
        assert max(peaks.values()) * MIB < PEAK, peaks


async def test_a_picture_that_takes_too_long_costs_its_child_and_nothing_else() -> None:
    # Given a progressive JPEG within every limit, whose scans take seconds all the same
    slow = with_scans(88, Image.new("L", (7_000, 7_000)))
    async with Decoder(processes=1, timeout=1.0) as decoder:
        await decoder.warm()
        (child,) = decoder.idle_pids
        # When it is prepared
        found = await outcome(decoder, slow)
        # Then it ends by its time, and the next picture has a new child
        assert found == DecodeCode.DECODE_TIMEOUT
        data, (width, height) = good(1)
        assert await outcome(decoder, data) == f"ok {width}x{height}"
        assert child not in decoder.idle_pids
