"""How far the files of a board import have come. A file is known by its kind and the SHA-256 of its bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.store.transaction import Transaction

NAME_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by what became of them. `existing`: nothing to do."""

    new: int = 0
    existing: int = 0
    changed: int = 0
    refused: int = 0

    @property
    def rows(self) -> int:
        """All of them."""
        return self.new + self.existing + self.changed + self.refused

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.new + other.new,
            self.existing + other.existing,
            self.changed + other.changed,
            self.refused + other.refused,
        )


@dataclass(frozen=True, slots=True)
class ImportRun:
    """A file's import. `counts`: of the rows that are behind it."""

    done: bool
    counts: Counts


async def begin(tx: Transaction, files: Mapping[str, tuple[bytes, str]]) -> dict[str, ImportRun]:
    """Return how far each file has come; `files`: SHA-256 and name by kind.

    While one of them is unfinished, finished ones count as done. When all are, or are new, all begin anew.
    """
    found: dict[str, ImportRun] = {}
    for kind, (sha256, _) in files.items():
        row = await tx.fetch_one(
            "SELECT * FROM import_runs WHERE kind = :kind AND sha256 = :sha256 FOR UPDATE",
            kind=kind,
            sha256=sha256,
        )
        if row is not None:
            counts = Counts(row["fresh"], row["existing"], row["changed"], row["refused"])
            found[kind] = ImportRun(row["state"] == "done", counts)
    goes_on = any(not run.done for run in found.values())
    for kind, (sha256, name) in files.items():
        if goes_on and kind in found:
            continue
        found[kind] = ImportRun(False, Counts())
        await tx.execute(
            "REPLACE INTO import_runs (kind, sha256, name, state) VALUES (:kind, :sha256, :name, 'running')",
            kind=kind,
            sha256=sha256,
            name=name[-NAME_LENGTH:],
        )
    return found


async def advance(tx: Transaction, kind: str, sha256: bytes, counts: Counts) -> None:
    """Note rows that are stored, in the transaction that stores them."""
    await tx.execute(
        """
        UPDATE import_runs
        SET rows_done = rows_done + :rows, fresh = fresh + :new, existing = existing + :existing,
            changed = changed + :changed, refused = refused + :refused
        WHERE kind = :kind AND sha256 = :sha256
        """,
        kind=kind,
        sha256=sha256,
        rows=counts.rows,
        new=counts.new,
        existing=counts.existing,
        changed=counts.changed,
        refused=counts.refused,
    )


async def finish(tx: Transaction, kind: str, sha256: bytes) -> None:
    """Note that a file is imported."""
    await tx.execute(
        "UPDATE import_runs SET state = 'done', finished_at = UTC_TIMESTAMP(6)"
        " WHERE kind = :kind AND sha256 = :sha256",
        kind=kind,
        sha256=sha256,
    )
