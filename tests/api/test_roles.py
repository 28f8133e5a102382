"""Who may call what: every operation of the route table, as every role, as the table says."""

import pytest
from serving import Api, assert_problem
from small_board import SmallBoard

from orchestrator import accounts
from orchestrator.api.operations import Operation
from orchestrator.api.table import operations
from orchestrator.records import Role

pytestmark = pytest.mark.anyio

GUARDED = [one for one in operations() if one.action is not None]
OPEN = [one for one in operations() if one.action is None]


def address(operation: Operation, image_id: int = 999_999) -> str:
    others = dict.fromkeys(("batch_id", "lease_id", "job_id", "tag_id", "mapping_id"), 999_999)
    return operation.path.format(image_id=image_id, name="nobody", version=7, **others)


@pytest.mark.parametrize("operation", GUARDED, ids=lambda one: one.name)
async def test_every_guarded_operation_lets_in_exactly_the_roles_of_the_table(
    api: Api, operation: Operation
) -> None:
    for role in Role:
        response = await api.http.request(operation.method, address(operation), headers=api.as_role(role))
        allowed = any(accounts.may(role, action) for action in operation.actions)
        if allowed:
            assert response.status_code not in {401, 403}, f"{role}: {response.text}"
            assert response.status_code < 500, f"{role}: {response.text}"
        else:
            assert_problem(response, 403, "role_forbids")


@pytest.mark.parametrize("operation", GUARDED, ids=lambda one: one.name)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "token_missing"),
        ({"Authorization": "Basic dTpw"}, "token_missing"),
        ({"Authorization": "Bearer td_nobody-has-this-token-nobody-has-this"}, "bad_token"),
        ({"Authorization": "Bearer \xff\xfe"}, "bad_token"),
    ],
    ids=["none", "other scheme", "unknown", "no text"],
)
async def test_without_a_valid_token_the_answer_is_a_challenge(
    api: Api, operation: Operation, headers: dict[str, str], code: str
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    response = await api.http.request(operation.method, address(operation), headers=raw)
    assert_problem(response, 401, code)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_revoked_token_lets_nobody_in(api: Api, board: SmallBoard) -> None:
    await accounts.revoke(board.store, api.tokens[Role.ADMIN])
    assert_problem(await api.get("/api/v1/images", Role.ADMIN), 401, "bad_token")


@pytest.mark.parametrize("operation", OPEN, ids=lambda one: one.name)
async def test_operation_needs_no_token(api: Api, operation: Operation) -> None:
    response = await api.http.request(operation.method, operation.path)
    assert response.status_code in operation.answers


ANOTHERS = {
    # operation: (uploader of another image, engineer)
    "showImage": (403, 200),
    "showStatus": (403, 200),
    "listSuggestions": (403, 403),
    "generateSuggestions": (403, 403),
    "reviewSuggestions": (403, 403),
}


@pytest.mark.parametrize(
    "operation", [one for one in GUARDED if one.name in ANOTHERS], ids=lambda one: one.name
)
async def test_anothers_image_is_forbidden_and_an_unknown_one_not_found(
    api: Api, board: SmallBoard, operation: Operation
) -> None:
    """Given an image of the tagger's, when others ask for it, then only those who may are let in."""
    image_id = await board.suggested({"smile": 9000}, board.tagger)
    body = {"decisions": [{"suggestion_id": 999_999, "version": 1, "decision": "approve"}]}
    more = {"json": body} if operation.body is not None else {}

    async def ask(role: Role, which: int) -> int:
        response = await api.http.request(
            operation.method, address(operation, which), headers=api.as_role(role), **more
        )
        return response.status_code

    own = 404 if operation.name == "reviewSuggestions" else next(iter(operation.answers))
    assert await ask(Role.TAGGER, image_id) == own
    assert await ask(Role.MODERATOR, image_id) == own
    assert (await ask(Role.UPLOADER, image_id), await ask(Role.ENGINEER, image_id)) == ANOTHERS[
        operation.name
    ]
    assert await ask(Role.MODERATOR, image_id + 1) == 404
