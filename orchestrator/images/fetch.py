"""Bytes from an address: a URL within limits, a file under an allowed root, or an uploaded blob."""

import asyncio
import hashlib
import os
import stat
import zlib
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from types import TracebackType
from typing import Self

import httpcore
import httpx

from orchestrator.errors import FetchError, FetchUnavailable
from orchestrator.images.addresses import AddressPolicy, GuardedBackend, Resolver, resolve
from orchestrator.images.blobs import read_blob
from orchestrator.images.codes import FetchCode, UnavailableCode
from orchestrator.records import FetchedImage, ImageSource, SourceKind
from orchestrator.settings import PictureSettings

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RETRY_LATER = frozenset({408, 425, 429})
_GONE = frozenset({404, 410})
_HEADERS = {
    "User-Agent": "tagdesk",
    "Accept": "image/avif,image/webp,image/png,image/jpeg,image/gif;q=0.9,*/*;q=0.1",
    "Accept-Encoding": "identity",
}


class _GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx's transport over a pool whose every connection passes the address policy."""

    def __init__(self, backend: GuardedBackend) -> None:
        super().__init__(trust_env=False)
        # httpx offers no parameter for the network backend; the version is pinned and a test watches.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=32,
            max_keepalive_connections=8,
            keepalive_expiry=15.0,
            network_backend=backend,
        )


