"""Backfills: many images analysed behind everything that people wait for.

- `backfills`: `asked` is what was asked for, as text; of a filter, the images up to `selected_to` have been
  looked at, of those up to `until_id`. `total`, `sent`, `done`, `failed` are counted with the rows.
- `backfill_images`: an image of a backfill. `sent`: it was queued for this, and has not ended since.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ASCII = "CHARACTER SET ascii COLLATE ascii_bin"
TABLE = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci"

TABLES = {
    "backfills": """
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        state ENUM('running', 'paused', 'cancelled', 'done') NOT NULL,
        asked JSON NOT NULL,
        selected_to BIGINT NOT NULL DEFAULT 0,
        until_id BIGINT NOT NULL DEFAULT 0,
        total INT UNSIGNED NOT NULL DEFAULT 0,
        sent INT UNSIGNED NOT NULL DEFAULT 0,
        done INT UNSIGNED NOT NULL DEFAULT 0,
        failed INT UNSIGNED NOT NULL DEFAULT 0,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        resumed_at DATETIME(6) NULL,
        ended_before INT UNSIGNED NOT NULL DEFAULT 0,
        finished_at DATETIME(6) NULL,
        KEY backfills_state (state, id)
    """,
    "backfill_images": f"""
        backfill_id BIGINT NOT NULL,
        image_id BIGINT NOT NULL,
        state ENUM('waiting', 'sent', 'done', 'failed') NOT NULL DEFAULT 'waiting',
        code VARCHAR(64) {ASCII} NULL,
        PRIMARY KEY (backfill_id, image_id),
        KEY backfill_images_state (backfill_id, state, image_id),
        CONSTRAINT backfill_images_backfill FOREIGN KEY (backfill_id) REFERENCES backfills (id),
        CONSTRAINT backfill_images_image FOREIGN KEY (image_id) REFERENCES images (id)
    """,
}


def upgrade() -> None:
    for name, body in TABLES.items():
        op.execute(f"CREATE TABLE {name} ({body}) {TABLE}")


def downgrade() -> None:
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")
