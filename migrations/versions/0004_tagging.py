"""Tags that people change: who asked for an analysis, and changes of tags that rows have still to follow.

- `images.explicit_by`: who asked for the analysis under way. What it reopens is logged in their name.
- `tag_alignments`: a tag's alias or parent changed, and pending rows of some images are still as before. A
  row goes when all of them have followed; whoever dies on the way leaves it to the keeper. No foreign keys:
  a change of tags should not hold rows that everybody's links point to.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLE = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci"


def upgrade() -> None:
    op.execute("ALTER TABLE images ADD COLUMN explicit_by BIGINT NULL")
    op.execute(
        f"""
        CREATE TABLE tag_alignments (
            id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
            tag_id BIGINT NOT NULL,
            alias_changed BOOLEAN NOT NULL,
            user_id BIGINT NOT NULL,
            created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
        ) {TABLE}
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE tag_alignments")
    op.execute("ALTER TABLE images DROP COLUMN explicit_by")
