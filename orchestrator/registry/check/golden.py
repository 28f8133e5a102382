"""Checks of the golden pictures, and a guess at what is wrong when they give other scores."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort
from PIL import Image

from orchestrator.errors import ModelError
from orchestrator.records import Float32Tensor, Label, Uint8Tensor
from orchestrator.registry.check.graph import first_line
from orchestrator.registry.check.report import Notes
from orchestrator.registry.codes import CheckCode
from orchestrator.registry.golden import check_scores, check_tensor, differences, load_picture, load_tensor
from orchestrator.registry.manifest import GoldenSpec, InputSpec, Manifest, OutputSpec
from orchestrator.registry.presets import IMAGENET_MEAN, IMAGENET_STD
from orchestrator.registry.reference import reference_letterbox, reference_probabilities
from orchestrator.registry.verify import run_original, run_raw

Labels = tuple[Label, ...]


def load_tensors(notes: Notes, folder: Path, manifest: Manifest) -> list[Uint8Tensor]:
    """Return the golden tensors once letterboxing the pictures gives just those; fails otherwise."""
    if not manifest.golden:
        notes.warn(CheckCode.GOLDEN_ABSENT, "no golden picture proves channel order, range and activation")
    tensors = []
    for golden in manifest.golden:
        try:
            with notes.failing():
                picture = load_picture(folder, golden)
                check_tensor(folder, golden, reference_letterbox(picture, manifest.geometry.record()))
                tensors.append(load_tensor(folder, golden))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            notes.fail(CheckCode.GOLDEN_UNREADABLE, f"{golden.file} or its tensor: {first_line(error)}")
    return tensors


def check_golden(
    notes: Notes,
    session: ort.InferenceSession,
    manifest: Manifest,
    labels: Labels,
    tensors: list[Uint8Tensor],
) -> None:
    """Compare the original's scores of the golden tensors with what the manifest expects."""
    sees_channels = False
    for golden, tensor in zip(manifest.golden, tensors, strict=True):
        scores = run_original(session, tensor[None], manifest.input, manifest.output)[0]
        try:
            check_scores(golden, labels, scores)
        except ModelError as error:
            hint = (
                ""
                if error.code != CheckCode.GOLDEN_MISMATCH
                else _hint(session, manifest, labels, tensor, golden)
            )
            notes.fail(error.code, error.detail + hint)
            continue
        swapped = run_original(
            session, np.ascontiguousarray(tensor[None, ..., ::-1]), manifest.input, manifest.output
        )[0]
        sees_channels |= bool(differences(golden, labels, swapped).max() > golden.score_tolerance)
    if notes.failed() or not manifest.golden:
        return
    if not sees_channels:
        notes.warn(CheckCode.GOLDEN_BLIND, "with red and blue swapped, the golden pictures still pass")
    notes.ok("golden", f"{len(tensors)} golden pictures give their known tensors and scores")


def _hint(
    session: ort.InferenceSession, manifest: Manifest, labels: Labels, tensor: Uint8Tensor, golden: GoldenSpec
) -> str:
    """Return which other manifest would give the expected scores, if one does."""
    scores = run_original(session, tensor[None], manifest.input, manifest.output)[0]
    for steps in (1, -1):
        if _fits(golden, labels, np.roll(scores, steps)):
            return "; the labels seem to be shifted by one"
    for what, wants, gives in _other_contracts(manifest):
        raw = run_raw(session, tensor[None], wants, gives.name)
        if _fits(golden, labels, reference_probabilities(raw, gives)[0]):
            return f"; the expected scores come out with {what}"
    return ""


def _fits(golden: GoldenSpec, labels: Labels, scores: Float32Tensor) -> bool:
    return bool(differences(golden, labels, scores).max() <= golden.score_tolerance)


def _other_contracts(manifest: Manifest) -> Iterator[tuple[str, InputSpec, OutputSpec]]:
    """Yield the usual mistakes, undone: one at a time, then channel order with each."""
    wants, gives = manifest.input, manifest.output
    other_order = "BGR" if wants.channel_order == "RGB" else "RGB"
    plain = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    ranges: list[tuple[str, Mapping[str, object]]] = [
        (f"value_range [{low:g}, {high:g}] and no mean or std", {"value_range": (low, high), **plain})
        for low, high in ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))
    ]
    imagenet: Mapping[str, object] = {"value_range": (0.0, 1.0), "mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    ranges.append(("value_range [0, 1] and ImageNet's mean and std", imagenet))
    for order in (wants.channel_order, other_order):
        turned = wants.model_copy(update={"channel_order": order})
        words = "" if order == wants.channel_order else f"channel_order {order}"
        if words:
            yield words, turned, gives
        for what, update in ranges:
            yield f"{words}, {what}" if words else what, turned.model_copy(update=update), gives
    other = "logits" if gives.activation == "probabilities" else "probabilities"
    yield f"activation {other}", wants, gives.model_copy(update={"activation": other})
