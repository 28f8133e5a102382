# ruff: noqa: S608  (statements are put together from this module's own constants)
"""A board of a million images, made inside the database: nothing but numbers, and always the same ones.

Every row follows from its image's number by a multiplicative hash, so that a server makes the rows itself
from its sequences, in key order. Secondary indexes of the large tables are built at the end, by sorting.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pymysql
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.engine import make_url

IMAGES, TAGS = 1_000_000, 227_568
PENDING_EACH, LINKS_EACH, RAW_EACH = 2, 15, 25
LABELS = 10_861
QUEUED_TAGS = 3_360
"""Tags with pending suggestions: 359 themes, the other ones characters."""

_THEMES = 359
_MULTIPLIERS = (
    *(1_640_531_527, 2_043_845_963, 1_181_783_497, 739_982_445),
    *(695_872_825, 1_403_630_843, 2_127_599_731, 1_376_312_589),
)
_IMAGES_AT_ONCE = 20_000
_SESSION = (
    "SET SESSION unique_checks = 0, foreign_key_checks = 0, time_zone = '+00:00',"
    " tx_isolation = 'READ-COMMITTED', sql_mode = 'STRICT_ALL_TABLES'"
)


@dataclass(frozen=True, slots=True)
class LargeBoard:
    """How much there is at a scale. `queued`: tags 1 … `queued` have pending suggestions."""

    images: int
    tags: int
    queued: int

    @classmethod
    def of(cls, scale: float) -> "LargeBoard":
        """Return a board of `scale` times a million images; tags shrink less, for titles are many anyway."""
        tags = max(5_000, round(TAGS * math.sqrt(scale)))
        return cls(max(1_000, round(IMAGES * scale)), tags, min(QUEUED_TAGS, tags // 2))


def unit(of: str, salt: int) -> str:
    """Return SQL for a number 0 ≤ u < 1 that follows from an integer expression; `salt` 0 … 7 gives numbers
    that know nothing of each other."""
    spread = f"((({of}) * 2654435761) & 4294967295)"
    return f"(({spread} ^ ({spread} >> 15)) * {_MULTIPLIERS[salt]} & 4294967295) / 4294967296"


def strata(first: int, last: int, count: int, skew: float) -> list[tuple[int, int]]:
    """Cut the numbers `first` … `last` into `count` ranges as (lowest, how many), the lower ones narrower.

    One draw from each gives `count` different numbers, the low ones more often.
    """
    size = last - first + 1
    edges = [round(size * (k / count) ** skew) for k in range(count + 1)]
    edges = [max(edge, k) for k, edge in enumerate(edges)]
    edges[-1] = size
    return [(first + low, high - low) for low, high in itertools.pairwise(edges)]


def fill(url: str, board: LargeBoard, uploader_id: int, version_ids: tuple[int, int]) -> None:
    """Fill a migrated database without images; `version_ids`: the model that is mostly right, and another."""
    chunks = [
        (start, min(start + _IMAGES_AT_ONCE, board.images + 1))
        for start in range(1, board.images + 1, _IMAGES_AT_ONCE)
    ]
    run = _Run(url)
    run.statement(_tags(board))
    # As on the board: 359 themes carry three quarters of the links.
    common = board.queued + _THEMES
    links = strata(board.queued + 1, common, 11, 2.0) + strata(common + 1, board.tags, LINKS_EACH - 11, 4.0)
    pending = strata(1, board.queued, PENDING_EACH, 4.0)
    raw = strata(0, LABELS - 1, RAW_EACH, 1.0)
    run.statement("ALTER TABLE tag_links DROP FOREIGN KEY tag_links_tag")
    run.statement("ALTER TABLE tag_links DROP KEY tag_links_tag")
    run.statement("ALTER TABLE suggestions DROP FOREIGN KEY suggestions_tag")
    kept = [f"ADD KEY {key}" for key in _SUGGESTION_KEYS]
    dropped = [f"DROP KEY {key.split()[0]}" for key in _SUGGESTION_KEYS]
    run.statement(f"ALTER TABLE suggestions {', '.join(dropped)}")

    def rows(statement: Callable[[int, int], str]) -> list[str]:
        return [statement(*chunk) for chunk in chunks]

    first, other = version_ids
    by_image = [
        *rows(lambda a, b: _images(a, b, uploader_id)),
        *rows(lambda a, b: _suggestions(a, b, pending, first, other)),
        f"ALTER TABLE suggestions {', '.join(kept)}, ADD CONSTRAINT suggestions_tag"
        " FOREIGN KEY (tag_id) REFERENCES tags (id)",
        *_COUNTERS[:1],
        *rows(lambda a, b: _links(a, b, links)),
        "ALTER TABLE tag_links ADD KEY tag_links_tag (tag_id, image_id),"
        " ADD CONSTRAINT tag_links_tag FOREIGN KEY (tag_id) REFERENCES tags (id)",
        *_COUNTERS[1:],
    ]
    run.side_by_side(by_image, rows(lambda a, b: _raw(a, b, raw, first)))
    run.statement("ANALYZE TABLE images, suggestions, tag_links, tag_pending, tags")


_SUGGESTION_KEYS = (
    "suggestions_grid (tag_id, status, confidence, id, exploration)",
    "suggestions_newest (tag_id, status, exploration, id, confidence, model_version_id)",
    "suggestions_model (tag_id, status, model_version_id, confidence, id, exploration)",
    "suggestions_open (status, exploration, image_id, tag_id, model_version_id)",
)

_BUCKETS = ", ".join(f"SUM(IF(bucket = {number}, amount, 0))" for number in range(20))
_COUNTERS = (
    "INSERT INTO tag_counters SELECT tag_id, 'pending', LEAST(confidence DIV 500, 19) AS bucket, COUNT(*)"
    " FROM suggestions GROUP BY tag_id, bucket",
    "INSERT INTO tag_counters SELECT tag_id, 'links', 0, COUNT(*) FROM tag_links GROUP BY tag_id",
    f"INSERT INTO tag_pending SELECT tag_id, SUM(amount), {_BUCKETS} FROM tag_counters"
    " WHERE measure = 'pending' GROUP BY tag_id",
)


def _tags(board: LargeBoard) -> str:
    rest = "ELT(1 + seq % 3, 'theme', 'source', 'artist')"
    kind = f"IF(seq <= {_THEMES}, 'theme', IF(seq <= {board.queued}, 'character', {rest}))"
    return (
        f"INSERT INTO tags (id, type, title) SELECT seq, {kind}, CONCAT('tag ', seq)"
        f" FROM seq_1_to_{board.tags}"
    )


def _images(start: int, end: int, uploader_id: int) -> str:
    return (
        "INSERT INTO images (id, external_id, source_kind, source_location, uploader_id, state, priority,"
        " width, height, has_alpha, media_type, created_at)"
        f" SELECT seq, seq, 'url', CONCAT('https://board.example/', seq, '.jpg'), {uploader_id}, 'done',"
        " 'backfill', 1200, 1600, FALSE, 'image/jpeg', '2020-01-01' + INTERVAL seq * 150 SECOND"
        f" FROM seq_{start}_to_{end - 1}"
    )


def _suggestions(start: int, end: int, ranges: Sequence[tuple[int, int]], first: int, other: int) -> str:
    """One row in twenty explores, one in seven is the other model's; a tag has an eighth of all."""
    key = f"i.seq * {PENDING_EACH} + s.k"
    explores = f"{unit(key, 2)} < 0.05"
    score = f"IF({explores}, 2500 + FLOOR(1000 * {unit(key, 3)}), 3500 + FLOOR(6500 * {unit(key, 3)}))"
    return (
        "INSERT INTO suggestions (image_id, tag_id, score, confidence, model_version_id, exploration)"
        f" SELECT i.seq, s.low + FLOOR(s.size * POW({unit(key, 1)}, 4)), {score}, {score},"
        f" IF({unit(key, 4)} < 0.14, {other}, {first}), {explores}"
        f" FROM seq_{start}_to_{end - 1} i JOIN ({_table(ranges)}) s"
    )


