"""Signing in with a token, and out."""

from starlette.responses import RedirectResponse, Response

from orchestrator import accounts
from orchestrator.errors import Unauthenticated
from orchestrator.web.visit import DESK, HEADERS, SIGN_IN, Visit, soon

LONGEST_TOKEN = 200


async def show(visit: Visit) -> Response:
    """Show the form, or go on when somebody is signed in already."""
    target = _target(visit.request.query_params.get("next"))
    if visit.visitor is not None:
        return RedirectResponse(target, status_code=303, headers=HEADERS)
    return visit.page("sign_in.html", target=target, problem=None, insecure=_is_insecure(visit))


async def sign_in(visit: Visit) -> Response:
    """Start a session for a valid token."""
    form = await visit.request.form(max_files=0, max_fields=4)
    token = str(form.get("token", "")).strip()[:LONGEST_TOKEN]
    target = _target(str(form.get("next", "")))
    try:
        await soon(accounts.authenticate(visit.resources.store, token))
    except Unauthenticated:
        return visit.page(
            "sign_in.html",
            status=401,
            target=target,
            problem="This token is unknown, expired or revoked.",
            insecure=_is_insecure(visit),
        )
    response = RedirectResponse(target, status_code=303, headers=HEADERS)
    visit.sessions.start(response, visit.request, token)
    return response


async def sign_out(visit: Visit) -> Response:
    """End the session."""
    response = RedirectResponse(SIGN_IN, status_code=303, headers=HEADERS)
    visit.sessions.end(response, visit.request)
    return response


def _target(wanted: str | None) -> str:
    """Return where to go after signing in: a page of the desk, never another site."""
    if (
        wanted
        and (wanted == DESK or wanted.startswith(f"{DESK}/"))
        and "\\" not in wanted
        and wanted.isprintable()
    ):
        return wanted if not wanted.startswith(SIGN_IN) else DESK
    return DESK


def _is_insecure(visit: Visit) -> bool:
    """Whether the browser will refuse our cookie, since it travels by https only."""
    return visit.sessions.is_secure(visit.request) and visit.request.url.scheme != "https"
