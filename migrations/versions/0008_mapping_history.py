"""Who changed which mapping, when, from what to what: append-only.

- `mapping_changes`: `before_action` is NULL for a mapping that is new, `after_action` for one that is gone.
  No foreign keys: history outlives what it tells of. `user_id` NULL: somebody with the command line.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

EXACT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
ASCII = "CHARACTER SET ascii COLLATE ascii_bin"
TABLE = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci"


def upgrade() -> None:
    op.execute(
        f"""
        CREATE TABLE mapping_changes (
            id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
            at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
            source VARCHAR(32) {ASCII} NOT NULL,
            external_tag VARCHAR(255) {EXACT} NOT NULL,
            user_id BIGINT NULL,
            before_action ENUM('map', 'ignore') NULL,
            before_tag_id BIGINT NULL,
            before_weight SMALLINT UNSIGNED NULL,
            after_action ENUM('map', 'ignore') NULL,
            after_tag_id BIGINT NULL,
            after_weight SMALLINT UNSIGNED NULL,
            KEY mapping_changes_external (external_tag, source, id)
        ) {TABLE}
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE mapping_changes")
