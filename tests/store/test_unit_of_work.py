"""The unit of work against everything that `databases` and a real server do to it."""

import asyncio

import pytest

from orchestrator.errors import StoreUnavailable
from orchestrator.settings import Settings
from orchestrator.store.transaction import DuplicateKey, Transaction
from orchestrator.store.unit_of_work import RETRIES, Store

pytestmark = pytest.mark.anyio


async def add(tx: Transaction, name: str) -> int:
    return await tx.insert("users", name=name, role="tagger")


async def names(store: Store) -> list[str]:
    rows = await store.read(lambda tx: tx.fetch_rows("SELECT name FROM users ORDER BY name"))
    return [row[0] for row in rows]


async def connection_id(tx: Transaction) -> int:
    row = await tx.fetch_one("SELECT CONNECTION_ID() AS id")
    assert row is not None
    return int(row["id"])


async def rename(tx: Transaction, user_id: int, name: str) -> int:
    return await tx.execute("UPDATE users SET name = :name WHERE id = :id", id=user_id, name=name)


async def test_a_unit_commits_what_it_wrote_and_answers_what_it_returned(store: Store) -> None:
    user_id = await store.write(lambda tx: add(tx, "ann"))

    row = await store.read(lambda tx: tx.fetch_one("SELECT name FROM users WHERE id = :id", id=user_id))

    assert row == {"name": "ann"}


async def test_an_error_rolls_all_of_a_unit_back(store: Store) -> None:
    async def half(tx: Transaction) -> None:
        await add(tx, "ann")
        raise LookupError("half-way")

    with pytest.raises(LookupError, match="half-way"):
        await store.write(half)

    assert await names(store) == []


async def test_every_session_reads_committed_rows_in_utc(store: Store) -> None:
    row = await store.read(
        lambda tx: tx.fetch_one(
            "SELECT @@tx_isolation AS level, @@time_zone AS zone, @@innodb_lock_wait_timeout AS lock_wait,"
            " @@innodb_snapshot_isolation AS strict_snapshots"
        )
    )

    assert row == {"level": "READ-COMMITTED", "zone": "+00:00", "lock_wait": 5, "strict_snapshots": 1}


async def test_parameters_are_bound_and_never_part_of_the_statement(store: Store) -> None:
    nasty = "100% 'quoted' \\ :name -- %s"
    await store.write(lambda tx: add(tx, nasty))

    found = await store.read(
        lambda tx: tx.fetch_rows(
            "SELECT name FROM users WHERE name IN :names AND name LIKE '100%'", names=[nasty, "other"]
        )
    )

    assert found == [(nasty,)]


async def test_row_counts_are_those_of_rows_that_changed(store: Store) -> None:
    user_id = await store.write(lambda tx: add(tx, "ann"))

    assert await store.write(lambda tx: rename(tx, user_id, "eve")) == 1
    assert await store.write(lambda tx: rename(tx, user_id, "eve")) == 0


async def test_a_duplicate_key_is_told_apart_and_leaves_the_unit_usable(store: Store) -> None:
    async def twice(tx: Transaction) -> None:
        await add(tx, "ann")
        with pytest.raises(DuplicateKey):
            await add(tx, "ann")
        await add(tx, "eve")

    await store.write(twice)

    assert await names(store) == ["ann", "eve"]


async def test_units_do_not_nest(store: Store) -> None:
    async def outer(tx: Transaction) -> None:
        await add(tx, "ann")
        await store.write(lambda inner: add(inner, "eve"))

    with pytest.raises(RuntimeError, match="do not nest"):
        await store.write(outer)

    assert await names(store) == []


async def test_a_transaction_refuses_child_tasks_and_later_use(store: Store) -> None:
    async def fan_out(tx: Transaction) -> Transaction:
        with pytest.raises(RuntimeError, match="belongs to the task"):
            await asyncio.gather(add(tx, "ann"))
        return tx

    leaked = await store.write(fan_out)

    with pytest.raises(RuntimeError, match="is over"):
        await add(leaked, "ann")


async def test_a_cancelled_caller_leaves_at_once_and_leaks_no_connection(settings: Settings) -> None:
    # Given a pool of one connection, and a unit that is in the middle of its transaction
    store = await Store.connect(settings.model_copy(update={"database_pool": 1}))
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow(tx: Transaction) -> None:
        await add(tx, "ann")
        started.set()
        await go_on.wait()

    caller = asyncio.create_task(store.write(slow))
    await started.wait()

    # When its caller is cancelled
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller

    # Then the caller is gone, the unit ends by itself, and its connection serves the next one
    go_on.set()
    assert await names(store) == ["ann"]
    await store.close()


