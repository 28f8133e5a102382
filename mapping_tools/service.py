"""Importing and exporting mappings against the store: all of a file or none of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from mapping_tools.plan import ImportPlan, as_rows, compare
from mapping_tools.rows import BadMappingFile, MappingRow
from orchestrator.store import mappings, tags
from orchestrator.store.mappings import NewMapping
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store


@dataclass(frozen=True, slots=True)
class ImportResult:
    """`written`: rows that really changed; 0 for a dry run."""

    plan: ImportPlan
    written: int


async def import_rows(
    store: Store,
    rows: Sequence[MappingRow],
    *,
    apply: bool,
    replace: bool = False,
    actor_id: int | None = None,
) -> ImportResult:
    """Compare `rows` with the board and, with `apply`, write them in the same transaction.

    Mappings that exist are kept unless `replace`. Raises BadMappingFile when `apply` is asked for and a title
    names no tag: nothing is written then.
    """

    async def work(tx: Transaction) -> ImportResult:
        plan = compare(rows, await tags.load_all(tx), await mappings.load_all(tx))
        if not apply:
            return ImportResult(plan, 0)
        if plan.unknown:
            raise BadMappingFile(
                [f"line {bad.row.line}: {bad.row.title!r}: {bad.explained}" for bad in plan.unknown]
            )
        wanted = [
            NewMapping(
                source=target.row.source,
                external_tag=target.row.external_tag,
                action=target.row.action,
                tag_id=None if target.tag is None else target.tag.id,
                weight=target.row.weight,
            )
            for target in plan.to_store(replace=replace)
        ]
        return ImportResult(plan, await mappings.upsert_many(tx, wanted, actor_id=actor_id))

    return await store.write(work)


async def export_rows(store: Store) -> tuple[MappingRow, ...]:
    """Return every mapping as a row of a mapping file, by source and external tag."""

    async def work(tx: Transaction) -> tuple[MappingRow, ...]:
        stored = await mappings.load_all(tx)
        # Read after the mappings, so that a tag that is mapped in between is there.
        return as_rows(stored, await tags.load_all(tx))

    return await store.read(work)
