"""Explorations: a few tags just below their thresholds, put before people all the same.

Only what is above a threshold is ever judged, so nobody would learn whether the threshold is right. Which
(image, tag) is tried depends on nothing but the two: analysing an image again changes no choice.
"""

import zlib

MARGIN = 1_000
"""How far below its threshold a score is still worth trying, in ten-thousandths."""

ONE_IN = 4
"""Of how many such scores one is tried. About a fifth as many lie in the band as above it, so that one row
in twenty explores."""


def is_chosen(image_id: int, tag_id: int) -> bool:
    """Whether this tag is tried on this image."""
    return zlib.crc32(b"%d:%d" % (image_id, tag_id)) % ONE_IN == 0
