"""Choice and writing of golden pictures: those among many drawings that betray preparation mistakes most."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from orchestrator.demo.portraits import draw_portrait
from orchestrator.demo.training.mistakes import BAD_GEOMETRIES
from orchestrator.demo.training.progress import progress
from orchestrator.records import Float32Tensor, Geometry, Label, Uint8Tensor
from orchestrator.registry.manifest import GoldenSpec, HashedFile, file_sha256
from orchestrator.registry.reference import reference_letterbox

GOLDEN_SEED = 15_000_000
SCORE_TOLERANCE = 0.002

Ask = Callable[[Uint8Tensor], Float32Tensor]
"""UINT8 RGB HWC [S, S, 3] → probabilities float32 [L], by the reference preparation and the original graph."""


@dataclass(frozen=True, slots=True)
class GoldenKind:
    """One kind of golden picture."""

    name: str
    aspect: float
    longer_side: int
    transparent: bool = False


KINDS = (
    GoldenKind("tall.png", 0.70, 700),
    GoldenKind("wide.jpg", 1.60, 900),
    GoldenKind("alpha.png", 0.80, 620, transparent=True),
)


def write_golden(folder: Path, geometry: Geometry, labels: tuple[Label, ...], ask: Ask, candidates: int = 24) -> tuple[GoldenSpec, ...]:
    """Write one picture a kind, with its tensor, below `folder`/golden; return what a manifest says of them."""
    (folder / "golden").mkdir(exist_ok=True)
    return tuple(
        _write_one(folder, kind, GOLDEN_SEED + i * 1000, geometry, labels, ask, candidates)
        for i, kind in enumerate(KINDS)
    )


def _write_one(
    folder: Path, kind: GoldenKind, first_seed: int, geometry: Geometry, labels: tuple[Label, ...], ask: Ask, candidates: int
) -> GoldenSpec:
    path = folder / "golden" / kind.name
    best_seed, best = first_seed, -1.0
    for seed in progress(range(first_seed, first_seed + candidates), f"Choosing golden/{kind.name}", candidates):
        _save(kind, seed, path)
        with Image.open(path) as image:
            betrayal = _betrayal(image, geometry, ask)
        if betrayal > best:
            best_seed, best = seed, betrayal
    _save(kind, best_seed, path)
    with Image.open(path) as image:
        tensor = reference_letterbox(image, geometry)
    tensor_path = path.with_name(f"{path.stem}.tensor.png")
    Image.fromarray(tensor).save(tensor_path, "PNG", optimize=True)
    scores = ask(tensor)
    return GoldenSpec(
        file=f"golden/{path.name}",
        sha256=file_sha256(path),
        tensor=HashedFile(file=f"golden/{tensor_path.name}", sha256=file_sha256(tensor_path)),
        tensor_tolerance=1,
        scores={label.name: round(float(scores[label.index]), 6) for label in labels},
        score_tolerance=SCORE_TOLERANCE,
    )


def _save(kind: GoldenKind, seed: int, path: Path) -> None:
    portrait = draw_portrait(
        seed, aspect=kind.aspect, transparent=kind.transparent, longer_side=kind.longer_side, clean=True
    )
    if path.suffix == ".jpg":
        portrait.image.save(path, "JPEG", quality=90)
    else:
        portrait.image.save(path, "PNG", optimize=True)


def _betrayal(image: Image.Image, geometry: Geometry, ask: Ask) -> float:
    """How much the least visible geometry mistake moves the probabilities: the largest change of any label."""
    right = ask(reference_letterbox(image, geometry))
    return min(float(np.abs(ask(spoil(image, geometry)) - right).max()) for spoil in BAD_GEOMETRIES.values())
