"""Re-maps as the keeper does them, and what they leave."""

from small_board import SmallBoard

from orchestrator.records import Decision, RunState, VerdictRequest
from orchestrator.remap import runs
from orchestrator.remap.runs import Scope
from orchestrator.remapper import Remapper
from orchestrator.review.service import review
from orchestrator.store import remaps
from orchestrator.store.remaps import Remap
from orchestrator.store.transaction import Transaction

EVERYTHING = Scope()

Rows = list[tuple[object, ...]]


async def remap(board: SmallBoard, remapper: Remapper, scope: Scope = EVERYTHING) -> Remap:
    """Start a re-map and let the keeper finish it."""
    begun = await runs.start(board.store, scope)
    for _ in range(50):
        await remapper.work()
        found = await board.store.read(lambda tx: remaps.get(tx, begun.id))
        if found.state is not RunState.RUNNING:
            return found
    raise AssertionError(found)


async def stored(board: SmallBoard) -> Rows:
    """All suggestions and what speaks for them, but for ids, versions and dates."""

    async def work(tx: Transaction) -> Rows:
        return await tx.fetch_rows(
            "SELECT s.image_id, s.tag_id, s.status, s.score, s.confidence, s.model_version_id, s.inferred,"
            " s.exploration, e.model_version_id, e.label, e.mapping_id, e.score FROM suggestions s"
            " LEFT JOIN suggestion_evidence e ON e.suggestion_id = s.id ORDER BY 1, 2, 9, 10"
        )

    return await board.store.read(work)


async def decide(board: SmallBoard, image_id: int, title: str, decision: Decision) -> None:
    row = (await board.rows(image_id))[title]
    await review(board.store, board.moderator, image_id, [VerdictRequest(row.id, row.version, decision)])
