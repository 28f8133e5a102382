"""Evaluation of the served graphs on drawings that no training has seen. Needs no PyTorch."""

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from orchestrator.demo.portraits import HELD_OUT_STYLES, DrawingStyle, draw_portrait
from orchestrator.demo.portraits.render import WIDEST_ASPECT
from orchestrator.demo.portraits.vocabulary import LABELS, THEMES
from orchestrator.demo.training.dataset import HELD_OUT_SEED, truths
from orchestrator.demo.training.mistakes import BAD_INPUTS, BAD_OUTPUTS
from orchestrator.demo.training.progress import progress
from orchestrator.demo.training.scores import Scoring, score
from orchestrator.records import Float32Tensor
from orchestrator.registry.manifest import Figures, InputSpec, read_manifest
from orchestrator.registry.reference import reference_input, reference_letterbox
from orchestrator.registry.verify import open_session, run_served

THEME_TITLES = tuple(theme.title for theme in THEMES)
THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing to be judged: see `draw_portrait` for `aspect` and `style`."""

    seed: int
    aspect: float | None = None
    style: DrawingStyle | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What both served models said of the same drawings, row by row.

    `labels`, `themes`: probabilities float32 [N, 59] and [N, 12]; `label_truths`, `theme_truths`: bool of
    the same shapes. `mistaken`: wd14's probabilities [N, 59] under each preparation mistake.
    """

    labels: Float32Tensor
    themes: Float32Tensor
    label_truths: NDArray[np.bool_]
    theme_truths: NDArray[np.bool_]
    mistaken: dict[str, Float32Tensor] = field(default_factory=dict)

    def wd14(self) -> Scoring:
        """Figures of `wd14` by label."""
        return score(self.labels, self.label_truths, LABELS, THRESHOLD)

    def custom_theme(self) -> Scoring:
        """Figures of `custom_theme` by theme title."""
        return score(self.themes, self.theme_truths, THEME_TITLES, THRESHOLD)

    def wd14_mistaken(self) -> dict[str, Scoring]:
        """Figures of `wd14` under each preparation mistake."""
        return {
            name: score(probabilities, self.label_truths, LABELS, THRESHOLD)
            for name, probabilities in self.mistaken.items()
        }


def held_out_drawings(count: int) -> list[Drawing]:
    """Return drawings like those of the training, from unseen seeds."""
    return [Drawing(HELD_OUT_SEED + i) for i in range(count)]


def unseen_style_drawings(count: int) -> list[Drawing]:
    """Return drawings from unseen seeds in the held-out styles, in turn."""
    styles = HELD_OUT_STYLES
    return [Drawing(HELD_OUT_SEED + 100_000 + i, style=styles[i % len(styles)]) for i in range(count)]


def any_aspect_drawings(count: int) -> list[Drawing]:
    """Return drawings from unseen seeds with aspects from 1:3 to 3:1, evenly on a logarithmic scale."""
    rng = Random(0)
    reach = math.log(WIDEST_ASPECT)
    return [Drawing(HELD_OUT_SEED + 200_000 + i, math.exp(rng.uniform(-reach, reach))) for i in range(count)]


def judge(
    repository: Path, drawings: Sequence[Drawing], *, with_mistakes: bool = False, processes: int = 2
) -> Judgement:
    """Draw, prepare by the reference and ask version 1 of both served models of `repository`."""
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, _Judge.start, (repository, with_mistakes)) as pool:
        answers = pool.map(_Judge.judge_one, drawings, chunksize=10)
        rows = list(progress(answers, "Judging drawings", len(drawings)))
    return Judgement(
        labels=np.stack([row.labels for row in rows]),
        themes=np.stack([row.themes for row in rows]),
        label_truths=np.stack([row.label_truths for row in rows]),
        theme_truths=np.stack([row.theme_truths for row in rows]),
        mistaken={name: np.stack([row.mistaken[name] for row in rows]) for name in rows[0].mistaken},
    )


def figures(what: str, scoring: Scoring) -> Figures:
    """Return a scoring as a manifest states it."""
    name, lowest = scoring.weakest
    return Figures(
        what=what,
        images=scoring.images,
        threshold=THRESHOLD,
        macro_f1=round(scoring.macro_f1, 4),
        weakest_label=name,
        weakest_f1=round(lowest, 4),
    )


class _Judge:
    """What one process of the pool keeps: sessions, opened once."""

    current: "_Judge"

    def __init__(self, repository: Path, with_mistakes: bool) -> None:
        folders = {name: repository / name / "1" for name in ("wd14", "custom_theme")}
        self.manifests = {name: read_manifest(folder) for name, folder in folders.items()}
        self.sessions = {
            name: open_session((folders[name] / manifest.prepared.file).read_bytes())
            for name, manifest in self.manifests.items()
        }
        original = folders["wd14"] / self.manifests["wd14"].model.file
        self.original = open_session(original.read_bytes()) if with_mistakes else None

    @classmethod
    def start(cls, repository: Path, with_mistakes: bool) -> None:
        cls.current = cls(repository, with_mistakes)

    @classmethod
    def judge_one(cls, drawing: Drawing) -> Judgement:
        return cls.current.judge(drawing)

    def judge(self, drawing: Drawing) -> Judgement:
        portrait = draw_portrait(drawing.seed, aspect=drawing.aspect, style=drawing.style)
        answers = {
            name: run_served(
                self.sessions[name], reference_letterbox(portrait.image, manifest.geometry.record())[None]
            )[0]
            for name, manifest in self.manifests.items()
        }
        mistaken: dict[str, Float32Tensor] = {}
        if self.original is not None:
            wd14 = self.manifests["wd14"]
            tensor = reference_letterbox(portrait.image, wd14.geometry.record())[None]
            ask = partial(self._ask_original, wd14.input, wd14.output.name)
            right = reference_input(tensor, wd14.input)
            mistaken = {name: ask(spoil(right)) for name, spoil in BAD_INPUTS.items()}
            mistaken |= {name: spoil(ask(right)) for name, spoil in BAD_OUTPUTS.items()}
        label_truths, theme_truths = truths(portrait)
        return Judgement(answers["wd14"], answers["custom_theme"], label_truths, theme_truths, mistaken)

    def _ask_original(self, spec: InputSpec, output: str, values: Float32Tensor) -> Float32Tensor:
        assert self.original is not None  # noqa: S101 - narrows the type
        answer: Float32Tensor = self.original.run([output], {spec.name: values})[0][0]
        return answer
