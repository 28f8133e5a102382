"""The founding schema: people, images, tags, models, suggestions, reviews.

Conventions (ADR: one store, one schema):
- ids are BIGINT and ours; `external_id` is the board's, nullable and unique; one never stands for the other.
- Scores, confidences and weights are integers in ten-thousandths (0 … 10,000).
- Times are DATETIME(6) in UTC.
- Names that come from outside (tag titles, external tags, paths) compare byte by byte and unpadded:
  Danbooru tells `:d` from `:D`.
- Tables that grow with images × labels or that every writer touches (`raw_predictions`, `tag_counters`,
  `unmapped_tags`) carry no foreign keys: the key checks would lock rows that writers share.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

EXACT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
ASCII = "CHARACTER SET ascii COLLATE ascii_bin"
TABLE = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci"

PEOPLE = {
    "users": """
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        external_id BIGINT NULL,
        name VARCHAR(100) NOT NULL,
        role ENUM('uploader', 'tagger', 'moderator', 'engineer', 'admin') NOT NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        disabled_at DATETIME(6) NULL,
        UNIQUE KEY users_external (external_id),
        UNIQUE KEY users_name (name)
    """,
    # Only the SHA-256 of a token is kept: a stolen dump signs nobody in.
    "api_tokens": """
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        user_id BIGINT NOT NULL,
        sha256 BINARY(32) NOT NULL,
        name VARCHAR(100) NOT NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        expires_at DATETIME(6) NULL,
        revoked_at DATETIME(6) NULL,
        UNIQUE KEY api_tokens_sha256 (sha256),
        CONSTRAINT api_tokens_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
    """,
    # The stored answer of a write, replayed when the same person repeats the same key.
    "idempotency_keys": f"""
        user_id BIGINT NOT NULL,
        idempotency_key VARCHAR(200) {EXACT} NOT NULL,
        request_sha256 BINARY(32) NOT NULL,
        response JSON NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        PRIMARY KEY (user_id, idempotency_key),
        KEY idempotency_keys_age (created_at)
    """,
}

IMAGES = {
    # `enqueued_at` is when a message for the row last went to the broker; NULL asks the sweeper for one.
    # `explicit_analysis`: a person asked for this analysis, so an approved tag that lost its link may return.
    "images": f"""
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        external_id BIGINT NULL,
        source_kind ENUM('url', 'path', 'blob') NOT NULL,
        source_location VARCHAR(2048) {EXACT} NOT NULL,
        uploader_id BIGINT NOT NULL,
        eligibility ENUM('active', 'spoiler', 'repost', 'deleted') NOT NULL DEFAULT 'active',
        state ENUM('queued', 'running', 'done', 'failed') NOT NULL DEFAULT 'queued',
        priority ENUM('live', 'backfill') NOT NULL,
        attempts SMALLINT UNSIGNED NOT NULL DEFAULT 0,
        explicit_analysis BOOLEAN NOT NULL DEFAULT FALSE,
        claim_token BINARY(16) NULL,
        claimed_at DATETIME(6) NULL,
        not_before DATETIME(6) NULL,
        queued_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        enqueued_at DATETIME(6) NULL,
        failure_code VARCHAR(64) {ASCII} NULL,
        failure_detail VARCHAR(1000) NULL,
        sha256 BINARY(32) NULL,
        width INT UNSIGNED NULL,
        height INT UNSIGNED NULL,
        has_alpha BOOLEAN NULL,
        media_type VARCHAR(32) {ASCII} NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
        analysed_at DATETIME(6) NULL,
        UNIQUE KEY images_external (external_id),
        KEY images_state (state, priority, enqueued_at),
        KEY images_uploader (uploader_id, id),
        KEY images_sha256 (sha256),
        CONSTRAINT images_uploader FOREIGN KEY (uploader_id) REFERENCES users (id)
    """,
}

TAGS = {
    "tags": f"""
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        external_id BIGINT NULL,
        type ENUM('theme', 'character', 'source', 'artist') NOT NULL,
        title VARCHAR(255) {EXACT} NOT NULL,
        alias_of BIGINT NULL,
        parent_id BIGINT NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
        UNIQUE KEY tags_external (external_id),
        UNIQUE KEY tags_title (type, title),
        CONSTRAINT tags_alias FOREIGN KEY (alias_of) REFERENCES tags (id),
        CONSTRAINT tags_parent FOREIGN KEY (parent_id) REFERENCES tags (id)
    """,
    # Proper ancestors only; depth 1 is the parent.
    "tag_closure": """
        descendant_id BIGINT NOT NULL,
        ancestor_id BIGINT NOT NULL,
        depth TINYINT UNSIGNED NOT NULL,
        PRIMARY KEY (descendant_id, ancestor_id),
        KEY tag_closure_down (ancestor_id, descendant_id),
        CONSTRAINT tag_closure_descendant FOREIGN KEY (descendant_id) REFERENCES tags (id) ON DELETE CASCADE,
        CONSTRAINT tag_closure_ancestor FOREIGN KEY (ancestor_id) REFERENCES tags (id) ON DELETE CASCADE
    """,
    "tag_sources": """
        character_id BIGINT NOT NULL,
        source_id BIGINT NOT NULL,
        PRIMARY KEY (character_id, source_id),
        KEY tag_sources_source (source_id),
        CONSTRAINT tag_sources_character FOREIGN KEY (character_id) REFERENCES tags (id) ON DELETE CASCADE,
        CONSTRAINT tag_sources_source FOREIGN KEY (source_id) REFERENCES tags (id) ON DELETE CASCADE
    """,
    "tag_links": """
        image_id BIGINT NOT NULL,
        tag_id BIGINT NOT NULL,
        origin ENUM('review', 'board', 'import') NOT NULL,
        user_id BIGINT NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        PRIMARY KEY (image_id, tag_id),
        KEY tag_links_tag (tag_id, image_id),
        CONSTRAINT tag_links_image FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE,
        CONSTRAINT tag_links_tag FOREIGN KEY (tag_id) REFERENCES tags (id)
    """,
    # measure 'pending': suggestions by confidence bucket of 0.05 (0 … 19); 'links': bucket 0.
    "tag_counters": """
        tag_id BIGINT NOT NULL,
        measure ENUM('pending', 'links') NOT NULL,
        bucket TINYINT UNSIGNED NOT NULL,
        amount INT NOT NULL,
        PRIMARY KEY (tag_id, measure, bucket)
    """,
}

MODELS = {
    # `active_name` is unique and NULL unless active: the server itself keeps one active version per name.
    # The `…_floor` columns are the version's own advice; `thresholds` is the installation's word.
    "model_versions": f"""
        id SMALLINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        name VARCHAR(64) {ASCII} NOT NULL,
        version INT UNSIGNED NOT NULL,
        state ENUM('staged', 'shadow', 'active', 'retired') NOT NULL,
        source VARCHAR(32) {ASCII} NOT NULL,
        vocabulary ENUM('danbooru', 'board') NOT NULL,
        priority SMALLINT NOT NULL,
        sha256 BINARY(32) NOT NULL,
        input_size SMALLINT UNSIGNED NOT NULL,
        pad_colour INT UNSIGNED NOT NULL,
        resize_filter ENUM('nearest', 'bilinear', 'bicubic', 'lanczos') NOT NULL,
        general_floor SMALLINT UNSIGNED NULL,
        board_floor SMALLINT UNSIGNED NULL,
        manifest JSON NOT NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        activated_at DATETIME(6) NULL,
        active_name VARCHAR(64) {ASCII} AS (IF(state = 'active', name, NULL)) PERSISTENT,
        UNIQUE KEY model_versions_version (name, version),
        UNIQUE KEY model_versions_active (active_name)
    """,
    "labels": f"""
        model_version_id SMALLINT NOT NULL,
        label SMALLINT UNSIGNED NOT NULL,
        name VARCHAR(255) {EXACT} NOT NULL,
        category ENUM('general', 'character', 'rating', 'board') NOT NULL,
        floor SMALLINT UNSIGNED NULL,
        PRIMARY KEY (model_version_id, label),
        CONSTRAINT labels_version FOREIGN KEY (model_version_id)
            REFERENCES model_versions (id) ON DELETE CASCADE
    """,
    # `label` -1 is the whole category; `score` NULL switches it off.
    "thresholds": """
        model_version_id SMALLINT NOT NULL,
        category ENUM('general', 'character', 'rating', 'board') NOT NULL,
        label SMALLINT NOT NULL DEFAULT -1,
        score SMALLINT UNSIGNED NULL,
        user_id BIGINT NULL,
        updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
        PRIMARY KEY (model_version_id, category, label),
        CONSTRAINT thresholds_version FOREIGN KEY (model_version_id)
            REFERENCES model_versions (id) ON DELETE CASCADE
    """,
    "tag_mappings": f"""
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        source VARCHAR(32) {ASCII} NOT NULL,
        external_tag VARCHAR(255) {EXACT} NOT NULL,
        action ENUM('map', 'ignore') NOT NULL,
        tag_id BIGINT NULL,
        weight SMALLINT UNSIGNED NOT NULL DEFAULT 10000,
        user_id BIGINT NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
        UNIQUE KEY tag_mappings_external (source, external_tag),
        CONSTRAINT tag_mappings_tag FOREIGN KEY (tag_id) REFERENCES tags (id),
        CONSTRAINT tag_mappings_target CHECK ((action = 'map') = (tag_id IS NOT NULL)),
        CONSTRAINT tag_mappings_weight CHECK (weight <= 10000)
    """,
    # `images`: how many (image, version) pairs proposed this name while no mapping spoke of it.
    "unmapped_tags": f"""
        source VARCHAR(32) {ASCII} NOT NULL,
        external_tag VARCHAR(255) {EXACT} NOT NULL,
        images INT UNSIGNED NOT NULL,
        max_score SMALLINT UNSIGNED NOT NULL,
        first_seen_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        last_seen_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        PRIMARY KEY (source, external_tag)
    """,
    # One row. Whoever caches tags, mappings, thresholds or active versions compares this number.
    "rules_version": """
        id TINYINT NOT NULL PRIMARY KEY,
        version BIGINT NOT NULL,
        CONSTRAINT rules_version_single CHECK (id = 1)
    """,
}

SUGGESTIONS = {
    "analyses": f"""
        image_id BIGINT NOT NULL,
        model_version_id SMALLINT NOT NULL,
        rating VARCHAR(64) {EXACT} NULL,
        analysed_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        PRIMARY KEY (image_id, model_version_id),
        KEY analyses_version (model_version_id, image_id),
        CONSTRAINT analyses_image FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE,
        CONSTRAINT analyses_version FOREIGN KEY (model_version_id) REFERENCES model_versions (id)
    """,
    "raw_predictions": """
        image_id BIGINT NOT NULL,
        model_version_id SMALLINT NOT NULL,
        label SMALLINT UNSIGNED NOT NULL,
        score SMALLINT UNSIGNED NOT NULL,
        PRIMARY KEY (image_id, model_version_id, label)
    """,
    # `version` rises with every change that a reviewer could have seen; verdicts name the one they saw.
    "suggestions": """
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        image_id BIGINT NOT NULL,
        tag_id BIGINT NOT NULL,
        status ENUM('pending', 'approved', 'rejected', 'cleared') NOT NULL DEFAULT 'pending',
        score SMALLINT UNSIGNED NOT NULL,
        confidence SMALLINT UNSIGNED NOT NULL,
        model_version_id SMALLINT NOT NULL,
        inferred BOOLEAN NOT NULL DEFAULT FALSE,
        version INT UNSIGNED NOT NULL DEFAULT 1,
        decided_by BIGINT NULL,
        decided_at DATETIME(6) NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
        UNIQUE KEY suggestions_image_tag (image_id, tag_id),
        KEY suggestions_grid (tag_id, status, confidence, id),
        KEY suggestions_image (image_id, status),
        CONSTRAINT suggestions_image FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE,
        CONSTRAINT suggestions_tag FOREIGN KEY (tag_id) REFERENCES tags (id),
        CONSTRAINT suggestions_scores CHECK (score <= 10000 AND confidence <= 10000)
    """,
    "suggestion_evidence": """
        suggestion_id BIGINT NOT NULL,
        model_version_id SMALLINT NOT NULL,
        label SMALLINT UNSIGNED NOT NULL,
        mapping_id BIGINT NULL,
        score SMALLINT UNSIGNED NOT NULL,
        PRIMARY KEY (suggestion_id, model_version_id, label),
        CONSTRAINT suggestion_evidence_suggestion FOREIGN KEY (suggestion_id)
            REFERENCES suggestions (id) ON DELETE CASCADE
    """,
}

REVIEWS = {
    "review_batches": f"""
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        user_id BIGINT NOT NULL,
        kind VARCHAR(16) {ASCII} NOT NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        KEY review_batches_user (user_id, id),
        CONSTRAINT review_batches_user FOREIGN KEY (user_id) REFERENCES users (id)
    """,
    # Append-only; only `undone_by` is ever set later. Rows outlive their suggestion, so (image, tag) is kept
    # and nothing points at suggestions. Scores are those the reviewer saw.
    "verdicts": """
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        batch_id BIGINT NOT NULL,
        suggestion_id BIGINT NOT NULL,
        image_id BIGINT NOT NULL,
        tag_id BIGINT NOT NULL,
        user_id BIGINT NOT NULL,
        decision ENUM('approve', 'reject', 'clear') NOT NULL,
        reason ENUM('wrong', 'redundant', 'not_wanted', 'other') NULL,
        note VARCHAR(500) NULL,
        from_status ENUM('pending', 'approved', 'rejected', 'cleared') NOT NULL,
        to_status ENUM('pending', 'approved', 'rejected', 'cleared') NOT NULL,
        from_version INT UNSIGNED NOT NULL,
        to_version INT UNSIGNED NOT NULL,
        model_version_id SMALLINT NOT NULL,
        score SMALLINT UNSIGNED NOT NULL,
        confidence SMALLINT UNSIGNED NOT NULL,
        linked_tag_id BIGINT NULL,
        link_created BOOLEAN NOT NULL DEFAULT FALSE,
        cause_suggestion_id BIGINT NULL,
        undone_by BIGINT NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        KEY verdicts_batch (batch_id),
        KEY verdicts_suggestion (suggestion_id, id),
        KEY verdicts_image (image_id),
        KEY verdicts_user (user_id, created_at),
        CONSTRAINT verdicts_batch FOREIGN KEY (batch_id) REFERENCES review_batches (id)
    """,
    "exposures": f"""
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        user_id BIGINT NOT NULL,
        suggestion_id BIGINT NOT NULL,
        suggestion_version INT UNSIGNED NOT NULL,
        place VARCHAR(16) {ASCII} NOT NULL,
        position SMALLINT UNSIGNED NOT NULL,
        shown_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        KEY exposures_suggestion (suggestion_id),
        KEY exposures_user (user_id, shown_at)
    """,
    "outbox": f"""
        id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        kind VARCHAR(64) {ASCII} NOT NULL,
        payload JSON NOT NULL,
        created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        published_at DATETIME(6) NULL,
        KEY outbox_unpublished (published_at, id)
    """,
}

GROUPS = (PEOPLE, IMAGES, TAGS, MODELS, SUGGESTIONS, REVIEWS)


def upgrade() -> None:
    for group in GROUPS:
        for name, body in group.items():
            op.execute(f"CREATE TABLE {name} ({body}) {TABLE}")
    op.execute("INSERT INTO rules_version (id, version) VALUES (1, 1)")


def downgrade() -> None:
    for group in reversed(GROUPS):
        for name in reversed(group):
            op.execute(f"DROP TABLE {name}")
