"""Reviews by filter as jobs, and statistics rolled up from the log.

- `review_jobs`: a bulk review, or an undo that is too large for one transaction. `batch_id` is the one batch
  that it writes, `target_batch_id` what an undo takes back. (`cursor_tag`, `cursor_id`): where it stands, set
  in the transaction of the chunk. `confirmation` makes the same confirmation start one job only.
- `review_samples`: rows of bulk reviews that somebody should look at again.
- `review_rollups`: sums of the log by dimension and subject, by day and for all time (ALL_TIME as the day).
- `review_batches.counted`, `counted_to`: whether the roll-ups have all of a batch, and up to which line. Both
  are set by who sums up; reviewers insert their batches as before.
- `verdicts.exploration`: whether the row was one when it was judged.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ASCII = "CHARACTER SET ascii COLLATE ascii_bin"
TABLE = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci"
MEASURES = (
    *("approved", "wrong", "redundant", "not_wanted", "other", "implied", "cleared"),
    *("explored_approved", "explored_rejected"),
)

TABLES = {
    "review_jobs": f"""
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        kind ENUM('bulk', 'undo') NOT NULL,
        state ENUM('queued', 'running', 'done', 'cancelled', 'failed') NOT NULL DEFAULT 'queued',
        user_id BIGINT NOT NULL,
        batch_id BIGINT NOT NULL,
        target_batch_id BIGINT NULL,
        request JSON NOT NULL,
        confirmation BINARY(16) NULL,
        total INT UNSIGNED NOT NULL,
        processed INT UNSIGNED NOT NULL DEFAULT 0,
        changed INT UNSIGNED NOT NULL DEFAULT 0,
        sampled INT UNSIGNED NOT NULL DEFAULT 0,
        cursor_tag BIGINT NOT NULL DEFAULT 0,
        cursor_id BIGINT NOT NULL DEFAULT 0,
        until_id BIGINT NOT NULL,
        attempts SMALLINT UNSIGNED NOT NULL DEFAULT 0,
        failure_code VARCHAR(64) {ASCII} NULL,
        failure_detail VARCHAR(1000) NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        started_at DATETIME(6) NULL,
        finished_at DATETIME(6) NULL,
        UNIQUE KEY review_jobs_confirmation (confirmation),
        KEY review_jobs_state (state, id),
        KEY review_jobs_user (user_id, id),
        KEY review_jobs_batch (batch_id),
        KEY review_jobs_target (target_batch_id),
        CONSTRAINT review_jobs_user FOREIGN KEY (user_id) REFERENCES users (id)
    """,
    "review_samples": """
        job_id BIGINT NOT NULL,
        suggestion_id BIGINT NOT NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        PRIMARY KEY (job_id, suggestion_id)
    """,
    "review_rollups": f"""
        dimension ENUM('total', 'model', 'type', 'tag', 'bucket', 'reviewer') NOT NULL,
        day DATE NOT NULL,
        subject BIGINT NOT NULL,
        {", ".join(f"{measure} INT NOT NULL DEFAULT 0" for measure in MEASURES)},
        PRIMARY KEY (dimension, day, subject)
    """,
}


def upgrade() -> None:
    for name, body in TABLES.items():
        op.execute(f"CREATE TABLE {name} ({body}) {TABLE}")
    op.execute(
        "ALTER TABLE review_batches ADD COLUMN counted BOOLEAN NOT NULL DEFAULT FALSE,"
        " ADD COLUMN counted_to BIGINT NOT NULL DEFAULT 0,"
        " ADD KEY review_batches_counted (counted, id)"
    )
    # A large batch is taken back image by image.
    op.execute(
        "ALTER TABLE verdicts ADD COLUMN exploration BOOLEAN NOT NULL DEFAULT FALSE,"
        " ADD KEY verdicts_batch_image (batch_id, image_id), DROP KEY verdicts_batch"
    )


def downgrade() -> None:
    op.execute(
        "ALTER TABLE verdicts DROP COLUMN exploration,"
        " ADD KEY verdicts_batch (batch_id), DROP KEY verdicts_batch_image"
    )
    op.execute(
        "ALTER TABLE review_batches DROP KEY review_batches_counted, DROP COLUMN counted,"
        " DROP COLUMN counted_to"
    )
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")
