"""The life of model versions: what Triton shall hold, what was removed, and who did what.

`loaded` says what Triton shall serve, apart from `state`, which says what a version is used for: the version
before the active one stays loaded, so that going back costs nothing.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ASCII = "CHARACTER SET ascii COLLATE ascii_bin"
TABLE = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE model_versions"
        " MODIFY state ENUM('staged', 'shadow', 'active', 'retired', 'removed') NOT NULL,"
        " ADD COLUMN loaded BOOLEAN NOT NULL DEFAULT FALSE,"
        " ADD COLUMN retired_at DATETIME(6) NULL"
    )
    op.execute("UPDATE model_versions SET loaded = TRUE WHERE state IN ('shadow', 'active')")
    # Who changed what a board's people do not see: models, later thresholds and mappings. `actor` is kept
    # as text, for it outlives the user and may be a process.
    op.execute(
        f"""
        CREATE TABLE audit_log (
            id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
            at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
            actor VARCHAR(100) NOT NULL,
            action VARCHAR(64) {ASCII} NOT NULL,
            subject VARCHAR(128) {ASCII} NOT NULL,
            detail JSON NOT NULL,
            KEY audit_log_subject (subject, id)
        ) {TABLE}
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE audit_log")
    op.execute("DELETE FROM model_versions WHERE state = 'removed'")
    op.execute(
        "ALTER TABLE model_versions DROP COLUMN loaded, DROP COLUMN retired_at,"
        " MODIFY state ENUM('staged', 'shadow', 'active', 'retired') NOT NULL"
    )
