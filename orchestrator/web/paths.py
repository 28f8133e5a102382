"""Ids in addresses."""

from starlette.requests import Request

from orchestrator.errors import NotFound

LARGEST = 2**63 - 1
_DIGITS = len(str(LARGEST))


def image_id(request: Request) -> int:
    """Return the image that the path names. Raises NotFound for what can be no image's id."""
    text = str(request.path_params["image_id"])
    # Python refuses to read numbers of thousands of digits, so the length comes first.
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS and 0 < int(text) <= LARGEST):
        raise NotFound("this is no image's id", code="image_not_found")
    return int(text)
