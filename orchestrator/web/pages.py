"""The pages that one looks at: the queue, an image, and its pictures."""

from dataclasses import dataclass

from starlette.responses import Response

from orchestrator import accounts
from orchestrator.errors import Forbidden
from orchestrator.records import Image
from orchestrator.store import images, pending
from orchestrator.store.transaction import Transaction
from orchestrator.web.pictures import serve_picture, serve_preview
from orchestrator.web.views import image_view, only_own
from orchestrator.web.visit import Visit
from orchestrator.web.words import REASONS

PAGE = 24


@dataclass(frozen=True, slots=True)
class Card:
    """An image in the queue, and how many of its suggestions are pending."""

    image: Image
    pending: int


async def queue(visit: Visit) -> Response:
    """Show the images with pending suggestions, newest first."""
    require_reviewer(visit)
    before = visit.request.query_params.get("before", "")
    after_id = int(before) if before.isdecimal() and len(before) < 19 else None
    uploader_id = only_own(visit.user)

    async def work(tx: Transaction) -> list[Card]:
        found = await images.list_images(
            tx, pending_only=True, uploader_id=uploader_id, after_id=after_id, limit=PAGE + 1
        )
        counts = await pending.counts(tx, [image.id for image in found])
        return [Card(image, counts.get(image.id, 0)) for image in found]

    cards = await visit.read(work)
    more = cards[PAGE - 1].image.id if len(cards) > PAGE else None
    return visit.page("queue.html", cards=cards[:PAGE], more=more, first=after_id is None)


async def image(visit: Visit) -> Response:
    """Show an image with its suggestions."""
    require_reviewer(visit)
    user, image_id = visit.user, visit.image_id
    shown = visit.request.method == "GET"
    view = await visit.read_and_note(lambda tx: image_view(tx, user, image_id, shown=shown))
    return visit.page("image.html", view=view, reasons=REASONS, message=None, failed=False)


async def picture(visit: Visit) -> Response:
    """Send the picture itself."""
    return await serve_picture(visit.resources, await _visible(visit), visit.request)


async def preview(visit: Visit) -> Response:
    """Send a small picture."""
    return await serve_preview(visit.resources, await _visible(visit), visit.request)


async def _visible(visit: Visit) -> Image:
    found = await visit.read(lambda tx: images.get(tx, visit.image_id))
    accounts.require_review(visit.user, found.uploader_id)
    return found


def require_reviewer(visit: Visit) -> None:
    """Let in whose role reviews anything at all. Raises Forbidden."""
    reviewing = (accounts.Action.REVIEW_OWN, accounts.Action.REVIEW_ANY)
    if not any(accounts.may(visit.user.role, action) for action in reviewing):
        raise Forbidden(f"The role “{visit.user.role}” does not review suggestions.", code="role_forbids")
