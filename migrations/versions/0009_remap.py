"""Re-maps: stored scores brought in line with the rules of the day.

- `remaps`: images up to `looked_to` have been looked at, of those up to `until_id`. `asked`: which images.
  `stamp`: the rules' change stamp when it began. Counts are of suggestions, but `looked` and `changed`.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLE = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci"


def upgrade() -> None:
    op.execute(
        f"""
        CREATE TABLE remaps (
            id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
            state ENUM('running', 'paused', 'cancelled', 'done') NOT NULL DEFAULT 'running',
            asked JSON NOT NULL,
            stamp BIGINT NOT NULL,
            looked_to BIGINT NOT NULL DEFAULT 0,
            until_id BIGINT NOT NULL,
            looked INT UNSIGNED NOT NULL DEFAULT 0,
            changed INT UNSIGNED NOT NULL DEFAULT 0,
            added INT UNSIGNED NOT NULL DEFAULT 0,
            removed INT UNSIGNED NOT NULL DEFAULT 0,
            updated INT UNSIGNED NOT NULL DEFAULT 0,
            created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
            resumed_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
            looked_before INT UNSIGNED NOT NULL DEFAULT 0,
            finished_at DATETIME(6) NULL,
            KEY remaps_state (state, id)
        ) {TABLE}
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE remaps")
