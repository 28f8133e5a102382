"""Model cards, written from manifests and figures so that they cannot drift from them."""

from collections.abc import Mapping
from pathlib import Path

from orchestrator.demo.portraits.vocabulary import CHARACTERS
from orchestrator.demo.training.scores import Scoring
from orchestrator.records import Vocabulary
from orchestrator.registry.manifest import Figures, Manifest

CARD_NAME = "MODEL_CARD.md"

_ABOUT = {
    Vocabulary.DANBOORU: (
        "A small convolutional tagger in WD14's own contract. It stands in for the real WD14 wherever that"
        " cannot be: in the demo, in tests, on a laptop. It knows the {count} labels of its vocabulary"
        " and nothing else, and has seen nothing but portraits drawn by this repository's own code. On"
        " photographs and on real illustrations its answers mean nothing."
    ),
    Vocabulary.BOARD: (
        "A theme model for the demo board: {count} house themes, named by the board's own tag ids. A small"
        " head on the frozen body of the `wd14` demonstration model, exported in another family's contract"
        " (NCHW, RGB, ImageNet normalisation, logits) so that the graph preparation has real work to do. Like"
        " its body it has seen nothing but drawn portraits."
    ),
}


def write_card(folder: Path, manifest: Manifest, held_out: Scoring, mistakes: Mapping[str, Scoring]) -> None:
    """Write the model card of the version in `folder`. `mistakes`: figures under preparation mistakes."""
    lines = [
        f"# {manifest.name}, version {manifest.version}: a demonstration model",
        "",
        "Written by `python -m orchestrator.demo.training evaluate`; do not edit by hand.",
        "",
        _ABOUT[manifest.vocabulary].format(count=manifest.labels.count),
        "",
        "## Facts",
        "",
        *_facts(manifest),
        "",
        "## Figures",
        "",
        "F1 at threshold 0.5, its mean over labels; every picture comes from a seed that training never saw.",
        "",
        "| drawings | pictures | macro-F1 | weakest label | its F1 |",
        "|---|---:|---:|---|---:|",
        *_figure_rows(manifest),
        "",
        *_what_is_unseen(),
        "",
        *_mistake_section(mistakes),
        "## F1 by label, unseen seeds",
        "",
        "| label | F1 |",
        "|---|---:|",
        *(f"| {name} | {f1:.3f} |" for name, f1 in held_out.f1.items()),
        "",
    ]
    if manifest.vocabulary is Vocabulary.DANBOORU:
        names = ", ".join(character.name for character in CHARACTERS)
        lines += [
            "## Names",
            "",
            "General labels and ratings carry Danbooru's own names. The characters are invented for this"
            f" project and exist nowhere else: {names}."
            " The columns `tag_id` and `count` hold running numbers and zeros.",
            "",
        ]
    (folder / CARD_NAME).write_text("\n".join(lines), encoding="utf-8")


def _facts(manifest: Manifest) -> list[str]:
    wants, answers = manifest.input, manifest.output
    low, high = wants.value_range
    geometry = manifest.geometry
    side, labels = geometry.size, manifest.labels.count
    training = manifest.training
    return [
        f"- Original graph (`{manifest.model.file}`): `{wants.name}` float32 {wants.layout}"
        f" {wants.channel_order}, values {low:g} to {high:g}, mean {_triple(wants.mean)},"
        f" std {_triple(wants.std)}; `{answers.name}` [N, {labels}], {answers.activation}.",
        f"- Served graph (`{manifest.prepared.file}`): `image` UINT8 RGB NHWC [N, {side}, {side}, 3];"
        f" `scores` float32 probabilities [N, {labels}].",
        "- Geometry: transparency on the pad colour, centred on a square of colour"
        f" {_triple(geometry.pad_colour)}, then {geometry.filter} to {geometry.size} px.",
        f"- Training data: {training.images if training else 'unknown'} portraits drawn by"
        " `orchestrator.demo.portraits`; no picture made by anyone else.",
        f"- Vocabulary: `{manifest.vocabulary}`. Licence: {manifest.licence}.",
    ]


def _figure_rows(manifest: Manifest) -> list[str]:
    training = manifest.training
    found: list[Figures] = [] if training is None else [*filter(None, [training.held_out]), *training.others]
    return [
        f"| {entry.what} | {entry.images} | {entry.macro_f1:.3f}"
        f" | {entry.weakest_label} | {entry.weakest_f1:.3f} |"
        for entry in found
    ]


def _what_is_unseen() -> list[str]:
    return [
        "The unseen styles (no outlines; pale and washed; thick black ink in loud colours; thin brown ink"
        " on yellowed paper) occur nowhere in the training, which knows three. Aspects from 1:3 to 3:1 do"
        " occur in it, in one drawing of seven; the others lie between 0.62 and 1.5.",
    ]


def _mistake_section(mistakes: Mapping[str, Scoring]) -> list[str]:
    if not mistakes:
        return []
    return [
        "## What a wrong preparation costs",
        "",
        "The same drawings, fed to the original graph wrongly. Mistakes of geometry and filter hardly show in"
        " F1; the golden pictures in the manifest are there for them.",
        "",
        "| mistake | macro-F1 |",
        "|---|---:|",
        *(f"| {name} | {scoring.macro_f1:.3f} |" for name, scoring in mistakes.items()),
        "",
    ]


def _triple(values: tuple[float, float, float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"
