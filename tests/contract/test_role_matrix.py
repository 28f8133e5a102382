"""Who may do what, to whose images: every operation of the route table × every caller × every kind of image.

What is expected is DESIGN's role table, written out here once more: the code's own table is not consulted.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import product
from secrets import token_hex

import httpx
import pytest
import schemathesis
from installation import OTHER, SPARE, Installation, portrait

from orchestrator.api.openapi import document
from orchestrator.api.operations import Operation
from orchestrator.api.table import operations
from orchestrator.records import Role

pytestmark = pytest.mark.xdist_group("role-matrix")  # what they share is set up once

U, T, M, E, A = Role.UPLOADER, Role.TAGGER, Role.MODERATOR, Role.ENGINEER, Role.ADMIN
EVERYONE = {U, T, M, E, A}

BY_PATH = {E, A}
SEE = {"own": EVERYONE, "another's": {T, M, E, A}}
REVIEW = {"own": {U, T, M, A}, "another's": {T, M, A}}

ON_IMAGES: Mapping[str, Mapping[str, set[Role]]] = {
    "showImage": SEE,
    "showPicture": SEE,
    "showStatus": SEE,
    "listSuggestions": REVIEW,
    "reviewSuggestions": REVIEW,
    "generateSuggestions": REVIEW,
    "setTags": REVIEW,
    "addTags": REVIEW,
    "removeTags": REVIEW,
    "removeTag": REVIEW,
    "changeEligibility": {"own": {M, A}, "another's": {M, A}},
}
ON_THE_BOARD = {
    "registerImage": EVERYONE,
    "listImages": EVERYONE,
    "analyze": EVERYONE,
    "listModels": {E, A},
    "listBatches": {U, T, M, A},
    "listReviewJobs": {U, T, M, A},
    "batchReview": {M, A},
    "showWorklist": {T, M, A},
    "showQueue": {T, M, A},
    "claimLease": {T, M, A},
    "listLeases": {T, M, A},
    "listTags": EVERYONE,
    "showStatistics": {M, E, A},
    "showTag": EVERYONE,
    "createTag": {M, A},
    "editTag": {M, A},
    "listMappings": {E, A},
    "importMappings": {E, A},
    "listMappingChanges": {E, A},
    "validateMappings": {E, A},
    "suggestMappings": {E, A},
    "showCoverage": {E, A},
    "listThresholdChanges": {E, A},
    "showPriorities": {E, A},
    "setPriorities": {E, A},
    "previewPriorities": {E, A},
    "rollBackPriorities": {E, A},
    "listPriorityChanges": {E, A},
    "listRawPredictions": {E, A},
}
ON_MAPPINGS = {"removeMapping": {E, A}}
ON_LEASES: Mapping[str, Mapping[str, set[Role]]] = {
    "renewLease": {"own": {T, M, A}, "another's": set()},
    "releaseLease": {"own": {T, M, A}, "another's": {M, A}},
}
ON_JOBS: Mapping[str, Mapping[str, set[Role]]] = {
    "showReviewJob": {"own": {U, T, M, A}, "another's": {M, A}},
    "listReviewSamples": {"own": {U, T, M, A}, "another's": {M, A}},
    "cancelReviewJob": {"own": {U, T, M, A}, "another's": {M, A}},
}
ON_VERDICTS: Mapping[str, Mapping[str, set[Role]]] = {
    "reviewAcrossImages": REVIEW,
    "undoBatch": {"own": {U, T, M, A}, "another's": {M, A}},
}
ON_MODELS: Mapping[str, tuple[str, int]] = {
    "showModel": ("wd14", 1),
    "compareModels": ("wd14", 1),
    "activateModel": ("wd14", 1),
    "shadowModel": ("wd14", 1),
    "endShadow": ("wd14", 1),
    "promoteModel": ("wd14", 1),
    "rollBackModel": ("wd14", 1),
    "retireModel": SPARE,
    "deactivateModel": SPARE,
    "removeModel": SPARE,
    "showThresholds": ("wd14", 1),
    "setThresholds": ("wd14", 1),
    "previewThresholds": ("wd14", 1),
    "rollBackThresholds": ("wd14", 1),
    "setRawRetention": ("wd14", 1),
}
"""What each is tried on: nothing that the other tests need goes out of use."""

NOT_OF_THIS_ONE = {"shadowModel": "version_in_use", "rollBackModel": "nothing_before"}
"""What is refused of the only version that is active, to those who may ask."""

ENGINEERS = {E, A}
WITHOUT_TOKEN = {"healthLive", "healthReady", "metrics"}

UNKNOWN_ID = 999_999_999
TABLE = {one.name: one for one in operations()}
PICTURE = portrait(20_260_106)
DOCUMENT = schemathesis.openapi.from_dict(document(operations()))


@pytest.fixture(scope="module")
def http(served: Installation) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.address, timeout=20, trust_env=False) as client:
        yield client


def pending(http: httpx.Client, served: Installation, image_id: int) -> dict[str, int]:
    """Return a decision on the first suggestion of an image that nobody has decided."""
    path = f"/api/v1/images/{image_id}/tag-suggestions"
    found = http.get(path, params={"status": "pending", "limit": 1}, headers=served.headers(A))
    if found.status_code == 404:
        return {"suggestion_id": 1, "version": 1}
    (row,) = found.json()["items"]
    return {"suggestion_id": row["id"], "version": row["version"]}


def a_tag(http: httpx.Client, served: Installation) -> int:
    """Return a tag that no model speaks of, so that it answers no suggestion."""
    path, headers = "/api/v1/tags", served.headers(A)
    known = http.get(path, params={"title": "of nobody"}, headers=headers).json()["items"]
    if not known:
        made = http.post(path, json={"title": "of nobody", "type": "artist"}, headers=headers)
        assert made.status_code == 201, made.text
        known = [made.json()]
    return int(known[0]["id"])


def by_filter(served: Installation) -> dict[str, object]:
    """Return a decision on all that is pending on one image."""
    return {"decision": "reject", "filter": {"image_ids": [served.kept[OTHER]]}}


def decide_by_filter(http: httpx.Client, served: Installation, headers: dict[str, str]) -> dict[str, int]:
    """Look by filter and say yes; returns the job."""
    path = TABLE["batchReview"].path
    look = http.post(path, json=by_filter(served), headers=headers).json()["look"]
    assert look["count"], "nothing is pending on the image any more"
    body = by_filter(served) | {"confirmation": look["confirmation"]}
    answer = http.post(path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    job: dict[str, int] = answer.json()["job"]
    return job


def call(
    http: httpx.Client,
    served: Installation,
    operation: Operation,
    headers: dict[str, str],
    image_id: int = 0,
    *,
    model: tuple[str, int] | None = None,
    batch_id: int = UNKNOWN_ID,
    lease_id: int = UNKNOWN_ID,
    job_id: int = UNKNOWN_ID,
    mapping_id: int = UNKNOWN_ID,
) -> httpx.Response:
    """Call an operation with a request that is right, and hold its answer against the document."""
    more: dict[str, object] = {}
    match operation.name:
        case "registerImage":
            more["json"] = {"url": "https://pictures.example/1.png"}
        case "undoBatch":
            more["json"] = {}
        case "batchReview":
            more["json"] = by_filter(served)
        case "showQueue":
            more["params"] = {"tag_id": served.tag_id}
        case "claimLease":
            more["json"] = {"tag_id": served.tag_id, "limit": 1}
        case "reviewSuggestions" | "reviewAcrossImages":
            decision = pending(http, served, image_id) | {"decision": "reject", "reason": "wrong"}
            more["json"] = {"decisions": [decision]}
        case "setTags" | "addTags" | "removeTags":
            more["json"] = {"tag_ids": [a_tag(http, served)]}
        case "changeEligibility":
            more["json"] = {"eligibility": "active"}
        case "createTag":
            more["json"] = {"title": f"made {token_hex(8)}", "type": "theme"}
        case "editTag":
            more["json"] = {"parent_id": None}
        case "importMappings":
            more["json"] = {"rows": [{"external_tag": "by_role", "action": "ignore"}], "apply": True}
        case "shadowModel":
            more["json"] = {"share": 0.1}
        case "promoteModel" | "retireModel":
            more["json"] = {}
        case "setThresholds" | "previewThresholds":
            more["json"] = {"floors": [{"category": "general", "floor": "default"}]}
        case "setPriorities" | "previewPriorities":
            more["json"] = {"rules": [{"type": "artist", "models": ["wd14"]}]}
        case "setRawRetention":
            more["json"] = {"policy": "keep"}
        case "rollBackThresholds" | "rollBackPriorities":
            more["json"] = {"back_to": 0}
        case "analyze":
            more["content"] = PICTURE
            headers = {**headers, "Content-Type": "image/jpeg"}
    name, version = ON_MODELS.get(operation.name, ("", 0)) if model is None else model
    numbers = {"image_id": image_id, "batch_id": batch_id, "lease_id": lease_id, "job_id": job_id}
    numbers["mapping_id"] = mapping_id
    tag_id = a_tag(http, served) if "{tag_id}" in operation.path else 0
    path = operation.path.format(**numbers, name=name, version=version, tag_id=tag_id)
    response = http.request(operation.method, path, headers=headers, **more)  # type: ignore[arg-type]
    DOCUMENT[operation.path][operation.method].validate_response(response)
    return response


def assert_refused(response: httpx.Response, status: int, *codes: str) -> None:
    assert response.status_code == status, response.text
    assert response.json()["code"] in codes


def test_the_matrix_speaks_of_every_operation() -> None:
    assert {
        *(*ON_IMAGES, *ON_THE_BOARD, *ON_MAPPINGS, *ON_MODELS, *ON_VERDICTS, *ON_LEASES, *ON_JOBS),
        *WITHOUT_TOKEN,
    } == set(TABLE)
    assert {name for name, one in TABLE.items() if "{image_id}" in one.path} == set(ON_IMAGES)


@pytest.mark.parametrize(("name", "role"), list(product(ON_IMAGES, Role)))
def test_whose_image_it_is_decides(http: httpx.Client, served: Installation, name: str, role: Role) -> None:
    """Given somebody's role, when they ask for an own image, another's, or one that there is not, then they
    get what the table grants, 403, or 404."""
    operation, granted, headers = TABLE[name], ON_IMAGES[name], served.headers(role)
    for whose, image_id in {"own": served.kept[role], "another's": served.kept[OTHER]}.items():
        response = call(http, served, operation, headers, image_id)
        if role in granted[whose]:
            assert response.is_success, f"{whose}: {response.text}"
        else:
            assert_refused(response, 403, "not_your_image", "role_forbids")
    unknown = call(http, served, operation, headers, UNKNOWN_ID)
    if role in granted["own"]:
        assert_refused(unknown, 404, "image_not_found")
    else:
        assert_refused(unknown, 403, "role_forbids")


@pytest.mark.parametrize(("name", "role"), list(product(ON_THE_BOARD, Role)))
def test_the_role_decides(http: httpx.Client, served: Installation, name: str, role: Role) -> None:
    response = call(http, served, TABLE[name], served.headers(role))
    if role in ON_THE_BOARD[name]:
        assert response.is_success, response.text
    else:
        assert_refused(response, 403, "role_forbids")


@pytest.mark.parametrize("role", Role)
def test_whose_suggestions_they_are_decides(http: httpx.Client, served: Installation, role: Role) -> None:
    operation, headers = TABLE["reviewAcrossImages"], served.headers(role)
    for whose, image_id in {"own": served.kept[role], "another's": served.kept[OTHER]}.items():
        response = call(http, served, operation, headers, image_id)
        if role in ON_VERDICTS["reviewAcrossImages"][whose]:
            assert response.is_success, f"{whose}: {response.text}"
            undone = call(http, served, TABLE["undoBatch"], headers, batch_id=response.json()["batch_id"])
            assert undone.is_success, undone.text
        else:
            assert_refused(response, 403, "not_your_image", "role_forbids")


@pytest.mark.parametrize("role", Role)
def test_who_may_take_back_whose_verdicts(http: httpx.Client, served: Installation, role: Role) -> None:
    granted = ON_VERDICTS["undoBatch"]
    review, undo = TABLE["reviewAcrossImages"], TABLE["undoBatch"]
    theirs = call(http, served, review, served.headers(A), served.kept[OTHER]).json()["batch_id"]
    response = call(http, served, undo, served.headers(role), batch_id=theirs)
    if role in granted["another's"]:
        assert response.is_success, response.text
    else:
        assert_refused(response, 403, "not_your_batch", "role_forbids")
        assert call(http, served, undo, served.headers(A), batch_id=theirs).is_success
    unknown = call(http, served, undo, served.headers(role))
    if role in granted["own"]:
        assert_refused(unknown, 404, "batch_not_found")
    else:
        assert_refused(unknown, 403, "role_forbids")


@pytest.mark.parametrize(("name", "role"), list(product(ON_LEASES, Role)))
def test_whose_lease_it_is_decides(http: httpx.Client, served: Installation, name: str, role: Role) -> None:
    """Given a lease of one's own, another's, or none, then its holder is let in, and those in charge may end
    it for others."""
    granted, operation, headers = ON_LEASES[name], TABLE[name], served.headers(role)
    claiming, releasing = TABLE["claimLease"], TABLE["releaseLease"]
    for whose, holder in {"own": role, "another's": M if role is A else A}.items():
        if holder not in granted["own"]:
            continue
        lease = call(http, served, claiming, served.headers(holder)).json()["lease"]["id"]
        response = call(http, served, operation, headers, lease_id=lease)
        if role in granted[whose]:
            assert response.is_success, f"{whose}: {response.text}"
        else:
            assert_refused(response, 403, "not_your_lease", "role_forbids")
        call(http, served, releasing, served.headers(holder), lease_id=lease)
    unknown = call(http, served, operation, headers)
    if role in granted["own"]:
        assert_refused(unknown, 404, "lease_not_found")
    else:
        assert_refused(unknown, 403, "role_forbids")


@pytest.mark.parametrize(("name", "role"), list(product(ON_JOBS, Role)))
def test_whose_job_it_is_decides(http: httpx.Client, served: Installation, name: str, role: Role) -> None:
    """Given a job of those who may start one, then they and those in charge are let in; one that has ended
    cannot be stopped any more."""
    granted, operation, headers = ON_JOBS[name], TABLE[name], served.headers(role)
    for whose, starter in {"own": role, "another's": M if role is A else A}.items():
        if starter not in ON_THE_BOARD["batchReview"]:
            continue
        job = decide_by_filter(http, served, served.headers(starter))
        response = call(http, served, operation, headers, job_id=job["id"])
        if role not in granted[whose]:
            assert_refused(response, 403, "not_your_job", "role_forbids")
        elif name == "cancelReviewJob":
            assert_refused(response, 409, "job_finished")
        else:
            assert response.is_success, f"{whose}: {response.text}"
        undone = call(http, served, TABLE["undoBatch"], served.headers(A), batch_id=job["batch_id"])
        assert undone.is_success, undone.text
    unknown = call(http, served, operation, headers)
    if role in granted["own"]:
        assert_refused(unknown, 404, "job_not_found")
    else:
        assert_refused(unknown, 403, "role_forbids")


@pytest.mark.parametrize("role", Role)
def test_mappings_are_removed_by_engineers(http: httpx.Client, served: Installation, role: Role) -> None:
    """Given a mapping, then those who may map may remove it, and for others there is not even a 404."""
    operation, headers = TABLE["removeMapping"], served.headers(role)
    made = {"rows": [{"external_tag": "of nobody", "action": "ignore", "source": "matrix"}], "apply": True}
    http.post(TABLE["importMappings"].path, json=made, headers=served.headers(A))
    path, query = TABLE["listMappings"].path, {"source": "matrix"}
    (mapping,) = http.get(path, params=query, headers=served.headers(A)).json()["items"]
    response = call(http, served, operation, headers, mapping_id=mapping["id"])
    unknown = call(http, served, operation, headers)
    if role in ON_MAPPINGS["removeMapping"]:
        assert response.is_success, response.text
        assert_refused(unknown, 404, "mapping_not_found")
    else:
        assert_refused(response, 403, "role_forbids")
        assert_refused(unknown, 403, "role_forbids")


@pytest.mark.parametrize(("name", "role"), list(product(ON_MODELS, Role)))
def test_models_are_for_engineers(http: httpx.Client, served: Installation, name: str, role: Role) -> None:
    response = call(http, served, TABLE[name], served.headers(role))
    unknown = call(http, served, TABLE[name], served.headers(role), model=("nobody", 7))
    if role in ENGINEERS:
        if name in NOT_OF_THIS_ONE:
            assert_refused(response, 409, NOT_OF_THIS_ONE[name])
        else:
            assert response.is_success, response.text
        assert_refused(unknown, 404, "version_not_found")
    else:
        assert_refused(response, 403, "role_forbids")
        assert_refused(unknown, 403, "role_forbids")


@pytest.mark.parametrize("role", Role)
def test_a_path_may_be_registered_by_those_who_run_the_machine(
    http: httpx.Client, served: Installation, role: Role
) -> None:
    picture = served.settings.image_roots[0] / f"{role}.jpg"
    picture.write_bytes(PICTURE)
    response = http.post("/api/v1/images", json={"path": str(picture)}, headers=served.headers(role))
    if role in BY_PATH:
        assert response.status_code == 202, response.text
    else:
        assert_refused(response, 403, "role_forbids")


@pytest.mark.parametrize("role", Role)
def test_a_list_shows_no_more_than_may_be_seen_one_by_one(
    http: httpx.Client, served: Installation, role: Role
) -> None:
    listed = http.get("/api/v1/images", params={"limit": 200}, headers=served.headers(role)).json()["items"]
    assert served.kept[role] in {one["id"] for one in listed}
    uploaders = {one["uploader"] for one in listed}
    assert role in SEE["another's"] or uploaders == {str(role)}
    assert role not in REVIEW["another's"] or OTHER in uploaders


@pytest.mark.parametrize(
    "name", [*ON_IMAGES, *ON_THE_BOARD, *ON_MAPPINGS, *ON_MODELS, *ON_VERDICTS, *ON_LEASES]
)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "token_missing"),
        ({"Authorization": "Bearer td_nobody-has-this-token-nobody-has-this"}, "bad_token"),
    ],
    ids=["none", "unknown"],
)
def test_without_a_valid_token_nothing_is_said(
    http: httpx.Client, served: Installation, name: str, headers: dict[str, str], code: str
) -> None:
    """Given no token that is known, then the answer is 401 whether the image is there or not."""
    answers = []
    for image_id in (served.kept[OTHER], UNKNOWN_ID):
        response = call(http, served, TABLE[name], headers, image_id)
        assert_refused(response, 401, code)
        answers.append(json.dumps(response.json()))
    assert len(set(answers)) == 1


@pytest.mark.parametrize("name", sorted(WITHOUT_TOKEN))
def test_probes_and_scrapes_need_no_token(http: httpx.Client, served: Installation, name: str) -> None:
    assert call(http, served, TABLE[name], {}).status_code == 200
