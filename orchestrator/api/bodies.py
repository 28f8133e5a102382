"""Reading request bodies, limited while they stream in."""

from collections.abc import Sequence
from enum import Enum
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, QueryParams, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive

from orchestrator.api.problems import RequestRefused
from orchestrator.errors import TransientError
from orchestrator.images.codes import UnavailableCode
from orchestrator.wire.schemas import FieldError

ModelT = TypeVar("ModelT", bound=BaseModel)

MIB = 1024 * 1024
ENVELOPE = 64 * 1024
"""What a multipart body may have beyond its file."""

_JSON_INVALID = "json_invalid"


class BodyLimit(Enum):
    """How large a body may be: a document a mebibyte, a picture what the settings say."""

    DOCUMENT = "document"
    PICTURE = "picture"

    def size(self, max_image_bytes: int) -> int:
        """Return the limit in bytes."""
        return MIB if self is BodyLimit.DOCUMENT else max_image_bytes + ENVELOPE


def limited(receive: Receive, limit: int) -> Receive:
    """Return a `receive` that raises RequestRefused (413) as soon as more than `limit` bytes came in."""
    seen = 0

    async def receive_within_limit() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit:
                raise too_large(limit)
        return message

    return receive_within_limit


def too_large(limit: int) -> RequestRefused:
    """Return the refusal of a body over `limit` bytes."""
    return RequestRefused(413, "body_too_large", f"the body is over {limit} bytes")


def check_stated_length(request: Request, limit: int) -> None:
    """Refuse at once a body that says it is over the limit."""
    stated = request.headers.get("Content-Length", "")
    if stated.isdecimal() and int(stated) > limit:
        raise too_large(limit)


def media_type(request: Request) -> str:
    """Return the body's media type in lower case, without parameters."""
    return request.headers.get("Content-Type", "").split(";")[0].strip().lower()


def unsupported(found: str, allowed: Sequence[str]) -> RequestRefused:
    """Return the refusal of a media type."""
    detail = f"the body is {found or 'of no stated type'}; this takes {', '.join(allowed)}"
    return RequestRefused(415, "unsupported_media_type", detail)


async def read_json(request: Request, model: type[ModelT]) -> ModelT:
    """Read a JSON body: 415 for another type, 400 when it is no JSON, 422 when it breaks the schema."""
    found = media_type(request)
    if found != "application/json":
        raise unsupported(found, ("application/json",))
    try:
        return model.model_validate_json(await request.body(), strict=True)
    except ValidationError as error:
        if any(one["type"] == _JSON_INVALID for one in error.errors()):
            raise RequestRefused(400, "malformed_json", "the body is not JSON") from error
        raise invalid(error) from error


def read_query(parameters: QueryParams, model: type[ModelT]) -> ModelT:
    """Read the query string; 422 for unknown, repeated or unfit parameters."""
    names = [name for name, _ in parameters.multi_items()]
    if len(set(names)) != len(names):
        raise RequestRefused(422, "invalid_request", "a query parameter is given twice")
    try:
        return model.model_validate_strings(dict(parameters))
    except ValidationError as error:
        raise invalid(error) from error


def read_fields(form: FormData, model: type[ModelT]) -> ModelT:
    """Read the plain fields of a form by `model`; files are left out."""
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    return read_query(QueryParams(fields), model)


async def read_form(request: Request) -> FormData:
    """Read a multipart body of at most one file. Close the form when done. 400 when it is malformed."""
    _, parameters = parse_options_header(request.headers.get("Content-Type"))
    if not parameters.get(b"boundary"):
        raise RequestRefused(400, "malformed_multipart", "the multipart body has no boundary")
    try:
        return await request.form(max_files=1, max_fields=8, max_part_size=4096)
    except HTTPException as error:
        raise RequestRefused(
            400, "malformed_multipart", f"the multipart body is malformed: {error.detail}"
        ) from error
    except OSError as error:  # what is large waits in a temporary file
        detail = f"the picture could not be kept: {error.strerror or error}"
        raise TransientError(detail, code=UnavailableCode.BLOB_UNAVAILABLE.value) from error


async def read_file(form: FormData, limit: int) -> bytes:
    """Return the bytes of the form's field `file`; 422 when it is missing or empty, 413 over `limit`."""
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise RequestRefused(422, "file_missing", "the form has no file in its field 'file'")
    if file.size is not None and file.size > limit:
        raise too_large(limit)
    return not_empty(await file.read())


def not_empty(data: bytes) -> bytes:
    """Return `data`; 422 when there is none."""
    if not data:
        raise RequestRefused(422, "file_empty", "the file has no bytes")
    return data


def invalid(error: ValidationError) -> RequestRefused:
    """Return what pydantic found as a refusal that points at each place."""
    errors = [
        FieldError(pointer="/" + "/".join(str(step) for step in one["loc"]), detail=one["msg"])
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return RequestRefused(422, "invalid_request", "the request does not fit its schema", errors=errors[:20])
