"""Looking at images: one, a page of them, the picture itself, and how far its analysis is."""

from orchestrator import accounts
from orchestrator.api import answers, auth, pagination
from orchestrator.api.call import Call
from orchestrator.api.operations import Reply
from orchestrator.records import Image, Priority
from orchestrator.store import image_queue, images, models, pending, tags, users
from orchestrator.store.image_queue import ImageFilter, Place
from orchestrator.store.transaction import Transaction
from orchestrator.web.pictures import serve_picture
from orchestrator.wire.requests import ImagesQuery
from orchestrator.wire.schemas import Generating, ImagePage

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
    own = query.mine or not accounts.may(call.user.role, accounts.Action.REVIEW_ANY)
    by_date = query.uploaded_after is not None or query.uploaded_before is not None
    kind = f"{CURSOR} by date" if by_date else CURSOR
    after = pagination.decode(query.cursor, kind, 2)

    async def work(tx: Transaction) -> tuple[list[Image], dict[int, int], Place | None]:
        where = ImageFilter(
            pending=query.pending,
            state=query.state,
            uploader_ids=await _uploaders(tx, call.user.id if own else None, query.uploader),
            since=query.uploaded_after,
            until=query.uploaded_before,
            type=query.type,
            versions=None if query.model is None else await models.ids_of_name(tx, query.model),
        )
        keys = await image_queue.page(
            tx, where, after=None if after is None else Place(after[0], after[1]), limit=query.limit
        )
        return await images.get_many(tx, keys.ids), await pending.counts(tx, keys.ids), keys.next

    found, counts, then = await call.read(work)
    return Reply(
        200,
        ImagePage(
            items=tuple(answers.listed_image(image, counts.get(image.id, 0)) for image in found),
            next_cursor=None if then is None else pagination.encode(kind, then.uploaded, then.id),
        ),
    )


async def _uploaders(tx: Transaction, only: int | None, name: str | None) -> tuple[int, ...] | None:
    """Return whose images are asked for; None: everybody's."""
    if name is None:
        return None if only is None else (only,)
    user = await users.by_name(tx, name)
    return () if user is None or only not in (None, user.id) else (user.id,)


async def generate(call: Call) -> Reply:
    """Have an image analysed again because a person asked."""
    image_id, user = call.image_id, call.user
    image = await call.read(lambda tx: images.get(tx, image_id))
    accounts.require_review(user, image.uploader_id)
    queued = await call.resources.store.write(
        lambda tx: images.requeue(tx, image_id, explicit=True, priority=Priority.LIVE, asked_by=user.id)
    )
    if queued:
        await call.resources.queue.enqueue([image_id], Priority.LIVE)
    now = await call.read(lambda tx: images.get(tx, image_id))
    return Reply(202, Generating(id=now.id, status=now.state, links=answers.links(now.id)))
