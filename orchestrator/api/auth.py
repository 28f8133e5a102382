"""Who calls, and whether the role lets them in."""

from starlette.requests import Request

from orchestrator import accounts
from orchestrator.api.call import soon
from orchestrator.api.operations import Operation
from orchestrator.errors import Forbidden, Unauthenticated
from orchestrator.records import Image, User
from orchestrator.resources import Resources


async def caller_of(request: Request, resources: Resources, operation: Operation) -> User | None:
    """Return the caller; `None` when the operation needs no token. Raises Unauthenticated, Forbidden."""
    if operation.action is None:
        return None
    user = await soon(accounts.authenticate(resources.store, bearer_token(request)))
    if not any(accounts.may(user.role, action) for action in operation.actions):
        raise Forbidden(f"the role {user.role} may not do this", code="role_forbids")
    return user


def bearer_token(request: Request) -> str:
    """Return the token of the Authorization header. Raises Unauthenticated (`token_missing`)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("send a token as 'Authorization: Bearer …'", code="token_missing")
    return token.strip()


def require_sight(user: User, image: Image) -> None:
    """Let see an image: its uploader, who reviews any image, and who runs the models. Raises Forbidden."""
    seeing = (accounts.Action.REVIEW_ANY, accounts.Action.RUN_BACKFILL)
    if user.id != image.uploader_id and not any(accounts.may(user.role, action) for action in seeing):
        raise Forbidden("this image is another's", code="not_your_image")