class ImageFetcher:
    """Fetches pictures; belongs to the loop it is used on. Each kind of source has its own rules."""

    def __init__(self, settings: PictureSettings, *, resolver: Resolver = resolve) -> None:
        """`resolver` turns names into addresses; whatever it says is checked against the policy."""
        self._max_bytes = settings.max_image_bytes
        self._timeout = settings.fetch_timeout
        self._roots = settings.image_roots
        self._blob_dir = settings.blob_dir
        policy = AddressPolicy(settings.fetch_allow)
        self._http = httpx.AsyncClient(
            transport=_GuardedTransport(GuardedBackend(policy, resolver)),
            headers=_HEADERS,
            timeout=httpx.Timeout(self._timeout),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            trust_env=False,  # a proxy from the environment would resolve names out of our sight
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections that are kept."""
        await self._http.aclose()

    async def fetch(self, source: ImageSource) -> FetchedImage:
        """Return the picture's bytes and hash, at most `max_image_bytes` within `fetch_timeout`.

        Raises FetchError (permanent, a code of `FetchCode`), FetchUnavailable or TransientError (another
        try may help, a code of `UnavailableCode`). Nothing is said of the bytes: decoding judges them.
        """
        match source.kind:
            case SourceKind.URL:
                return await self._fetch_url(source.location)
            case SourceKind.PATH:
                data = await asyncio.to_thread(read_file, source.location, self._roots, self._max_bytes)
                return FetchedImage(data, await asyncio.to_thread(_sha256, data))
            case SourceKind.BLOB:
                if self._blob_dir is None:
                    detail = "it is an upload, and TAGDESK_BLOB_DIR does not say where those are"
                    raise FetchError(detail, code=FetchCode.BLOB_MISSING.value)
                data = await asyncio.to_thread(read_blob, self._blob_dir, source.location)
                return FetchedImage(data, source.location)

    async def _fetch_url(self, location: str) -> FetchedImage:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._follow(_checked_url(location))
        except (TimeoutError, httpx.TimeoutException) as error:
            detail = f"the host did not deliver within {self._timeout:g} s"
            raise FetchUnavailable(detail, code=UnavailableCode.FETCH_TIMEOUT.value) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise _refused("the URL is malformed") from error
        except zlib.error as error:
            detail = "the host's compression cannot be undone"
            raise FetchError(detail, code=FetchCode.ENCODING_UNSUPPORTED.value) from error
        except httpx.HTTPError as error:
            detail = f"the host failed: {type(error).__name__}"
            raise FetchUnavailable(detail, code=UnavailableCode.FETCH_UNAVAILABLE.value) from error

    async def _follow(self, url: httpx.URL) -> FetchedImage:
        """Follow redirects by hand, each hop checked as the first."""
        for _ in range(MAX_REDIRECTS + 1):
            async with self._http.stream("GET", url) as response:
                target = response.headers.get("Location")
                if response.status_code not in _REDIRECTS or target is None:
                    _check_status(response.status_code)
                    return await self._read(response)
                url = _checked_url(str(url.join(target)))
        detail = f"more than {MAX_REDIRECTS} redirects"
        raise FetchError(detail, code=FetchCode.TOO_MANY_REDIRECTS.value)

    async def _read(self, response: httpx.Response) -> FetchedImage:
        stated = response.headers.get("Content-Length", "")
        if stated.isdecimal() and int(stated) > self._max_bytes:
            raise _too_large(self._max_bytes)
        inflate = _inflater(response.headers.get("Content-Encoding", "identity"))
        data, digest = bytearray(), hashlib.sha256()
        async for chunk in response.aiter_raw():
            room = self._max_bytes - len(data)
            # One byte more than there is room for is enough to know, whatever a bomb would unpack to.
            part = inflate.decompress(chunk, room + 1) if inflate is not None else chunk
            if len(part) > room:
                raise _too_large(self._max_bytes)
            data += part
            digest.update(part)
            if inflate is not None and inflate.eof:
                break  # what follows is no part of the picture, and would be kept by the inflater
        return FetchedImage(bytes(data), digest.hexdigest())


def read_file(location: str, roots: tuple[Path, ...], max_bytes: int) -> bytes:
    """Return the bytes of the regular file `location`, which lies below one of `roots`, links resolved.

    Raises FetchError `path_refused`, `not_found`, `path_unreadable` or `too_large`.
    """
    try:
        real_roots = [root.resolve() for root in roots]
        path = Path(location)
        if not path.is_absolute() or not _is_below(path.resolve(), real_roots):
            raise FetchError("the path is not below an allowed root", code=FetchCode.PATH_REFUSED.value)
        # Never block on a FIFO; where a link changed meanwhile, the opened file itself is judged again.
        descriptor = os.open(path.resolve(), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            opened = Path(f"/proc/self/fd/{descriptor}").readlink()
            if not stat.S_ISREG(os.fstat(descriptor).st_mode) or not _is_below(opened, real_roots):
                raise FetchError("the path is not a file to read", code=FetchCode.PATH_REFUSED.value)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(max_bytes + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise FetchError("there is no such file", code=FetchCode.NOT_FOUND.value) from error
    except (OSError, RuntimeError, ValueError) as error:  # link loops, NUL bytes, missing permission
        detail = f"the file cannot be read ({type(error).__name__})"
        raise FetchError(detail, code=FetchCode.PATH_UNREADABLE.value) from error
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    return data


def _is_below(path: Path, roots: list[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def _checked_url(location: str) -> httpx.URL:
    url = httpx.URL(location)
    if url.scheme not in ("http", "https") or not url.host:
        raise _refused("only http and https URLs with a host are fetched")
    if (url.port or 0) > 65_535 or not url.host.isprintable() or " " in url.host or "%" in url.host:
        raise _refused("the URL's host or port is malformed")
    if url.userinfo:
        raise _refused("a URL with credentials is not fetched")
    return url.copy_with(fragment=None)


def _check_status(status: int) -> None:
    if 200 <= status < 300:
        return
    if status in _GONE:
        raise FetchError(f"the host answered {status}", code=FetchCode.NOT_FOUND.value)
    if status in _RETRY_LATER or status >= 500:
        detail = f"the host answered {status}"
        raise FetchUnavailable(detail, code=UnavailableCode.FETCH_UNAVAILABLE.value)
    raise FetchError(f"the host answered {status}", code=FetchCode.HTTP_ERROR.value)


def _inflater(encoding: str) -> "zlib._Decompress | None":
    """Return what undoes a Content-Encoding, which some hosts apply unasked; `None` where there is none."""
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip" | "deflate":
            return zlib.decompressobj(zlib.MAX_WBITS | 32)
        case _:
            detail = "the host compresses in a way that was not asked for"
            raise FetchError(detail, code=FetchCode.ENCODING_UNSUPPORTED.value)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _refused(detail: str) -> FetchError:
    return FetchError(detail, code=FetchCode.URL_REFUSED.value)


def _too_large(limit: int) -> FetchError:
    return FetchError(f"the file is over {limit} bytes", code=FetchCode.TOO_LARGE.value)
