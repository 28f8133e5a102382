"""Where pictures are on a host that is not the board's: at their addresses, or in a folder of copies.

In the folder, a picture lies at the first of these places:

| picture | file |
|---|---|
| any | `<id>`, or `<id>.<suffix>` |
| an upload | `ab/cd…`, as in TAGDESK_BLOB_DIR |
| a path, /srv/a.jpg | `srv/a.jpg` |
| a URL, https://host/b/c.jpg | `host/b/c.jpg`, as mirrors are kept |

One that is not there is fetched as workers do.
"""

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from orchestrator.errors import FetchError
from orchestrator.images.fetch import ImageFetcher, read_file
from orchestrator.offline.worklist import WorkImage
from orchestrator.records import FetchedImage, SourceKind


class PictureChanged(FetchError):
    """The copy is not the picture that the board knows."""

    code = "picture_changed"


class Pictures:
    """Finds copies, else fetches. Belongs to the loop of its fetcher."""

    def __init__(self, fetcher: ImageFetcher, folder: Path | None, max_bytes: int) -> None:
        self._fetcher = fetcher
        self._folder = None if folder is None else folder.resolve()
        self._max_bytes = max_bytes
        self._by_id = {} if self._folder is None else dict(_named_by_id(self._folder))

    async def fetch(self, image: WorkImage) -> FetchedImage:
        """Return a picture's bytes and hash. Raises as `ImageFetcher.fetch`, and PictureChanged."""
        copy = self._copy(image)
        if copy is None or self._folder is None:
            return await self._fetcher.fetch(image.source)
        return await asyncio.to_thread(self._read, copy, image, self._folder)

    def _copy(self, image: WorkImage) -> Path | None:
        if self._folder is None:
            return None
        if image.id in self._by_id:
            return self._by_id[image.id]
        match image.kind:
            case SourceKind.BLOB:
                name = f"{image.location[:2]}/{image.location[2:]}"
            case SourceKind.PATH:
                name = image.location.lstrip("/")
            case SourceKind.URL:
                address = urlsplit(image.location)
                name = f"{address.hostname}/{unquote(address.path).lstrip('/')}"
        inside = not {"", "..", "."} & set(PurePosixPath(name).parts) and "\0" not in name
        path = self._folder / name
        return path if inside and path.is_file() else None

    def _read(self, path: Path, image: WorkImage, folder: Path) -> FetchedImage:
        data = read_file(str(path), (folder,), self._max_bytes)
        sha256 = hashlib.sha256(data).hexdigest()
        known = image.location if image.kind is SourceKind.BLOB else image.sha256
        if known not in (None, sha256):
            raise PictureChanged(f"{path.name} has other bytes than the board's image {image.id}")
        return FetchedImage(data, sha256)


def _named_by_id(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in folder.iterdir():
        if path.stem.isascii() and path.stem.isdecimal() and path.is_file():
            yield int(path.stem), path
