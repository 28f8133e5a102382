"""Ids in addresses."""

import re

from starlette.requests import Request

from orchestrator.errors import NotFound
from orchestrator.wire.base import LARGEST_VERSION, MAX_ID, MODEL_NAME

_DIGITS = len(str(MAX_ID))


def image_id(request: Request) -> int:
    """Return the image that the path names. Raises NotFound for what can be no image's id."""
    found = _number(request, "image_id", MAX_ID)
    if found is None:
        raise NotFound("this is no image's id", code="image_not_found")
    return found


def batch_id(request: Request) -> int:
    """Return the batch that the path names. Raises NotFound for what can be no batch's id."""
    found = _number(request, "batch_id", MAX_ID)
    if found is None:
        raise NotFound("this is no batch's id", code="batch_not_found")
    return found


def job_id(request: Request) -> int:
    """Return the job that the path names. Raises NotFound for what can be no job's id."""
    found = _number(request, "job_id", MAX_ID)
    if found is None:
        raise NotFound("this is no job's id", code="job_not_found")
    return found


def lease_id(request: Request) -> int:
    """Return the lease that the path names. Raises NotFound for what can be no lease's id."""
    found = _number(request, "lease_id", MAX_ID)
    if found is None:
        raise NotFound("this is no lease's id", code="lease_not_found")
    return found


def mapping_id(request: Request) -> int:
    """Return the mapping that the path names. Raises NotFound for what can be no mapping's id."""
    found = _number(request, "mapping_id", MAX_ID)
    if found is None:
        raise NotFound("this is no mapping's id", code="mapping_not_found")
    return found


def tag_id(request: Request) -> int:
    """Return the tag that the path names. Raises NotFound for what can be no tag's id."""
    found = _number(request, "tag_id", MAX_ID)
    if found is None:
        raise NotFound("this is no tag's id", code="tag_not_found")
    return found


def model_version(request: Request) -> tuple[str, int]:
    """Return the model's name and the version's number. Raises NotFound for what can be neither."""
    name, number = str(request.path_params["name"]), _number(request, "version", LARGEST_VERSION)
    if number is None or not re.fullmatch(MODEL_NAME, name):
        raise NotFound("this is no model version", code="version_not_found")
    return name, number


def compared_versions(request: Request) -> tuple[str, int, int]:
    """Return the model's name and two versions' numbers. Raises NotFound for what can be neither."""
    numbers = [_number(request, one, LARGEST_VERSION) for one in ("m", "n")]
    if numbers[0] is None or numbers[1] is None:
        raise NotFound("this is no model version", code="version_not_found")
    return model_name(request), numbers[0], numbers[1]


def model_name(request: Request) -> str:
    """Return the model's name. Raises NotFound for what can be none."""
    name = str(request.path_params["name"])
    if not re.fullmatch(MODEL_NAME, name):
        raise NotFound("this is no model", code="version_not_found")
    return name


def _number(request: Request, parameter: str, largest: int) -> int | None:
    text = str(request.path_params[parameter])
    # Python refuses to read numbers of thousands of digits, so the length comes first.
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS and 0 < int(text) <= largest):
        return None
    return int(text)
