"""People and their tokens, as rows. Only a token's SHA-256 is ever stored."""

from datetime import datetime

from orchestrator.errors import InvalidInput
from orchestrator.records import Role, User
from orchestrator.store.transaction import DuplicateKey, Row, Transaction

_USER = "SELECT u.id, u.external_id, u.name, u.role FROM users u"


async def create(tx: Transaction, *, name: str, role: Role, external_id: int | None) -> User:
    """Add a user. Raises InvalidInput when the name or the external id is taken."""
    try:
        user_id = await tx.insert("users", name=name, role=role, external_id=external_id)
    except DuplicateKey as error:
        raise InvalidInput(
            f"a user of this name or external id exists: {name}", code="user_exists"
        ) from error
    return User(id=user_id, external_id=external_id, name=name, role=role)


async def by_name(tx: Transaction, name: str) -> User | None:
    """Return the user of this name, which is compared without regard to case."""
    row = await tx.fetch_one(f"{_USER} WHERE u.name = :name", name=name)
    return None if row is None else _user(row)


async def list_users(tx: Transaction) -> tuple[User, ...]:
    """Return every user in id order."""
    return tuple(_user(row) for row in await tx.fetch_all(f"{_USER} ORDER BY u.id"))


async def add_token(
    tx: Transaction, user_id: int, *, sha256: bytes, name: str, expires_at: datetime | None
) -> int:
    """Store a token's hash; returns the token's id."""
    return await tx.insert(
        "api_tokens",
        user_id=user_id,
        sha256=sha256,
        name=name,
        expires_at=None if expires_at is None else expires_at.replace(tzinfo=None),
    )


async def by_token(tx: Transaction, sha256: bytes) -> User | None:
    """Return whose token this is; None when it is unknown, expired, revoked, or its user is disabled."""
    row = await tx.fetch_one(
        f"""{_USER} JOIN api_tokens k ON k.user_id = u.id
        WHERE k.sha256 = :sha256 AND k.revoked_at IS NULL AND u.disabled_at IS NULL
          AND (k.expires_at IS NULL OR k.expires_at > UTC_TIMESTAMP(6))""",
        sha256=sha256,
    )
    return None if row is None else _user(row)


async def revoke_token(tx: Transaction, sha256: bytes) -> bool:
    """Revoke a token; False when there is no such token or it was revoked before."""
    return bool(
        await tx.execute(
            "UPDATE api_tokens SET revoked_at = UTC_TIMESTAMP(6)"
            " WHERE sha256 = :sha256 AND revoked_at IS NULL",
            sha256=sha256,
        )
    )


def _user(row: Row) -> User:
    return User(id=row["id"], external_id=row["external_id"], name=row["name"], role=Role(row["role"]))
