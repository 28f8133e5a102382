"""Who changed thresholds, when, from what to what: append-only.

- `rule_changes`: one act of somebody, of a version's thresholds. `back_to`: of an act that brings an earlier
  state back, the change whose state that was, 0 for the state before all. `user_id` NULL: somebody with the
  command line, whom `actor` names.
- `threshold_changes`: what the act changed. A floor is a score, NULL where nothing was said, -1 for off;
  `label` -1 is the whole category. No foreign keys: history outlives what it tells of.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLE = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci"


def upgrade() -> None:
    op.execute(
        f"""
        CREATE TABLE rule_changes (
            id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
            at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
            subject ENUM('thresholds', 'priorities') NOT NULL,
            model_version_id SMALLINT NULL,
            back_to BIGINT NULL,
            actor VARCHAR(255) NOT NULL,
            user_id BIGINT NULL,
            KEY rule_changes_subject (subject, model_version_id, id)
        ) {TABLE}
        """
    )
    op.execute(
        f"""
        CREATE TABLE threshold_changes (
            change_id BIGINT NOT NULL,
            category ENUM('general', 'character', 'rating', 'board') NOT NULL,
            label SMALLINT NOT NULL,
            before_floor SMALLINT NULL,
            after_floor SMALLINT NULL,
            PRIMARY KEY (change_id, category, label)
        ) {TABLE}
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE threshold_changes")
    op.execute("DROP TABLE rule_changes")
