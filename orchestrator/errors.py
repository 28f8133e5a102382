"""Every error the pipeline and the services raise on purpose.

TagdeskError
├── ImageError            permanent: the picture itself, or its address, is at fault
│   ├── FetchError            the address: refused, not found, too large, not a picture's host
│   └── DecodeError           the bytes: not a picture, truncated, a bomb, over a limit
├── TransientError        worth another try later
│   ├── FetchUnavailable      the remote host is slow, down or over its rate
│   ├── InferenceUnavailable  Triton is down, draining, overloaded or past its deadline
│   └── StoreUnavailable      the database is down or gave up after its retries
├── ModelError            a model version is at fault, never the picture
│   ├── ManifestError         the manifest does not fit its schema or its files
│   ├── GraphPreparationError the graph cannot be converted, or is not equal once converted
│   └── InferenceRejected     Triton refuses the request: names, dtypes, dims, unknown version
├── Conflict              the row changed since the caller saw it
├── NotFound              no such row
├── Unauthenticated       no token, or one that is unknown, expired or revoked
├── Forbidden             the row exists, the caller may not touch it
└── InvalidInput          the caller's input is at fault

`code` is stable and documented (docs/errors.md); `detail` is for people. Nothing here knows HTTP: the
API maps classes to statuses in one place.
"""


class TagdeskError(Exception):
    """Base of all. `code`: stable snake_case identifier; `detail`: one sentence for a person."""

    code = "error"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code


class ImageError(TagdeskError):
    """Permanent: trying the same picture again cannot help. The image ends `failed(code)`."""

    code = "image_error"


class FetchError(ImageError):
    """The address is refused or answers with something that can never become a picture."""

    code = "fetch_failed"


class DecodeError(ImageError):
    """The bytes are not a picture, or one over the limits."""

    code = "decode_failed"


class TransientError(TagdeskError):
    """Another try later may succeed."""

    code = "unavailable"


class FetchUnavailable(TransientError):
    """The remote host timed out, refused the connection or answered 429 or 5xx."""

    code = "fetch_unavailable"


class InferenceUnavailable(TransientError):
    """Triton is down, draining, overloaded or past its deadline."""

    code = "inference_unavailable"


class StoreUnavailable(TransientError):
    """The database is down, or a unit of work lost its retries."""

    code = "store_unavailable"


class ModelError(TagdeskError):
    """A model version is at fault."""

    code = "model_error"


class ManifestError(ModelError):
    """The manifest does not fit its schema, or not the files beside it."""

    code = "manifest_invalid"


class GraphPreparationError(ModelError):
    """The graph cannot be given the one wire format, or is not equal to the original once it has it."""

    code = "graph_preparation_failed"


class InferenceRejected(ModelError):
    """Triton refuses the request itself, or the scores are not finite."""

    code = "inference_rejected"


class Conflict(TagdeskError):
    """The row is no longer as the caller saw it."""

    code = "conflict"


class NotFound(TagdeskError):
    """No such row."""

    code = "not_found"


class Unauthenticated(TagdeskError):
    """No token, or one that is unknown, expired or revoked."""

    code = "unauthenticated"


class Forbidden(TagdeskError):
    """The caller's role does not allow it, or the row is another's."""

    code = "forbidden"


class InvalidInput(TagdeskError):
    """The caller's input does not make sense."""

    code = "invalid_input"
