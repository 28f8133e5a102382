"""Parts as NumPy archives: smaller, and read without parsing numbers.

`header` and `unseen` are JSON in bytes. By image: `id`, `mark`, `seen`; by seen image: `sha256` [S, 32],
`width`, `height`, `has_alpha`, `media_type`; of version number v: `count_v` [S], and behind one another
`label_v` and `score_v`.
"""

import json
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from orchestrator.offline.parts import (
    DAMAGED,
    Outcome,
    Part,
    PartHeader,
    Scores,
    SeenImage,
    UnseenImage,
    check,
    damaged,
)
from orchestrator.offline.worklist import read_line

_Array = NDArray[Any]
_BROKEN = (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, NotImplementedError)


def to_arrays(header: PartHeader, outcomes: Sequence[Outcome]) -> bytes:
    """Return a part as an archive."""
    seen = [one for one in outcomes if isinstance(one, SeenImage)]
    unseen = [one.model_dump(mode="json") for one in outcomes if isinstance(one, UnseenImage)]
    arrays: dict[str, _Array] = {
        "header": _bytes(header.model_dump_json()),
        "unseen": _bytes(json.dumps(unseen)),
        "id": np.array([one.id for one in outcomes], np.int64),
        "mark": np.array([one.mark for one in outcomes], "S16"),
        "seen": np.array([isinstance(one, SeenImage) for one in outcomes], np.bool_),
        "sha256": np.frombuffer(b"".join(bytes.fromhex(one.sha256) for one in seen), np.uint8),
        "width": np.array([one.width for one in seen], np.int32),
        "height": np.array([one.height for one in seen], np.int32),
        "has_alpha": np.array([one.has_alpha for one in seen], np.bool_),
        "media_type": np.array([one.media_type for one in seen], "S32"),
    }
    for number in range(len(header.versions)):
        answers = [one.raw[number] for one in seen]
        arrays[f"count_{number}"] = np.array([len(labels) for labels, _ in answers], np.int32)
        arrays[f"label_{number}"] = np.array([one for labels, _ in answers for one in labels], np.int32)
        arrays[f"score_{number}"] = np.array([one for _, scores in answers for one in scores], np.uint16)
    stream = BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def header_of_arrays(path: Path) -> PartHeader:
    """Return a part's header alone. Raises InvalidInput (`bad_part`), OSError."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            text = archive["header"].tobytes()
    except _BROKEN as error:
        raise damaged(f"{path}, header: {error}") from error
    return read_line(PartHeader, text, f"{path}, header", code=DAMAGED)


def read_arrays(path: Path) -> Part:
    """Return a part that was written as an archive. Raises InvalidInput (`bad_part`), OSError."""
    header = header_of_arrays(path)
    name = ""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {}
            for name in archive.files:
                arrays[name] = archive[name]
        name = "images"
        outcomes = tuple(_outcomes(header, arrays))
    except ValidationError as error:
        raise damaged(f"{path}: {error.errors(include_url=False, include_input=False)[0]['msg']}") from error
    except _BROKEN as error:
        raise damaged(f"{path}, {name}: {error}") from error
    if len(outcomes) != header.images:
        raise damaged(f"{path}: {len(outcomes)} images, {header.images} should be there")
    for number, outcome in enumerate(outcomes, start=1):
        check(header, outcome, f"{path}, image {number}")
    return Part(header, outcomes)


def _outcomes(header: PartHeader, arrays: dict[str, _Array]) -> Iterator[Outcome]:
    unseen = iter(json.loads(arrays["unseen"].tobytes()))
    answers = [_answers(arrays, number) for number in range(len(header.versions))]
    hashes = arrays["sha256"].reshape(-1, 32)
    place = 0
    for image_id, mark, seen in zip(arrays["id"].tolist(), arrays["mark"], arrays["seen"], strict=True):
        if not seen:
            one = next(unseen, None)
            if one is None or one.get("id") != image_id:
                raise ValueError(f"image {image_id} has no outcome")
            yield UnseenImage.model_validate(one)
            continue
        yield SeenImage(
            id=image_id,
            mark=mark.decode(),
            sha256=hashes[place].tobytes().hex(),
            width=int(arrays["width"][place]),
            height=int(arrays["height"][place]),
            has_alpha=bool(arrays["has_alpha"][place]),
            media_type=arrays["media_type"][place].decode(),
            raw=[one[place] for one in answers],
        )
        place += 1


def _answers(arrays: dict[str, _Array], number: int) -> list[Scores]:
    """Return a version's answers by seen image. Raises ValueError where the counts do not add up."""
    counts, labels = arrays[f"count_{number}"], arrays[f"label_{number}"].tolist()
    scores = arrays[f"score_{number}"].tolist()
    ends = np.cumsum(counts).tolist()
    if len(labels) != len(scores) or (ends[-1] if ends else 0) != len(labels):
        raise ValueError(f"the answers of version {number + 1} do not add up")
    starts = [0, *ends[:-1]]
    return [(labels[a:b], scores[a:b]) for a, b in zip(starts, ends, strict=False)]


def _bytes(text: str) -> _Array:
    return np.frombuffer(text.encode(), np.uint8)