def _links(start: int, end: int, ranges: Sequence[tuple[int, int]]) -> str:
    return (
        "INSERT INTO tag_links (image_id, tag_id, origin)"
        f" SELECT i.seq, s.low + FLOOR(s.size * {unit(f'i.seq * {LINKS_EACH} + s.k', 5)}), 'import'"
        f" FROM seq_{start}_to_{end - 1} i JOIN ({_table(ranges)}) s"
    )


def _raw(start: int, end: int, ranges: Sequence[tuple[int, int]], version_id: int) -> str:
    key = f"i.seq * {RAW_EACH} + s.k"
    return (
        "INSERT INTO raw_predictions (image_id, model_version_id, label, score)"
        f" SELECT i.seq, {version_id}, s.low + FLOOR(s.size * {unit(key, 6)}),"
        f" 500 + FLOOR(9500 * POW({unit(key, 7)}, 2))"
        f" FROM seq_{start}_to_{end - 1} i JOIN ({_table(ranges)}) s"
    )


def _table(ranges: Sequence[tuple[int, int]]) -> str:
    return " UNION ALL ".join(
        f"SELECT {k} AS k, {low} AS low, {size} AS size" for k, (low, size) in enumerate(ranges)
    )


class _Run:
    """Statements on connections of their own, with a bar that shows how far they are."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)

    def statement(self, statement: str) -> None:
        """Run one statement alone."""
        self._all([statement], lambda: None)

    def side_by_side(self, *lists: Sequence[str]) -> None:
        """Run lists of statements, each in its order on its own connection."""
        columns = (TextColumn("  {task.description}"), BarColumn(), TimeElapsedColumn())
        with (
            Progress(*columns, console=Console(stderr=True)) as bar,
            ThreadPoolExecutor(len(lists)) as threads,
        ):
            task = bar.add_task("filling", total=sum(map(len, lists)))
            for done in [threads.submit(self._all, one, lambda: bar.advance(task)) for one in lists]:
                done.result()

    def _all(self, statements: Sequence[str], done: Callable[[], None]) -> None:
        connection = pymysql.connect(
            host=self._url.host or "",
            port=self._url.port or 3306,
            user=self._url.username,
            password=self._url.password or "",
            database=self._url.database,
            autocommit=True,
            init_command=_SESSION,
        )
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                    done()
        finally:
            connection.close()
