# ruff: noqa: S608  (whole numbers of this program stand in the statement; other values are bound)
"""How often each label was said: sums over the raw predictions, which only this module reads at large."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store

IMAGES_PER_STATEMENT = 20_000


@dataclass(frozen=True, slots=True)
class LabelSums:
    """What all images say of one label. `raw`: stored predictions; `above`: those at or above the floor."""

    model_version_id: int
    label: int
    raw: int
    above: int


async def sum_labels(
    store: Store,
    floors: Sequence[tuple[int, Sequence[int]]],
    *,
    images_per_statement: int = IMAGES_PER_STATEMENT,
    progress: Callable[[int, int], object] = lambda done, all_: None,
) -> tuple[LabelSums, ...]:
    """Sum up versions, each given as (id, the floor of every label in ten-thousandths, in label order).

    Reads ranges of images one after the other, so that no statement is long; `progress` hears (done, of).
    """
    sums: dict[tuple[int, int], tuple[int, int]] = {}
    last = await store.read(_last_image)
    for start in range(0, last, images_per_statement):
        until = min(start + images_per_statement, last)
        for version_id, by_label in floors:

            async def work(
                tx: Transaction,
                version_id: int = version_id,
                by_label: Sequence[int] = by_label,
                after: int = start,
                until: int = until,
            ) -> list[tuple[int, int, int]]:
                return await _sum_range(tx, version_id, by_label, after, until)

            for label, raw, above in await store.read(work):
                before = sums.get((version_id, label), (0, 0))
                sums[version_id, label] = (before[0] + raw, before[1] + above)
        progress(until, last)
    return tuple(LabelSums(*key, *counts) for key, counts in sorted(sums.items()))


async def _last_image(tx: Transaction) -> int:
    row = await tx.fetch_one("SELECT MAX(id) AS last FROM images")
    return 0 if row is None or row["last"] is None else int(row["last"])


async def _sum_range(
    tx: Transaction, version_id: int, floors: Sequence[int], after: int, until: int
) -> list[tuple[int, int, int]]:
    # ELT picks a label's floor by its number, without a lookup in a table for each of millions of rows.
    floor = f"CAST(ELT(label + 1, {', '.join(str(int(floor)) for floor in floors)}) AS UNSIGNED)"
    rows = await tx.fetch_rows(
        f"SELECT label, COUNT(*), SUM(score >= {floor}) FROM raw_predictions"
        " WHERE image_id > :after AND image_id <= :until AND model_version_id = :version GROUP BY label",
        after=after,
        until=until,
        version=version_id,
    )
    return [(label, int(raw), int(above)) for label, raw, above in rows]
