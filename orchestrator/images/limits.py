"""What a picture may cost at most. The figures are measured: see DESIGN 3b and docs/errors.md."""

from dataclasses import dataclass

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a picture. `bytes`: of the file; `side`s in pixels of the full picture.

    `pixels` is where Pillow warns; it raises, and so do we, at more than twice as many.
    """

    bytes: int = 64 * 1024 * 1024
    shorter_side: int = 16
    longer_side: int = 32_768
    aspect: int = 50
    pixels: int = 25_000_000
    jpeg_scans: int = 100
