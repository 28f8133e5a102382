"""Frames between a decoder and its child: two lengths, a JSON head, a body of bytes.

>IQ   length of head, length of body
head  a Request or an Answer in JSON
body  the file's bytes; in an answer the tensors, one after the other in the order asked for, unless the head
      says how many bytes of them lie in the memory that both share
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

from orchestrator.images.codes import DecodeCode
from orchestrator.images.limits import Limits
from orchestrator.images.shared import SharedMemory
from orchestrator.records import Geometry, PreparedImage

LENGTHS = struct.Struct(">IQ")
PIPE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Refusal:
    """A child's answer to a picture that it refused."""

    code: DecodeCode
    detail: str


def frame_lengths(head: bytes, body_length: int) -> bytes:
    """Return the fixed part that goes before `head` and a body of `body_length` bytes."""
    return LENGTHS.pack(len(head), body_length)


@lru_cache(maxsize=32)
def pack_request(geometries: tuple[Geometry, ...], limits: Limits) -> bytes:
    """Return a request's head."""
    return json.dumps({"geometries": [asdict(g) for g in geometries], "limits": asdict(limits)}).encode()


def unpack_request(head: bytes) -> tuple[tuple[Geometry, ...], Limits]:
    """Return what `pack_request` was given."""
    fields = json.loads(head)
    geometries = tuple(
        Geometry(size=g["size"], pad_colour=tuple(g["pad_colour"]), filter=g["filter"])
        for g in fields["geometries"]
    )
    return geometries, Limits(**fields["limits"])


def pack_prepared(
    prepared: PreparedImage, geometries: Sequence[Geometry], memory: SharedMemory
) -> tuple[bytes, bytes]:
    """Return head and body of an answer that carries `prepared`, whose tensors go to `memory` if they fit."""
    tensors = [prepared.tensors[geometry] for geometry in geometries]
    shared = memory.write(tensors)
    head = {
        "width": prepared.width,
        "height": prepared.height,
        "has_alpha": prepared.has_alpha,
        "media_type": prepared.media_type,
        "shared": shared,
    }
    body = b"" if shared is not None else b"".join(tensor.tobytes() for tensor in tensors)
    return json.dumps(head).encode(), body


def pack_refusal(refusal: Refusal) -> bytes:
    """Return the head of an answer without a body."""
    return json.dumps({"code": refusal.code.value, "detail": refusal.detail}).encode()


def whole_body(head: bytes, body: bytes, memory: SharedMemory) -> bytes:
    """Return an answer's body, wherever it lies; it is the caller's own."""
    shared = json.loads(head).get("shared")
    return body if shared is None else memory.read(shared)


def unpack_answer(head: bytes, body: bytes, geometries: Sequence[Geometry]) -> PreparedImage | Refusal:
    """Return what the child made of the picture. The tensors share the memory of `body`, read-only.

    Raises ValueError when the answer does not fit the request.
    """
    fields = json.loads(head)
    if "code" in fields:
        return Refusal(DecodeCode(fields["code"]), fields["detail"])
    sizes = [g.size * g.size * 3 for g in geometries]
    if sum(sizes) != len(body):
        raise ValueError(f"{len(body)} bytes of tensors, {sum(sizes)} expected")
    tensors, position = {}, 0
    for geometry, size in zip(geometries, sizes, strict=True):
        flat = np.frombuffer(body, np.uint8, count=size, offset=position)
        tensors[geometry] = flat.reshape(geometry.size, geometry.size, 3)
        position += size
    return PreparedImage(
        tensors, fields["width"], fields["height"], fields["has_alpha"], fields["media_type"]
    )
