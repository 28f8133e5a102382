"""What a run left in the database, put so that two runs can be compared picture by picture."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from running_board import Row, RunningBoard
from traffic import Acknowledged, Traffic

_IMAGES = """
    SELECT external_id, state, COALESCE(failure_code, ''), HEX(sha256), width, height, has_alpha, media_type
    FROM images WHERE external_id IN %s
"""
_SUGGESTIONS = """
    SELECT i.external_id, t.type, t.title, s.score, s.confidence, s.inferred, s.model_version_id
    FROM suggestions s JOIN images i ON i.id = s.image_id JOIN tags t ON t.id = s.tag_id
    WHERE i.external_id IN %s
"""
_EVIDENCE = """
    SELECT i.external_id, s.tag_id, e.model_version_id, e.label, e.mapping_id, e.score
    FROM suggestion_evidence e JOIN suggestions s ON s.id = e.suggestion_id JOIN images i ON i.id = s.image_id
    WHERE i.external_id IN %s
"""
_RAW = """
    SELECT i.external_id, r.model_version_id, r.label, r.score
    FROM raw_predictions r JOIN images i ON i.id = r.image_id WHERE i.external_id IN %s
"""
_RATINGS = """
    SELECT i.external_id, a.model_version_id, a.rating
    FROM analyses a JOIN images i ON i.id = a.image_id WHERE i.external_id IN %s
"""
_VERDICTS = """
    SELECT v.batch_id, v.suggestion_id, v.decision FROM verdicts v JOIN images i ON i.id = v.image_id
    WHERE v.decision <> 'clear' AND i.external_id IN %s
"""
# A row's state must be the one that its last verdict gave it; without any it is pending.
_UNEXPLAINED = """
    SELECT i.external_id, t.title, s.status FROM suggestions s
    JOIN images i ON i.id = s.image_id JOIN tags t ON t.id = s.tag_id
    WHERE i.external_id IN %s AND s.status <> COALESCE(
        (SELECT v.to_status FROM verdicts v WHERE v.suggestion_id = s.id ORDER BY v.id DESC LIMIT 1),
        'pending')
"""
_UNLINKED = """
    SELECT v.image_id, v.linked_tag_id FROM verdicts v JOIN images i ON i.id = v.image_id
    LEFT JOIN tag_links l ON l.image_id = v.image_id AND l.tag_id = v.linked_tag_id
    WHERE v.decision = 'approve' AND l.tag_id IS NULL AND i.external_id IN %s
"""
_COUNTED = "SELECT tag_id, measure, SUM(amount) AS n FROM tag_counters GROUP BY tag_id, measure HAVING n <> 0"
_RECOUNTED = """
    SELECT tag_id, 'pending', COUNT(*) FROM suggestions WHERE status = 'pending' GROUP BY tag_id
    UNION ALL SELECT tag_id, 'links', COUNT(*) FROM tag_links GROUP BY tag_id
"""


@dataclass(frozen=True)
class Stored:
    """All that was stored of one picture but what people decided: its end, and sorted rows."""

    image: Row
    suggestions: tuple[Row, ...]
    evidence: tuple[Row, ...]
    raw: tuple[Row, ...]
    ratings: tuple[Row, ...]


def stored(board: RunningBoard, traffic: Traffic) -> dict[int, Stored]:
    """Return what is stored of every image of a run, by its external id."""
    images, *details = (
        _by_image(board, statement, traffic)
        for statement in (_IMAGES, _SUGGESTIONS, _EVIDENCE, _RAW, _RATINGS)
    )
    return {
        external_id: Stored(rows[0], *(tuple(sorted(detail[external_id], key=repr)) for detail in details))
        for external_id, rows in images.items()
    }


def _by_image(board: RunningBoard, statement: str, traffic: Traffic) -> Mapping[int, list[Row]]:
    found: defaultdict[int, list[Row]] = defaultdict(list)
    for external_id, *row in board.rows(statement, sorted(traffic.sources)):
        found[int(str(external_id))].append(tuple(row))
    return found


def assert_unharmed(board: RunningBoard, traffic: Traffic, undisturbed: Mapping[str, Stored]) -> None:
    """Assert that a finished run left exactly what an undisturbed one leaves, and every verdict once."""
    ids = sorted(traffic.sources)
    found = stored(board, traffic)
    assert sorted(found) == ids
    different = {
        f"{external_id} ({source.name})": (found[external_id], undisturbed[source.name])
        for external_id, source in traffic.sources.items()
        if found[external_id] != undisturbed[source.name]
    }
    assert not different, f"{len(different)} images differ, among them {next(iter(different.items()))}"
    log = [
        Acknowledged(int(str(b)), int(str(s)), str(decision)) for b, s, decision in board.rows(_VERDICTS, ids)
    ]
    assert sorted(log) == sorted(traffic.acknowledged)
    assert board.rows(_UNEXPLAINED, ids) == ()
    assert board.rows(_UNLINKED, ids) == ()
    counted, recounted = (
        {row[:2]: int(str(row[2])) for row in board.rows(s)} for s in (_COUNTED, _RECOUNTED)
    )
    assert counted == recounted
