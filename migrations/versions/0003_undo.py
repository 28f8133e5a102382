"""Undo, and acts on suggestions that are no verdicts: the log tells every change of a decided row.

`undo` takes a line back, `imply` is the board's own tagging of a suggested tag, `unlink` the removal of a
link that an approval had made, `reopen` a return to pending that a person asked for.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE verdicts MODIFY decision"
        " ENUM('approve', 'reject', 'clear', 'undo', 'imply', 'unlink', 'reopen') NOT NULL"
    )
    # An undone batch names the batch that undid it, or a part of it, last.
    op.execute("ALTER TABLE review_batches ADD COLUMN undone_by BIGINT NULL, ADD COLUMN undoes BIGINT NULL")


def downgrade() -> None:
    op.execute("ALTER TABLE review_batches DROP COLUMN undone_by, DROP COLUMN undoes")
    op.execute("DELETE FROM verdicts WHERE decision NOT IN ('approve', 'reject', 'clear')")
    op.execute("ALTER TABLE verdicts MODIFY decision ENUM('approve', 'reject', 'clear') NOT NULL")
