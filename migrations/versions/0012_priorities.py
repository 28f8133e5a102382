"""Which model goes first where several speak of one tag, and who said so when.

- `priority_rules`: of a type of tags or of one tag; `models`: names, the first before the second.
- `priority_changes`: what one act of `rule_changes` changed; NULL where nothing was said. No foreign keys:
  history outlives what it tells of.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLE = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci"
TYPE = "ENUM('theme', 'character', 'source', 'artist')"


def upgrade() -> None:
    op.execute(
        f"""
        CREATE TABLE priority_rules (
            id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
            tag_type {TYPE} NULL,
            tag_id BIGINT NULL,
            models JSON NOT NULL,
            UNIQUE KEY priority_rules_type (tag_type),
            UNIQUE KEY priority_rules_tag (tag_id),
            CONSTRAINT priority_rules_tag FOREIGN KEY (tag_id) REFERENCES tags (id),
            CONSTRAINT priority_rules_one CHECK ((tag_type IS NULL) <> (tag_id IS NULL))
        ) {TABLE}
        """
    )
    op.execute(
        f"""
        CREATE TABLE priority_changes (
            id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
            change_id BIGINT NOT NULL,
            tag_type {TYPE} NULL,
            tag_id BIGINT NULL,
            before_models JSON NULL,
            after_models JSON NULL,
            KEY priority_changes_change (change_id)
        ) {TABLE}
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE priority_changes")
    op.execute("DROP TABLE priority_rules")
