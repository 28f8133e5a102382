"""What can be read from a file before a decoder touches it."""

import re

_MAGIC = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|....ftypavi[fs]", re.DOTALL)
_MARKER_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


def claims_to_be_a_picture(data: bytes) -> bool:
    """Whether the first bytes are those of a format that is taken."""
    return _MAGIC.match(data) is not None


def ends_early(data: bytes) -> bool:
    """Whether a WebP or AVIF file ends before the length that it states of itself."""
    if data[:4] == b"RIFF":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if data[4:8] != b"ftyp":
        return False
    position = 0
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        if length == 1:  # a long box
            length = int.from_bytes(data[position + 8 : position + 16], "big")
        if length < 8:  # zero: up to the end of the file
            return False
        position += length
    return position > len(data)


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return the canvas of a WebP file; Pillow allocates it before anything could be checked."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    match data[12:16]:
        case b"VP8X":
            return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = data[26:28], data[28:30]
            return int.from_bytes(width, "little") & 0x3FFF, int.from_bytes(height, "little") & 0x3FFF
        case _:
            return None


def has_more_scans(data: bytes, limit: int) -> bool:
    """Whether a JPEG has more than `limit` scans, each of which costs a pass over the whole picture."""
    if data.count(b"\xff\xda") <= limit:
        return False  # an upper bound, as it also counts what lies inside metadata
    return _count_scans(data) > limit


def _count_scans(data: bytes) -> int:
    """Walk the JPEG's segments, whose contents may hold whole JPEGs of their own, and count the scans."""
    scans, position = 0, 2
    while (found := _MARKER_AFTER_SCAN.search(data, position)) is not None:
        marker, position = found.group()[1], found.end()
        if marker == _END_OF_IMAGE:
            break
        if marker == _START_OF_SCAN:
            scans += 1
        position += int.from_bytes(data[position : position + 2], "big")
    return scans
