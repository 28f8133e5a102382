"""Training data: portraits drawn from consecutive seeds, kept as memory-mapped arrays."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.demo.portraits import Portrait, draw_portrait
from orchestrator.demo.portraits.vocabulary import LABELS, THEMES
from orchestrator.demo.training.progress import progress
from orchestrator.records import Geometry, Uint8Tensor
from orchestrator.registry.reference import reference_letterbox

TRAINING_SEED = 0
"""First seed of the training drawings; far below every other use of seeds."""
HELD_OUT_SEED = 10_000_000
"""First seed of the drawings that the models are judged on."""

NET_SIDE = 224
"""The net halves its 448 px input before its first convolution, so the halves are what is kept."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Drawings and their truths, row by row.

    `pictures`: uint8 BGR NHWC [N, 224, 224, 3], 0–255. `labels`: bool [N, 59] in the order of `LABELS`.
    `themes`: bool [N, 12] in the order of `THEMES`.
    """

    pictures: Uint8Tensor
    labels: NDArray[np.bool_]
    themes: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pictures)


def truths(portrait: Portrait) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return a portrait's labels bool [59] and themes bool [12]."""
    labels = np.array([label in portrait.labels for label in LABELS])
    themes = np.array([theme.title in portrait.themes for theme in THEMES])
    return labels, themes


def prepare_dataset(folder: Path, count: int, processes: int = 2) -> Dataset:
    """Draw `count` training portraits into `folder`, unless it holds them already, and open them."""
    if not (folder / "themes.npy").exists() or len(np.load(folder / "themes.npy", mmap_mode="r")) != count:
        _draw_dataset(folder, count, processes)
    return Dataset(
        np.load(folder / "pictures.npy", mmap_mode="r"),
        np.load(folder / "labels.npy"),
        np.load(folder / "themes.npy"),
    )


def _draw_dataset(folder: Path, count: int, processes: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pictures = np.lib.format.open_memmap(
        folder / "pictures.npy", "w+", dtype=np.uint8, shape=(count, NET_SIDE, NET_SIDE, 3)
    )
    labels = np.zeros((count, len(LABELS)), np.bool_)
    themes = np.zeros((count, len(THEMES)), np.bool_)
    seeds = range(TRAINING_SEED, TRAINING_SEED + count)
    for row, (picture, its_labels, its_themes) in enumerate(_draw_all(seeds, processes)):
        pictures[row], labels[row], themes[row] = picture, its_labels, its_themes
    pictures.flush()
    np.save(folder / "labels.npy", labels)
    np.save(folder / "themes.npy", themes)


def _draw_all(
    seeds: Iterable[int], processes: int
) -> Iterator[tuple[Uint8Tensor, NDArray[np.bool_], NDArray[np.bool_]]]:
    seeds = list(seeds)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        rows = pool.map(partial(_draw_one, Geometry()), seeds, chunksize=16)
        yield from progress(rows, "Drawing portraits", len(seeds))


def _draw_one(geometry: Geometry, seed: int) -> tuple[Uint8Tensor, NDArray[np.bool_], NDArray[np.bool_]]:
    portrait = draw_portrait(seed)
    square = reference_letterbox(portrait.image, geometry)[:, :, ::-1].astype(np.float32)
    halved = square.reshape(NET_SIDE, 2, NET_SIDE, 2, 3).mean((1, 3))
    return np.rint(halved).astype(np.uint8), *truths(portrait)
