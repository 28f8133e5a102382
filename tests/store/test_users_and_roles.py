"""Tokens, and who may do what."""

import itertools
from datetime import timedelta

import pytest

from orchestrator import accounts
from orchestrator.accounts import Action
from orchestrator.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from orchestrator.records import Role, User
from orchestrator.store.unit_of_work import Store

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ann(store: Store) -> User:
    return await accounts.create_user(store, name="Ann", role=Role.TAGGER, external_id=12)


async def test_a_token_names_its_user_until_it_is_revoked(store: Store, ann: User) -> None:
    token = await accounts.issue_token(store, ann, name="desk")

    assert token.startswith("td_")
    assert await accounts.authenticate(store, token) == ann
    await accounts.revoke(store, token)
    with pytest.raises(Unauthenticated):
        await accounts.authenticate(store, token)
    with pytest.raises(NotFound):
        await accounts.revoke(store, token)


async def test_only_a_hash_of_the_token_is_stored(store: Store, ann: User) -> None:
    token = await accounts.issue_token(store, ann)

    rows = await store.read(lambda tx: tx.fetch_rows("SELECT * FROM api_tokens"))

    assert len(rows) == 1
    assert token not in repr(rows)
    assert token.removeprefix("td_") not in repr(rows)


async def test_a_token_may_expire(store: Store, ann: User) -> None:
    old = await accounts.issue_token(store, ann, lifetime=timedelta(seconds=-1))
    young = await accounts.issue_token(store, ann, lifetime=timedelta(hours=1))

    assert await accounts.authenticate(store, young) == ann
    with pytest.raises(Unauthenticated):
        await accounts.authenticate(store, old)


@pytest.mark.parametrize("token", ["", "td_", "td_unknown", "Bearer td_x"])
async def test_what_is_no_token_is_nobody(store: Store, ann: User, token: str) -> None:
    with pytest.raises(Unauthenticated):
        await accounts.authenticate(store, token)


async def test_a_token_made_elsewhere_is_adopted_once(store: Store, ann: User) -> None:
    token = "td_" + "x" * 43
    eve = await accounts.create_user(store, name="eve", role=Role.ADMIN)

    await accounts.adopt_token(store, ann, token)
    await accounts.adopt_token(store, ann, token)

    assert await accounts.authenticate(store, token) == ann
    with pytest.raises(InvalidInput):
        await accounts.adopt_token(store, eve, token)
    with pytest.raises(InvalidInput):
        await accounts.adopt_token(store, ann, "td_short")


async def test_a_user_is_found_by_name_whatever_its_case(store: Store, ann: User) -> None:
    assert await accounts.find_user(store, "ann") == ann
    assert await accounts.find_user(store, "bob") is None


@pytest.mark.parametrize(
    ("name", "external_id"), [("ANN", None), ("bob", 12), ("  ", None), ("x" * 101, None)]
)
async def test_a_name_or_external_id_that_is_taken_or_senseless_is_refused(
    store: Store, ann: User, name: str, external_id: int | None
) -> None:
    with pytest.raises(InvalidInput):
        await accounts.create_user(store, name=name, role=Role.TAGGER, external_id=external_id)


# The table of DESIGN 2, row by row: uploader, tagger, moderator, engineer, admin.
TABLE = {
    (Action.REGISTER_IMAGE, Action.ANALYZE, Action.READ_STATUS): "yyyyy",
    (Action.REGISTER_BY_PATH,): "---yy",
    (Action.REVIEW_OWN, Action.UNDO_OWN): "yyy-y",
    (Action.REVIEW_ANY, Action.USE_QUEUES): "-yy-y",
    (Action.BULK_REVIEW, Action.UNDO_ANY, Action.EDIT_TAGS, Action.SET_ELIGIBILITY): "--y-y",
    # DESIGN has no row for statistics: whoever answers for reviews or for models reads them (ADR 15).
    (Action.READ_STATISTICS,): "--yyy",
    (
        Action.EDIT_MAPPINGS,
        Action.MANAGE_MODELS,
        Action.EDIT_THRESHOLDS,
        Action.RUN_BACKFILL,
        Action.READ_RAW,
    ): "---yy",
    (Action.MANAGE_USERS,): "----y",
}


def test_the_roles_allow_what_the_table_says() -> None:
    expected = {
        (role, action): mark == "y"
        for actions, marks in TABLE.items()
        for action in actions
        for role, mark in zip(Role, marks, strict=True)
    }

    assert {(r, a): accounts.may(r, a) for r, a in itertools.product(Role, Action)} == expected


@pytest.mark.parametrize(
    ("role", "own", "others"),
    [
        (Role.UPLOADER, True, False),
        (Role.TAGGER, True, True),
        (Role.MODERATOR, True, True),
        (Role.ENGINEER, False, False),
        (Role.ADMIN, True, True),
    ],
)
def test_an_image_is_reviewed_by_those_the_table_names(role: Role, own: bool, others: bool) -> None:
    actor = User(id=1, external_id=None, name="someone", role=role)

    assert (accounts.may_review(actor, 1), accounts.may_review(actor, 2)) == (own, others)


def test_what_a_role_does_not_allow_is_forbidden() -> None:
    actor = User(id=1, external_id=None, name="someone", role=Role.UPLOADER)

    accounts.require(actor, Action.ANALYZE)
    with pytest.raises(Forbidden) as caught:
        accounts.require(actor, Action.MANAGE_USERS)
    assert caught.value.code == "role_forbids"
