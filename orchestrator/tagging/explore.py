"""Explorations: a few tags just below their thresholds, put before people all the same.

Only what is above a threshold is ever judged, so nobody would learn whether the threshold is right. Which
(picture, tag) is tried depends on nothing but the two: analysing a picture again, under whatever id, changes
no choice.
"""

import zlib

MARGIN = 1_000
"""How far below its threshold a score is still worth trying, in ten-thousandths."""

ONE_IN = 4
"""Of how many such scores one is tried. About a fifth as many lie in the band as above it, so that one row
in twenty explores."""


def is_chosen(sha256: str, tag_id: int) -> bool:
    """Whether this tag is tried on the picture of this hash, in hex."""
    return zlib.crc32(f"{sha256}:{tag_id}".encode()) % ONE_IN == 0
