"""Pictures for people: the original as it was registered, and a small preview.

Bytes come through the fetcher, so a picture registered by URL is subject to the same limits when shown as
when analysed, and a browser never asks the remote host itself.
"""

import hashlib
import io

import anyio.to_thread
from PIL import Image as Pillow
from starlette.requests import Request
from starlette.responses import Response

from orchestrator.errors import DecodeError
from orchestrator.images.codes import DecodeCode
from orchestrator.records import Geometry, Image, Uint8Tensor
from orchestrator.resources import Resources

PREVIEW_SIZE = 448
PREVIEW_QUALITY = 84

# Even where a browser is talked into opening such a response as a page, nothing in it runs.
_INERT = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


async def serve_picture(resources: Resources, image: Image, request: Request) -> Response:
    """Return the original bytes under the type that they really have.

    Raises FetchError, TransientError, and DecodeError (`not_an_image`) for bytes that are no known picture.
    """
    headers = _headers(image, "original")
    if _is_known(request, headers):
        return Response(status_code=304, headers=headers)
    fetched = await resources.fetcher.fetch(image.source)
    return Response(fetched.data, media_type=media_type(fetched.data), headers=headers)


async def serve_preview(resources: Resources, image: Image, request: Request) -> Response:
    """Return a JPEG of at most PREVIEW_SIZE pixels a side, decoded where every picture is decoded.

    Raises FetchError, DecodeError, TransientError.
    """
    headers = _headers(image, f"preview-{PREVIEW_SIZE}")
    if _is_known(request, headers):
        return Response(status_code=304, headers=headers)
    fetched = await resources.fetcher.fetch(image.source)
    geometry = Geometry(size=PREVIEW_SIZE)
    prepared = await resources.decoder.prepare(fetched.data, [geometry])
    body = await anyio.to_thread.run_sync(
        _encode, prepared.tensors[geometry], prepared.width, prepared.height
    )
    return Response(body, media_type="image/jpeg", headers=headers)


def media_type(data: bytes) -> str:
    """Return the media type that the first bytes say. Raises DecodeError (`not_an_image`)."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis"):
        return "image/avif"
    raise DecodeError("the bytes are no picture", code=DecodeCode.NOT_AN_IMAGE.value)


def _encode(square: Uint8Tensor, width: int, height: int) -> bytes:
    """Cut the padding off a letterboxed picture [S, S, 3] and encode the rest."""
    size = square.shape[0]
    scale = size / max(width, height)
    inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size - inner_width) // 2, (size - inner_height) // 2
    picture = Pillow.fromarray(square[top : top + inner_height, left : left + inner_width])
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=PREVIEW_QUALITY, optimize=True)
    return out.getvalue()


def _headers(image: Image, kind: str) -> dict[str, str]:
    """A picture's bytes never change under its id, but who may see it can: kept by the browser alone."""
    known = image.sha256 or f"{image.source.kind}:{image.source.location}"
    tag = hashlib.sha256(f"{kind}:{known}".encode()).hexdigest()[:32]
    return {**_INERT, "ETag": f'"{tag}"', "Cache-Control": "private, max-age=3600"}


def _is_known(request: Request, headers: dict[str, str]) -> bool:
    return headers["ETag"] in request.headers.get("If-None-Match", "")
