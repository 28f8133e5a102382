"""The stable reasons for which a picture is refused. docs/errors.md explains each to people."""

from enum import StrEnum


class DecodeCode(StrEnum):
    """Why bytes did not become a picture: codes of `DecodeError`, all permanent."""

    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_LARGE = "too_large"
    TOO_SMALL = "too_small"
    SIDE_TOO_LONG = "side_too_long"
    ASPECT_TOO_EXTREME = "aspect_too_extreme"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_SCANS = "too_many_scans"
    TOO_MUCH_MEMORY = "too_much_memory"
    DECODE_TIMEOUT = "decode_timeout"
    DECODE_CRASHED = "decode_crashed"


class FetchCode(StrEnum):
    """Why an address gave no bytes: codes of `FetchError` (permanent)."""

    URL_REFUSED = "url_refused"
    PRIVATE_ADDRESS = "private_address"
    NOT_FOUND = "not_found"
    HTTP_ERROR = "http_error"
    TOO_LARGE = "too_large"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    ENCODING_UNSUPPORTED = "encoding_unsupported"
    PATH_REFUSED = "path_refused"
    PATH_UNREADABLE = "path_unreadable"
    BLOB_MISSING = "blob_missing"
    BLOB_CORRUPT = "blob_corrupt"


class UnavailableCode(StrEnum):
    """Why another try may help: codes of `FetchUnavailable` and `TransientError`."""

    FETCH_UNAVAILABLE = "fetch_unavailable"
    FETCH_TIMEOUT = "fetch_timeout"
    BLOB_UNAVAILABLE = "blob_unavailable"
    DECODER_UNAVAILABLE = "decoder_unavailable"
