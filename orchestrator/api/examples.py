"""Examples of answers, as the documentation shows them."""

from collections.abc import Mapping

TAG = {"id": 7, "external_id": 1042, "title": "blue eyes", "type": "theme"}
LINKS = {
    "self": "/api/v1/images/12",
    "file": "/api/v1/images/12/file",
    "suggestions": "/api/v1/images/12/tag-suggestions",
    "status": "/api/v1/images/12/tag-suggestions/status",
}
SUGGESTION = {
    "id": 90,
    "tag": TAG,
    "status": "pending",
    "confidence": 0.9731,
    "score": 0.9731,
    "model_source": "danbooru",
    "model_name": "wd14",
    "model_version": 1,
    "version": 1,
    "inferred": False,
    "evidence": [
        {
            "model_name": "wd14",
            "model_version": 1,
            "external_tag": "blue_eyes",
            "score": 0.9731,
            "decides": True,
        }
    ],
    "decided_by": None,
    "decided_at": None,
}
COUNTS = {"pending": 4, "approved": 2, "rejected": 1}
RESULT = {
    "suggestion_id": 90,
    "outcome": "applied",
    "status": "approved",
    "version": 2,
    "tag": TAG,
    "linked": True,
    "already_linked": False,
    "alias_resolved": False,
    "cleared": [],
    "decided_by": "mira",
    "decided_at": "2026-01-05T10:00:00.000Z",
}
STALE = {**RESULT, "outcome": "conflict", "status": "rejected", "linked": False, "decided_by": "tomo"}
_IMAGE = {
    "id": 12,
    "external_id": 4711,
    "source": "url",
    "uploader": "hana",
    "eligibility": "active",
    "status": "done",
    "attempts": 1,
    "failure": None,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "width": 1200,
    "height": 1600,
    "has_alpha": False,
    "media_type": "image/jpeg",
    "created_at": "2026-01-05T09:00:00.000Z",
    "analysed_at": "2026-01-05T09:00:01.000Z",
    "links": LINKS,
}
IMAGE_PAGE = {"items": [{**_IMAGE, "pending": 4}], "next_cursor": None}
IMAGE_DETAIL = {**_IMAGE, "tags": [TAG]}
STATUS = {
    "id": 12,
    "status": "queued",
    "attempts": 1,
    "failure": {"code": "fetch_timeout", "detail": "board.example did not answer within 10 s"},
    "created_at": "2026-01-05T09:00:00.000Z",
    "analysed_at": None,
}
ANALYSIS = {
    "sha256": _IMAGE["sha256"],
    "width": 1200,
    "height": 1600,
    "has_alpha": False,
    "media_type": "image/jpeg",
    "models": [{"name": "wd14", "version": 1, "source": "danbooru"}],
    "suggestions": [
        {
            "tag": TAG,
            "confidence": 0.9731,
            "score": 0.9731,
            "model_source": "danbooru",
            "model_name": "wd14",
            "model_version": 1,
            "inferred": False,
        }
    ],
    "unmapped": [{"source": "danbooru", "external_tag": "holding_cup", "score": 0.4402}],
    "ratings": [{"model_name": "wd14", "model_version": 1, "rating": "general"}],
}
_SERVED = {"name": "wd14", "version": 1, "source": "danbooru", "ready": True, "code": None, "detail": None}
_HUNG = {
    **_SERVED,
    "ready": False,
    "code": "model_hung",
    "detail": "computes nothing although Triton is live",
}
READY = {
    "ready": True,
    "database": {"ready": True, "detail": None},
    "redis": {"ready": True, "detail": None},
    "inference": {
        "ready": True,
        "provider": "cuda",
        "expected_gpu": True,
        "models": [_SERVED],
        "detail": None,
    },
}
NOT_READY = {
    **READY,
    "ready": False,
    "inference": {
        "ready": False,
        "provider": "cuda",
        "expected_gpu": True,
        "models": [_HUNG],
        "detail": None,
    },
}


def effect(tag: Mapping[str, object]) -> Mapping[str, object]:
    """Return what a change of rules would do to suggestions of `tag`."""
    counts = {"added": 0, "removed": 2190, "updated": 0}
    return {
        "looked": 5000,
        "estimated": True,
        "images": 2190,
        **counts,
        "added_margin": 0,
        "removed_margin": 640,
        "tags": [{"tag": tag, "pending": 8800, **counts, "comes": [], "goes": [81, 40]}],
    }