async def test_closing_waits_for_units_whose_callers_have_gone(settings: Settings, store: Store) -> None:
    leaving = await Store.connect(settings)
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow(tx: Transaction) -> None:
        await add(tx, "ann")
        started.set()
        await go_on.wait()

    caller = asyncio.create_task(leaving.write(slow))
    await started.wait()
    caller.cancel()
    closing = asyncio.create_task(leaving.close())
    go_on.set()
    await closing

    assert await names(store) == ["ann"]


async def test_waiting_for_a_connection_has_an_end(settings: Settings) -> None:
    store = await Store.connect(settings.model_copy(update={"database_pool": 1}), pool_wait=0.05)
    taken, go_on = asyncio.Event(), asyncio.Event()

    async def hog(tx: Transaction) -> None:
        taken.set()
        await go_on.wait()

    hogging = asyncio.create_task(store.write(hog))
    await taken.wait()

    with pytest.raises(StoreUnavailable, match="no free connection"):
        await names(store)

    go_on.set()
    await hogging
    assert await names(store) == []
    await store.close()


async def test_two_units_that_deadlock_both_end_well(store: Store) -> None:
    # Given two rows that two units take in opposite order
    first = await store.write(lambda tx: add(tx, "ann"))
    second = await store.write(lambda tx: add(tx, "eve"))
    meet = asyncio.Barrier(2)
    attempts = 0

    async def both(tx: Transaction, rows: tuple[int, int], mark: str, met: list[bool]) -> None:
        nonlocal attempts
        attempts += 1
        await rename(tx, rows[0], f"{mark}{rows[0]}")
        if not met:  # only the first attempt, so that a retry does not wait for a partner
            met.append(True)
            await meet.wait()
        await rename(tx, rows[1], f"{mark}{rows[1]}")

    # When they meet half-way
    one: list[bool] = []
    other: list[bool] = []
    await asyncio.gather(
        store.write(lambda tx: both(tx, (first, second), "x", one)),
        store.write(lambda tx: both(tx, (second, first), "y", other)),
    )

    # Then one of them ran again on a fresh transaction, and the last one's names stand together
    assert attempts == 3
    assert await names(store) in ([f"x{first}", f"x{second}"], [f"y{first}", f"y{second}"])


async def test_races_are_retried_a_few_times_only(store: Store) -> None:
    attempts = 0

    async def always_loses(tx: Transaction) -> None:
        nonlocal attempts
        attempts += 1
        await add(tx, "ann")
        await tx.execute("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock found'")

    with pytest.raises(StoreUnavailable, match="Deadlock found"):
        await store.write(always_loses)

    assert attempts == RETRIES + 1
    assert await names(store) == []


async def test_a_connection_killed_in_the_middle_is_replaced_and_the_unit_run_again(store: Store) -> None:
    killed: list[int] = []

    async def struck(tx: Transaction) -> None:
        await add(tx, "ann")
        if not killed:
            killed.append(await connection_id(tx))
            await asyncio.create_task(store.write(lambda other: other.execute("KILL :id", id=killed[0])))
        await add(tx, "eve")

    await store.write(struck)

    assert await names(store) == ["ann", "eve"]


async def test_a_connection_that_keeps_dying_is_an_unavailable_store(store: Store) -> None:
    async def doomed(tx: Transaction) -> None:
        await tx.execute("KILL CONNECTION_ID()")

    with pytest.raises(StoreUnavailable, match="gone"):
        await store.write(doomed)

    assert await names(store) == []


async def test_a_connection_killed_while_idle_is_noticed(settings: Settings, store: Store) -> None:
    lonely = await Store.connect(settings.model_copy(update={"database_pool": 1}))
    idle = await lonely.read(connection_id)

    await store.write(lambda tx: tx.execute("KILL :id", id=idle))

    assert await lonely.read(connection_id) != idle
    await lonely.close()


async def test_a_server_that_is_not_there_is_an_unavailable_store(settings: Settings) -> None:
    nowhere = settings.model_copy(
        update={"database_url": type(settings.database_url)("mysql+asyncmy://u:p@127.0.0.1:1/nothing")}
    )

    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await Store.connect(nowhere)
