"""How long a version's raw predictions are kept.

- `raw_retention`: a version without a row keeps all. `newest`: of so many images, for that policy. `forced`:
  also while the version is in use, and what still counts. A pass of the keeper has come to `looked_to` of the
  images up to `until_id`; `passed_at`: when the last one ended. `dropped_…`: what went in all passes.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLE = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci"


def upgrade() -> None:
    op.execute(
        f"""
        CREATE TABLE raw_retention (
            model_version_id SMALLINT NOT NULL PRIMARY KEY,
            policy ENUM('keep', 'newest', 'drop') NOT NULL,
            newest INT UNSIGNED NULL,
            forced BOOLEAN NOT NULL DEFAULT FALSE,
            looked_to BIGINT NOT NULL DEFAULT 0,
            until_id BIGINT NOT NULL DEFAULT 0,
            passed_at DATETIME(6) NULL,
            dropped_images BIGINT NOT NULL DEFAULT 0,
            dropped_rows BIGINT NOT NULL DEFAULT 0,
            CONSTRAINT raw_retention_version FOREIGN KEY (model_version_id)
                REFERENCES model_versions (id) ON DELETE CASCADE,
            CONSTRAINT raw_retention_newest CHECK ((policy = 'newest') = (newest IS NOT NULL))
        ) {TABLE}
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE raw_retention")
