"""`kill -9` of who promotes, between any two statements: all of it or none of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from coloured_sources import Source
from workshop import Workshop

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent


@contextmanager
def harness_of(variables: dict[str, str]) -> "Iterator[subprocess.Popen[str]]":
    """Run the process that starts dying promotions."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "dying_promotion.py"), "colours", "2"],
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as harness:
        yield harness


async def everything(workshop: Workshop) -> object:
    async def count(table: str) -> int:
        ((found,),) = await workshop.store.read(
            lambda tx: tx.fetch_rows(f"SELECT COUNT(*) FROM {table}")  # (names of tables)
        )
        return int(found)

    ((stamp,),) = await workshop.store.read(lambda tx: tx.fetch_rows("SELECT version FROM rules_version"))
    return await workshop.rows(), stamp, [await count(one) for one in ("audit_log", "outbox", "backfills")]


async def test_killed_anywhere_in_a_promotion_leaves_the_old_state(
    workshop: Workshop, tmp_path: Path, variables: dict[str, str]
) -> None:
    for version, gain in ((1, 1.0), (2, 0.5)):
        source = Source(gain=gain).write(tmp_path / str(version))
        await workshop.publisher().publish(source, activate=True)
    before = await everything(workshop)
    with harness_of(variables) as harness:

        def promote(deadly: int) -> int:
            harness.stdin.write(f"{deadly}\n")
            harness.stdin.flush()
            return int(harness.stdout.readline())

        deaths = 0
        while (ended := promote(deaths + 1)) == -signal.SIGKILL:
            deaths += 1
            assert await everything(workshop) == before, f"killed before statement {deaths}"
        harness.stdin.close()
    assert ended == 0
    assert deaths >= 8, "a promotion takes more statements than that"
    rows = await workshop.rows()
    assert {row.version: str(row.state) for row in rows.values()} == {1: "retired", 2: "active"}
    _, _, counts = await everything(workshop)  # type: ignore[misc]
    assert counts == [one + 1 for one in before[2]]  # type: ignore[index]
