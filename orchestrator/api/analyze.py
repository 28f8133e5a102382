"""POST /tag-suggestions/analyze: bytes in, mapped tags out, nothing stored."""

from orchestrator.api import answers, bodies
from orchestrator.api.call import Call
from orchestrator.api.operations import MULTIPART, Reply
from orchestrator.wire.base import Sent

RAW_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/avif", "application/octet-stream")
MEDIA_TYPES = (MULTIPART, *RAW_TYPES)


class NoFields(Sent):
    """An analysis takes the file and nothing else."""


async def analyze(call: Call) -> Reply:
    """Return what models and rules make of the picture in the body."""
    found = bodies.media_type(call.request)
    if found == MULTIPART:
        data = await _from_form(call)
    elif found in RAW_TYPES:
        data = bodies.not_empty(await call.request.body())
    else:
        raise bodies.unsupported(found, MEDIA_TYPES)
    return Reply(200, answers.analysis(await call.resources.pipeline.analyze_bytes(data)))


async def _from_form(call: Call) -> bytes:
    form = await bodies.read_form(call.request)
    try:
        bodies.read_fields(form, NoFields)
        return await bodies.read_file(form, call.resources.settings.max_image_bytes)
    finally:
        await form.close()
