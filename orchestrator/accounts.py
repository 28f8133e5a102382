"""Users, tokens, and who may do what.

The role table of DESIGN 2 is data (`ROLES`): routes and services ask `may`, and nowhere else is a role's
name compared.
"""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from orchestrator.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from orchestrator.records import Role, User
from orchestrator.store import users
from orchestrator.store.unit_of_work import Store

TOKEN_PREFIX = "td_"  # noqa: S105  (what a token looks like, not one)
TOKEN_BYTES = 32


class Action(StrEnum):
    """What a role may allow."""

    ANALYZE = "analyze"
    READ_STATUS = "read_status"
    REGISTER_IMAGE = "register_image"
    REGISTER_BY_PATH = "register_by_path"
    REVIEW_OWN = "review_own"
    REVIEW_ANY = "review_any"
    UNDO_OWN = "undo_own"
    UNDO_ANY = "undo_any"
    USE_QUEUES = "use_queues"
    BULK_REVIEW = "bulk_review"
    READ_STATISTICS = "read_statistics"
    EDIT_TAGS = "edit_tags"
    SET_ELIGIBILITY = "set_eligibility"
    EDIT_MAPPINGS = "edit_mappings"
    MANAGE_MODELS = "manage_models"
    EDIT_THRESHOLDS = "edit_thresholds"
    RUN_BACKFILL = "run_backfill"
    READ_RAW = "read_raw"
    MANAGE_USERS = "manage_users"


_EVERYONE = frozenset({Action.ANALYZE, Action.READ_STATUS, Action.REGISTER_IMAGE})
_OWN_IMAGES = frozenset({Action.REVIEW_OWN, Action.UNDO_OWN})
_ANY_IMAGE = frozenset({Action.REVIEW_ANY, Action.USE_QUEUES})
_IN_CHARGE = frozenset(
    {
        Action.BULK_REVIEW,
        Action.UNDO_ANY,
        Action.EDIT_TAGS,
        Action.SET_ELIGIBILITY,
        Action.READ_STATISTICS,
    }
)
_ENGINE = frozenset(
    {
        Action.REGISTER_BY_PATH,
        Action.EDIT_MAPPINGS,
        Action.MANAGE_MODELS,
        Action.EDIT_THRESHOLDS,
        Action.RUN_BACKFILL,
        Action.READ_RAW,
        Action.READ_STATISTICS,
    }
)

ROLES: Mapping[Role, frozenset[Action]] = {
    Role.UPLOADER: _EVERYONE | _OWN_IMAGES,
    Role.TAGGER: _EVERYONE | _OWN_IMAGES | _ANY_IMAGE,
    Role.MODERATOR: _EVERYONE | _OWN_IMAGES | _ANY_IMAGE | _IN_CHARGE,
    Role.ENGINEER: _EVERYONE | _ENGINE,
    Role.ADMIN: frozenset(Action),
}


def may(role: Role, action: Action) -> bool:
    """Whether a role allows an action."""
    return action in ROLES[role]


def require(actor: User, action: Action) -> None:
    """Raise Forbidden unless the actor's role allows the action."""
    if not may(actor.role, action):
        raise Forbidden(f"the role {actor.role} does not allow {action}", code="role_forbids")


def may_review(actor: User, uploader_id: int) -> bool:
    """Whether the actor may see, review and re-generate the suggestions of this uploader's images."""
    own = actor.id == uploader_id and may(actor.role, Action.REVIEW_OWN)
    return own or may(actor.role, Action.REVIEW_ANY)


def require_review(actor: User, uploader_id: int) -> None:
    """Raise Forbidden unless `may_review`."""
    if not may_review(actor, uploader_id):
        raise Forbidden("this image is another's", code="not_your_image")


async def create_user(store: Store, *, name: str, role: Role, external_id: int | None = None) -> User:
    """Add a user. Raises InvalidInput when the name is empty or taken, or the external id is taken."""
    if not name.strip() or len(name) > 100:
        raise InvalidInput("a user's name has 1 to 100 characters", code="bad_user_name")
    return await store.write(lambda tx: users.create(tx, name=name, role=role, external_id=external_id))


async def issue_token(store: Store, user: User, *, name: str = "", lifetime: timedelta | None = None) -> str:
    """Make a token and return it, the only time that it can be read. It never expires unless told."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    expires_at = None if lifetime is None else datetime.now(UTC) + lifetime
    await store.write(
        lambda tx: users.add_token(tx, user.id, sha256=_digest(token), name=name, expires_at=expires_at)
    )
    return token


async def adopt_token(store: Store, user: User, token: str, *, name: str = "") -> None:
    """Store a token that was made elsewhere; nothing happens when it is this user's already.

    Raises InvalidInput when it does not look like a token, or is another's or no longer valid.
    """
    if not token.startswith(TOKEN_PREFIX) or len(token) < len(TOKEN_PREFIX) + TOKEN_BYTES:
        raise InvalidInput("this is no token", code="bad_token")
    known = await store.read(lambda tx: users.by_token(tx, _digest(token)))
    if known is None:
        await store.write(
            lambda tx: users.add_token(tx, user.id, sha256=_digest(token), name=name, expires_at=None)
        )
    elif known.id != user.id:
        raise InvalidInput("this token is another's", code="bad_token")


async def authenticate(store: Store, token: str) -> User:
    """Return whose token this is. Raises Unauthenticated."""
    user = None
    if token.startswith(TOKEN_PREFIX):
        user = await store.read(lambda tx: users.by_token(tx, _digest(token)))
    if user is None:
        raise Unauthenticated("the token is unknown, expired or revoked", code="bad_token")
    return user


async def revoke(store: Store, token: str) -> None:
    """Make a token worthless at once. Raises NotFound when it is unknown or was revoked before."""
    if not await store.write(lambda tx: users.revoke_token(tx, _digest(token))):
        raise NotFound("no such token", code="token_not_found")


async def find_user(store: Store, name: str) -> User | None:
    """Return the user of this name, or None."""
    return await store.read(lambda tx: users.by_name(tx, name))


def _digest(token: str) -> bytes:
    # Tokens carry 256 random bits, so a fast hash hides them as well as a slow one.
    return hashlib.sha256(token.encode()).digest()
