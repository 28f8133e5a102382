"""The folder that parts go to: one run at a shard at a time, and what an earlier one has left there."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import Conflict, InvalidInput
from orchestrator.offline.arrays import header_of_arrays
from orchestrator.offline.parts import PartHeader, find_parts, header_of_lines, remove_unfinished
from orchestrator.offline.worklist import Shard, WorkList


@contextmanager
def alone(folder: Path, shard: Shard) -> Iterator[None]:
    """Be the only run of the shard in its folder; the lock ends with the process. Raises Conflict."""
    path = folder / f".shard-{shard.number}of{shard.of}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            detail = f"another run is at shard {shard.number}/{shard.of} in {folder}"
            raise Conflict(detail, code="shard_busy") from error
        yield
    finally:
        os.close(descriptor)


def finished_parts(folder: Path, work: WorkList, shard: Shard, size: int) -> frozenset[int]:
    """Return which parts of a shard are there, each of `size` images; what is half written goes.

    One with images that were out of reach is none of them: perhaps this run has their pictures.

    Raises InvalidInput (`other_run`) for parts of another list or run, (`bad_part`), OSError.
    """
    remove_unfinished(folder, shard)
    done = set()
    for path in find_parts(folder):
        header = (header_of_lines if path.suffix == ".jsonl" else header_of_arrays)(path)
        if header.work != work.digest or header.shards != shard.of:
            raise _other(path, "answers another work list, or another number of shards")
        if header.shard != shard.number:
            continue
        if header.model_copy(update={"out_of_reach": 0}) != PartHeader.of(work, shard, header.part, size):
            raise _other(path, "has another number of images than the parts of this run")
        if not header.out_of_reach:
            done.add(header.part)
    return frozenset(done)


def _other(path: Path, why: str) -> InvalidInput:
    return InvalidInput(f"{path} {why}: choose another folder, or remove it", code="other_run")
