"""Board import: images that nobody has asked to be analysed, and how far a file has come.

- `images.state` 'imported': known from the board's own files; neither sweeper nor workers look at it until
  somebody asks (a backfill, a registration, a re-analysis).
- `import_runs`: a file of one kind, known by the SHA-256 of its bytes. `rows_done`: rows behind us, good and
  bad ones; set in the transaction that stores them, so that a killed import goes on behind its last one.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLE = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci"
STATES = "'queued', 'running', 'done', 'failed'"


def upgrade() -> None:
    op.execute(f"ALTER TABLE images MODIFY state ENUM({STATES}, 'imported') NOT NULL DEFAULT 'queued'")
    op.execute(
        f"""
        CREATE TABLE import_runs (
            kind ENUM('tags', 'users', 'images', 'links') NOT NULL,
            sha256 BINARY(32) NOT NULL,
            name VARCHAR(255) NOT NULL,
            state ENUM('running', 'done') NOT NULL,
            rows_done BIGINT NOT NULL DEFAULT 0,
            fresh BIGINT NOT NULL DEFAULT 0,
            existing BIGINT NOT NULL DEFAULT 0,
            changed BIGINT NOT NULL DEFAULT 0,
            refused BIGINT NOT NULL DEFAULT 0,
            started_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
            finished_at DATETIME(6) NULL,
            PRIMARY KEY (kind, sha256)
        ) {TABLE}
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE import_runs")
    # A release that does not know the state would send them all: they may be retried when somebody wants to.
    op.execute(
        "UPDATE images SET state = 'failed', failure_code = 'imported',"
        " failure_detail = 'registered, never analysed' WHERE state = 'imported'"
    )
    op.execute(f"ALTER TABLE images MODIFY state ENUM({STATES}) NOT NULL DEFAULT 'queued'")
