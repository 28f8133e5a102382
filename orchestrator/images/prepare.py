"""Bytes → tensors for every geometry asked for, decoding once."""

from collections.abc import Iterable

from orchestrator.images.decode import decode
from orchestrator.images.letterbox import letterbox
from orchestrator.images.limits import Limits
from orchestrator.records import Geometry, PreparedImage


def prepare(data: bytes, geometries: Iterable[Geometry], limits: Limits | None = None) -> PreparedImage:
    """Decode `data` and letterbox it to each of `geometries` (at least one).

    Pure and synchronous; servers go through `Decoder`, which runs this where a crash hurts nobody.
    Raises DecodeError with a code of `DecodeCode`.
    """
    wanted = tuple(geometries)
    picture = decode(data, limits or Limits(), largest_target=max(geometry.size for geometry in wanted))
    return PreparedImage(
        tensors={geometry: letterbox(picture.image, geometry, picture.frame) for geometry in wanted},
        width=picture.frame.width,
        height=picture.frame.height,
        has_alpha=picture.has_alpha,
        media_type=picture.media_type,
    )
