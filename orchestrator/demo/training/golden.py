"""Golden pictures: of many drawings, those that betray preparation mistakes most."""

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
"""UINT8 RGB HWC [S, S, 3] → probabilities float32 [L], by reference preparation and original graph."""


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


def write_golden(
    folder: Path, geometry: Geometry, labels: tuple[Label, ...], ask: Ask, *, candidates: int = 24
) -> tuple[GoldenSpec, ...]:
    """Write one picture a kind, with its tensor, below `folder`/golden; return them as a manifest does."""
    (folder / "golden").mkdir(exist_ok=True)
    chooser = _Chooser(folder, geometry, ask, candidates)
    return tuple(chooser.write(kind, labels, GOLDEN_SEED + i * 1000) for i, kind in enumerate(KINDS))


@dataclass(frozen=True, slots=True)
class _Chooser:
    folder: Path
    geometry: Geometry
    ask: Ask
    candidates: int

    def write(self, kind: GoldenKind, labels: tuple[Label, ...], first_seed: int) -> GoldenSpec:
        path = self.folder / "golden" / kind.name
        seeds = range(first_seed, first_seed + self.candidates)
        betrayals = {
            seed: self._betrayal(kind, seed, path)
            for seed in progress(seeds, f"Choosing golden/{kind.name}", len(seeds))
        }
        _save(kind, max(betrayals, key=betrayals.__getitem__), path)
        with Image.open(path) as image:
            tensor = reference_letterbox(image, self.geometry)
        tensor_path = path.with_name(f"{path.stem}.tensor.png")
        Image.fromarray(tensor).save(tensor_path, "PNG", optimize=True)
        scores = self.ask(tensor)
        return GoldenSpec(
            file=f"golden/{path.name}",
            sha256=file_sha256(path),
            tensor=HashedFile(file=f"golden/{tensor_path.name}", sha256=file_sha256(tensor_path)),
            tensor_tolerance=1,
            scores={label.name: round(float(scores[label.index]), 6) for label in labels},
            score_tolerance=SCORE_TOLERANCE,
        )

    def _betrayal(self, kind: GoldenKind, seed: int, path: Path) -> float:
        """How much the least visible mistake moves the probabilities: the largest change of any label."""
        _save(kind, seed, path)
        with Image.open(path) as image:
            right = reference_letterbox(image, self.geometry)
            wrong = [spoil(image, self.geometry) for spoil in BAD_GEOMETRIES.values()]
        wrong += [np.ascontiguousarray(right[..., ::-1]), np.ascontiguousarray(right.swapaxes(0, 1))]
        expected = self.ask(right)
        return min(float(np.abs(self.ask(tensor) - expected).max()) for tensor in wrong)


def _save(kind: GoldenKind, seed: int, path: Path) -> None:
    portrait = draw_portrait(
        seed, aspect=kind.aspect, transparent=kind.transparent, longer_side=kind.longer_side, clean=True
    )
    if path.suffix == ".jpg":
        portrait.image.save(path, "JPEG", quality=90)
    else:
        portrait.image.save(path, "PNG", optimize=True)
