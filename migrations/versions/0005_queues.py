"""Queues and leases: what reviewers are handed, by an index for every order, and who holds what.

- `tag_pending` is what the worklist reads: one row a tag with its pending suggestions, in all and by steps
  of 0.05 of confidence. `tag_counters` has the same counts bucket by bucket; summing those over every tag
  would cost the worklist tens of milliseconds. No foreign key touches it.
- `suggestions.exploration` marks a pending row whose score is just below the threshold (ADR 0010).
- `suggestions_open` takes the place of `suggestions_image`: it finds the images with pending rows as well
  as the pending rows of an image.
- A lease is on rows (`leased_suggestions`; its primary key lets one lease hold a row) or on a whole tag.
  `lease_guards` has a row for every tag that was ever leased: claims of rows share it, a claim of the tag
  has it alone. Leases point at no suggestion: a row that goes leaves its lease to run out.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLE = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci"
BUCKETS = [f"b{number:02}" for number in range(20)]

TABLES = {
    "tag_pending": f"""
        tag_id BIGINT NOT NULL PRIMARY KEY,
        pending INT NOT NULL,
        {", ".join(f"{bucket} INT NOT NULL" for bucket in BUCKETS)},
        KEY tag_pending_order (pending, tag_id)
    """,
    "lease_guards": """
        tag_id BIGINT NOT NULL PRIMARY KEY
    """,
    "leases": """
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        user_id BIGINT NOT NULL,
        tag_id BIGINT NOT NULL,
        whole_tag BOOLEAN NOT NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        expires_at DATETIME(6) NOT NULL,
        KEY leases_tag (tag_id, expires_at),
        KEY leases_expiry (expires_at),
        CONSTRAINT leases_user FOREIGN KEY (user_id) REFERENCES users (id)
    """,
    "leased_suggestions": """
        suggestion_id BIGINT NOT NULL PRIMARY KEY,
        lease_id BIGINT NOT NULL,
        KEY leased_suggestions_lease (lease_id)
    """,
}


def upgrade() -> None:
    for name, body in TABLES.items():
        op.execute(f"CREATE TABLE {name} ({body}) {TABLE}")
    sums = ", ".join(f"SUM(IF(bucket = {number}, amount, 0))" for number in range(len(BUCKETS)))
    op.execute(
        f"INSERT INTO tag_pending SELECT tag_id, SUM(amount), {sums} FROM tag_counters"  # noqa: S608
        " WHERE measure = 'pending' GROUP BY tag_id"
    )
    op.execute(
        """
        ALTER TABLE suggestions
            ADD COLUMN exploration BOOLEAN NOT NULL DEFAULT FALSE,
            DROP KEY suggestions_grid,
            ADD KEY suggestions_grid (tag_id, status, confidence, id, exploration),
            ADD KEY suggestions_newest (tag_id, status, exploration, id, confidence, model_version_id),
            ADD KEY suggestions_model (tag_id, status, model_version_id, confidence, id, exploration),
            DROP KEY suggestions_image,
            ADD KEY suggestions_open (status, exploration, image_id, tag_id, model_version_id)
        """
    )
    op.execute(
        "ALTER TABLE images ADD KEY images_created (created_at, id),"
        " ADD KEY images_uploader_created (uploader_id, created_at, id)"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE images DROP KEY images_created, DROP KEY images_uploader_created")
    # A row that only explores says nothing to a release that does not know it.
    op.execute("DELETE FROM suggestions WHERE exploration AND status = 'pending'")
    op.execute(
        """
        ALTER TABLE suggestions
            DROP KEY suggestions_newest,
            DROP KEY suggestions_model,
            DROP KEY suggestions_open,
            DROP KEY suggestions_grid,
            ADD KEY suggestions_grid (tag_id, status, confidence, id),
            ADD KEY suggestions_image (image_id, status),
            DROP COLUMN exploration
        """
    )
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")
