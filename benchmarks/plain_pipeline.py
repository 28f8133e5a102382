"""`python -m benchmarks.plain_pipeline URL BLOBS MODEL FIRST LAST STEP`: the plan's design, to compare with.

One picture at a time, ONNX Runtime in the process, the obvious preparation (right, but of the whole picture),
and a statement for each row. Takes every STEP-th image from FIRST to LAST and prints when it began and ended.
"""

import csv
import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pymysql
from PIL import Image
from sqlalchemy.engine import make_url

from benchmarks.wd14_shape import LABELS_FILE, SIZE
from orchestrator.images.blobs import blob_path

FLOOR, THRESHOLD = 0.05, 0.35


def prepared(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a picture as WD14 wants it: float32 BGR 0–255 [1, 448, 448, 3]."""
    with Image.open(path) as file:
        picture = file.convert("RGBA")
    canvas = Image.new("RGBA", picture.size, (255, 255, 255))
    canvas.alpha_composite(picture)
    side = max(picture.size)
    square = Image.new("RGB", (side, side), (255, 255, 255))
    square.paste(canvas.convert("RGB"), ((side - picture.width) // 2, (side - picture.height) // 2))
    pixels = np.asarray(square.resize((SIZE, SIZE), Image.Resampling.BICUBIC), np.float32)
    return np.ascontiguousarray(pixels[None, :, :, ::-1])


def main(url: str, blobs: Path, model: Path, images: Sequence[int]) -> None:
    """Analyse the images and store what the model says, as one would write it first."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # there are as many processes as cores want
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    with model.with_name(LABELS_FILE).open(encoding="utf-8") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    where = make_url(url)
    connection = pymysql.connect(
        host=where.host, port=where.port or 3306, user=where.username, password=where.password or "",
        database=where.database,
    )  # fmt: skip
    print("ready", flush=True)  # noqa: T201 (the caller waits for it)
    sys.stdin.readline()
    begun = time.time()
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM model_versions WHERE state = 'active'")
        (version_id,) = cursor.fetchone() or (0,)
        for image_id in images:
            _one(cursor, session, version_id, image_id, names=names, blobs=blobs)
            connection.commit()
    print(begun, time.time(), flush=True)  # noqa: T201


def _one(cursor: Any, session: Any, version_id: int, image_id: int, *, names: list[str], blobs: Path) -> None:
    cursor.execute("SELECT source_location FROM images WHERE id = %s", (image_id,))
    path = blob_path(blobs, cursor.fetchone()[0])
    data = path.read_bytes()
    scores = session.run(["output"], {"input": prepared(path)})[0][0]
    cursor.execute(
        "INSERT INTO analyses (image_id, model_version_id, rating) VALUES (%s, %s, NULL)",
        (image_id, version_id),
    )
    for label in np.flatnonzero(scores >= FLOOR).tolist():
        score = round(float(scores[label]) * 10_000)
        cursor.execute(
            "INSERT INTO raw_predictions (image_id, model_version_id, label, score) VALUES (%s, %s, %s, %s)",
            (image_id, version_id, label, score),
        )
        if score < THRESHOLD * 10_000:
            continue
        cursor.execute(
            "SELECT id, tag_id, weight FROM tag_mappings WHERE source = 'danbooru' AND external_tag = %s",
            (names[label],),
        )
        mapping = cursor.fetchone()
        if mapping is None:
            continue
        cursor.execute(
            "SELECT tag_id FROM tag_links WHERE image_id = %s AND tag_id = %s", (image_id, mapping[1])
        )
        if cursor.fetchone() is None:
            cursor.execute(
                "INSERT INTO suggestions (image_id, tag_id, score, confidence, model_version_id)"
                " VALUES (%s, %s, %s, %s, %s)",
                (image_id, mapping[1], score, score * mapping[2] // 10_000, version_id),
            )
            cursor.execute(
                "INSERT INTO suggestion_evidence (suggestion_id, model_version_id, label, mapping_id, score)"
                " VALUES (%s, %s, %s, %s, %s)",
                (cursor.lastrowid, version_id, label, mapping[0], score),
            )
    cursor.execute(
        "UPDATE images SET state = 'done', sha256 = %s, analysed_at = UTC_TIMESTAMP(6) WHERE id = %s",
        (hashlib.sha256(data).digest(), image_id),
    )


if __name__ == "__main__":
    first, last, step = map(int, sys.argv[4:7])
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), range(first, last + 1, step))
