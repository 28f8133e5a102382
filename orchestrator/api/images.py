"""Looking at images: one, a page of them, the picture itself, and how far its analysis is."""

from orchestrator import accounts
from orchestrator.api import answers, auth, pagination
from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.api.requests import ImagesQuery
from orchestrator.api.schemas import Generating, ImagePage
from orchestrator.records import Image, Priority
from orchestrator.store import images, tags
from orchestrator.web.pictures import serve_picture

CURSOR = "images"


async def visible_image(call: Call) -> Image:
    """Return the image of the path. Raises NotFound, Forbidden."""
    image = await call.read(lambda tx: images.get(tx, call.image_id))
    auth.require_sight(call.user, image)
    return image


async def show_image(call: Call) -> Reply:
    """Show an image and the tags that are linked to it."""
    image = await visible_image(call)
    linked = await call.read(lambda tx: tags.applied(tx, image.id))
    return Reply(200, answers.image_detail(image, linked))


async def show_status(call: Call) -> Reply:
    """Show how far an image's analysis is."""
    return Reply(200, answers.status(await visible_image(call)))


async def show_file(call: Call) -> Reply:
    """Send the picture as it was registered."""
    image = await visible_image(call)
    return Reply(200, await serve_picture(call.resources, image, call.request))


async def list_images(call: Call) -> Reply:
    """List images, newest first; who may review only their own sees only those."""
    query = call.query(ImagesQuery)
    after = pagination.decode(query.cursor, CURSOR, 1)
    everything = accounts.may(call.user.role, accounts.Action.REVIEW_ANY)
    found = await call.read(
        lambda tx: images.list_images(
            tx,
            pending_only=query.pending,
            state=query.state,
            uploader_id=call.user.id if query.mine or not everything else None,
            after_id=None if after is None else after[0],
            limit=query.limit + 1,
        )
    )
    page = found[: query.limit]
    more = len(found) > query.limit
    return Reply(
        200,
        ImagePage(
            items=tuple(answers.image(image) for image in page),
            next_cursor=pagination.encode(CURSOR, page[-1].id) if more else None,
        ),
    )


async def generate(call: Call) -> Reply:
    """Have an image analysed again because a person asked."""
    image_id, user = call.image_id, call.user
    image = await call.read(lambda tx: images.get(tx, image_id))
    accounts.require_review(user, image.uploader_id)
    queued = await call.resources.store.write(
        lambda tx: images.requeue(tx, image_id, explicit=True, priority=Priority.LIVE)
    )
    if queued:
        await call.resources.queue.enqueue([image_id], Priority.LIVE)
    now = await call.read(lambda tx: images.get(tx, image_id))
    return Reply(202, Generating(id=now.id, status=now.state, links=answers.links(now.id)))
