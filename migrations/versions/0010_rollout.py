"""Rolling versions out: what a version took over from, shadows, and backfills in an order of their own.

- `model_versions.replaced_id`: the version that was active before this one, for going back.
- `shadows`: a version that scores a share of the images beside the active ones. `share` in ten-thousandths;
  `images`, `failures`: how many it scored, and did not; `scored_at`: when a process last did; `note`,
  `noted_at`: why and when a process last held back, or why it was stopped.
- `backfill_images.place`: images are taken in this order, those of equal place by id.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLE = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci"


def upgrade() -> None:
    op.execute("ALTER TABLE model_versions ADD COLUMN replaced_id SMALLINT NULL")
    op.execute(
        f"""
        CREATE TABLE shadows (
            model_version_id SMALLINT NOT NULL PRIMARY KEY,
            share SMALLINT UNSIGNED NOT NULL,
            started_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
            images INT UNSIGNED NOT NULL DEFAULT 0,
            failures INT UNSIGNED NOT NULL DEFAULT 0,
            scored_at DATETIME(6) NULL,
            note VARCHAR(200) NULL,
            noted_at DATETIME(6) NULL,
            CONSTRAINT shadows_version FOREIGN KEY (model_version_id)
                REFERENCES model_versions (id) ON DELETE CASCADE,
            CONSTRAINT shadows_share CHECK (share BETWEEN 1 AND 10000)
        ) {TABLE}
        """
    )
    op.execute(
        "ALTER TABLE backfill_images ADD COLUMN place BIGINT NOT NULL DEFAULT 0,"
        " ADD KEY backfill_images_place (backfill_id, state, place, image_id),"
        " DROP KEY backfill_images_state"
    )


def downgrade() -> None:
    op.execute(
        "ALTER TABLE backfill_images ADD KEY backfill_images_state (backfill_id, state, image_id),"
        " DROP KEY backfill_images_place, DROP COLUMN place"
    )
    op.execute("DROP TABLE shadows")
    op.execute("ALTER TABLE model_versions DROP COLUMN replaced_id")
