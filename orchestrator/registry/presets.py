"""What families of taggers have in common: where their manifests begin.

Sources: DESIGN 3, "WD14 contract", for WD14; the board's own demonstration model for `custom-theme`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from orchestrator.records import Vocabulary
from orchestrator.registry.manifest import ThresholdsSpec

Triple = tuple[float, float, float]

_NO_ADVICE = ThresholdsSpec()

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


class Preset(StrEnum):
    """A family whose contract is known, or `generic`."""

    WD14_V2 = "wd14-v2"
    WD14_V3 = "wd14-v3"
    CUSTOM_THEME = "custom-theme"
    GENERIC = "generic"


@dataclass(frozen=True, slots=True)
class Contract:
    """A family's contract as far as it is known; `None` where only the graph or its makers know.

    Layout, size and a sigmoid at the end are seen in the graph, and that counts more than what stands here.
    """

    vocabulary: Vocabulary
    model_source: str
    labels_file: str
    size: int | None = None
    pad_colour: tuple[int, int, int] = (255, 255, 255)
    filter: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    layout: Literal["NHWC", "NCHW"] | None = None
    channel_order: Literal["RGB", "BGR"] | None = None
    value_range: tuple[float, float] | None = None
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    activation: Literal["probabilities", "logits"] | None = None
    thresholds: ThresholdsSpec = _NO_ADVICE
    licence: str | None = None


_WD14 = Contract(
    vocabulary=Vocabulary.DANBOORU,
    model_source="danbooru",
    labels_file="selected_tags.csv",
    size=448,
    layout="NHWC",
    channel_order="BGR",
    value_range=(0.0, 255.0),
    activation="probabilities",
    thresholds=ThresholdsSpec(general=0.35, character=0.85),
    licence="Apache-2.0",
)

CONTRACTS: Mapping[Preset, Contract] = MappingProxyType(
    {
        # Both take the same tensors; v2 has 9,083 labels, and some of its exports a fixed batch of 1.
        Preset.WD14_V2: _WD14,
        Preset.WD14_V3: _WD14,
        Preset.CUSTOM_THEME: Contract(
            vocabulary=Vocabulary.BOARD,
            model_source="custom_theme",
            labels_file="labels.csv",
            layout="NCHW",
            channel_order="RGB",
            value_range=(0.0, 1.0),
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            activation="logits",
            thresholds=ThresholdsSpec(board=0.60),
        ),
        Preset.GENERIC: Contract(
            vocabulary=Vocabulary.DANBOORU, model_source="danbooru", labels_file="labels.txt"
        ),
    }
)
