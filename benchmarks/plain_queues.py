# ruff: noqa: S608  (statements are put together from this module's own constants; values are bound)
"""The plain design that `queue_scale` compares with, behind the same HTTP layer.

Counting by GROUP BY, pages by OFFSET, and the whole counted for every page.
"""

from starlette.applications import Starlette

from orchestrator.api import call
from orchestrator.api.app import create_app
from orchestrator.records import QueueOrder, TagType, User
from orchestrator.review import queues
from orchestrator.review.queues import PagePlace, QueuePage, QueueRequest, WorklistPage, WorklistRow
from orchestrator.store import queue_rows, tags
from orchestrator.store.queues import HALF, Key
from orchestrator.store.rows import TAG_COLUMNS, tag
from orchestrator.store.transaction import Transaction
from orchestrator.store.worklist import Waiting

PATIENCE = 60.0

_ORDERS = {
    QueueOrder.CONFIDENCE: "confidence DESC, id DESC",
    QueueOrder.UNCERTAINTY: f"ABS(CAST(confidence AS SIGNED) - {HALF}), id",
    QueueOrder.NEWEST: "id DESC",
}


async def plain_worklist(
    tx: Transaction,
    user: User,
    *,
    type: TagType | None = None,  # noqa: A002
    min_confidence: int = 0,
    model: str | None = None,
    search: str | None = None,
    after: tuple[int, int] | None = None,
    limit: int = 50,
) -> WorklistPage:
    """Count everything that is pending, for a page."""
    rows = await tx.fetch_all(
        f"""
        SELECT {TAG_COLUMNS}, COUNT(*) AS pending FROM suggestions s JOIN tags t ON t.id = s.tag_id
        WHERE s.status = 'pending' AND s.confidence >= :least AND (:type IS NULL OR t.type = :type)
          AND (:search IS NULL OR t.title LIKE CONCAT('%', :search, '%'))
        GROUP BY t.id ORDER BY pending DESC, t.id DESC LIMIT :limit
        """,
        least=min_confidence,
        type=type,
        search=search,
        limit=limit,
    )
    return WorklistPage(tuple(WorklistRow(Waiting(tag(row), row["pending"]), ()) for row in rows), None)


async def plain_queue(tx: Transaction, user: User, request: QueueRequest) -> QueuePage:
    """Skip the rows before the page, and count all of them."""
    condition = "tag_id = :tag_id AND status = 'pending' AND confidence >= :least"
    parameters: dict[str, object] = {
        "tag_id": request.tag_id,
        "least": request.min_confidence,
        "limit": request.limit,
        "skipped": request.after.seen,
    }
    ids = await tx.fetch_rows(
        f"SELECT id FROM suggestions WHERE {condition} ORDER BY {_ORDERS[request.order]}"
        " LIMIT :limit OFFSET :skipped",
        **parameters,
    )
    ((amount,),) = await tx.fetch_rows(f"SELECT COUNT(*) FROM suggestions WHERE {condition}", **parameters)
    rows = await queue_rows.rows(tx, [row[0] for row in ids])
    then = PagePlace(Key(0, 0, 0), 0, request.after.seen + len(rows))
    return QueuePage(await tags.get(tx, request.tag_id), tuple(rows), int(amount), (), then)


def create_plain_app() -> Starlette:
    """Return the real application with the plain design in the place of ours, and the patience it needs."""
    vars(queues).update(read_worklist=plain_worklist, read_queue=plain_queue)
    vars(call)["READ_PATIENCE"] = PATIENCE
    return create_app()
