"""POST /images: by URL, by path, or by upload. The row first, the queue after the commit."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import anyio.to_thread

from orchestrator import accounts
from orchestrator.api import answers, bodies
from orchestrator.api.call import Call
from orchestrator.api.operations import JSON, MULTIPART, Reply
from orchestrator.api.problems import RequestRefused
from orchestrator.images.blobs import store_blob
from orchestrator.images.codes import FetchCode
from orchestrator.records import ImageSource, ImageState, Priority, RegisteredImage, SourceKind
from orchestrator.store import idempotency, images
from orchestrator.store.transaction import Transaction
from orchestrator.wire.requests import RegisterImage, UploadFields
from orchestrator.wire.schemas import Registered


async def register_image(call: Call) -> Reply:
    """Register a picture and have it analysed; answers before anybody has looked at it."""
    match bodies.media_type(call.request):
        case "application/json":
            source, external_id = await _addressed(call)
        case "multipart/form-data":
            source, external_id = await _uploaded(call)
        case found:
            raise bodies.unsupported(found, (JSON, MULTIPART))
    registered = await _register(call, source, external_id)
    if registered.created:
        # After the commit. A queue that does not take it is no failure: the sweeper finds the row.
        await call.resources.queue.enqueue([registered.id], Priority.LIVE)
    links = answers.links(registered.id)
    body = Registered(
        id=registered.id,
        external_id=external_id,
        status=registered.state,
        created=registered.created,
        links=links,
    )
    return Reply(202, body, headers={"Location": links.self})


async def _addressed(call: Call) -> tuple[ImageSource, int | None]:
    body = await call.json(RegisterImage)
    if body.url is not None:
        return ImageSource(SourceKind.URL, _checked_url(body.url)), body.external_id
    if body.path is None:
        raise RuntimeError("the schema lets exactly one address through")
    accounts.require(call.user, accounts.Action.REGISTER_BY_PATH)
    roots = call.resources.settings.image_roots
    if not await anyio.to_thread.run_sync(_is_below, body.path, roots):
        raise RequestRefused(422, FetchCode.PATH_REFUSED.value, "the path is not below an allowed root")
    return ImageSource(SourceKind.PATH, body.path), body.external_id


def _checked_url(url: str) -> str:
    """Refuse what no fetch will ever accept; where the name leads is judged when it is fetched."""
    try:
        parts = urlsplit(url)
        acceptable = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        _ = parts.port
    except ValueError:
        acceptable = False
    if not acceptable or not url.isprintable() or " " in url:
        detail = "only http and https URLs with a host and without credentials are fetched"
        raise RequestRefused(422, FetchCode.URL_REFUSED.value, detail)
    return url


def _is_below(location: str, roots: tuple[Path, ...]) -> bool:
    """Whether a path leads below a root, links resolved. It need not exist: the analysis will say so."""
    try:
        path = Path(location)
        return path.is_absolute() and any(path.resolve().is_relative_to(root.resolve()) for root in roots)
    except (OSError, RuntimeError, ValueError):
        return False


async def _uploaded(call: Call) -> tuple[ImageSource, int | None]:
    settings = call.resources.settings
    form = await bodies.read_form(call.request)
    try:
        fields = bodies.read_fields(form, UploadFields)
        data = await bodies.read_file(form, settings.max_image_bytes)
    finally:
        await form.close()
    key = await anyio.to_thread.run_sync(store_blob, settings.blob_dir, data)
    return ImageSource(SourceKind.BLOB, key), fields.external_id


async def _register(call: Call, source: ImageSource, external_id: int | None) -> RegisteredImage:
    """Store the row, once per idempotency key; a replay names the image that the first one created."""
    user, key = call.user, call.idempotency_key

    async def work(tx: Transaction) -> RegisteredImage:
        if key is not None:
            request = idempotency.fingerprint("register", source.kind, source.location, external_id)
            known = await idempotency.begin(tx, user_id=user.id, key=key, request=request)
            if known is not None:
                image = await images.get(tx, int(json.loads(known)["id"]))
                return RegisteredImage(image.id, ImageState(image.state), created=False)
        registered = await images.register(
            tx, source=source, uploader_id=user.id, external_id=external_id, priority=Priority.LIVE
        )
        if key is not None:
            answer = json.dumps({"id": registered.id})
            await idempotency.finish(tx, user_id=user.id, key=key, response=answer)
        return registered

    return await call.resources.store.write(work)
