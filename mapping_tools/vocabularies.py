"""What the models can say: the external names that mappings may speak of, by source."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from mapping_tools.matcher import ExternalTag
from orchestrator.errors import ManifestError
from orchestrator.records import Label, LabelCategory, ServedModel, Vocabulary
from orchestrator.registry.labels import parse_labels
from orchestrator.registry.manifest import LabelsSpec

Names = Mapping[str, tuple[ExternalTag, ...]]
"""The names of every source, each once, in the order of the models and their labels."""


def of_models(models: Iterable[ServedModel]) -> Names:
    """Return the names that mappings apply to; ratings and a board's own labels are none."""
    names: dict[str, dict[str, ExternalTag]] = {}
    for model in models:
        if model.vocabulary is Vocabulary.DANBOORU:
            known = names.setdefault(model.source, {})
            for tag in _mappable(model.labels):
                known.setdefault(tag.name, tag)
    return {source: tuple(known.values()) for source, known in names.items()}


def of_file(path: Path) -> tuple[ExternalTag, ...]:
    """Return the names in a labels file with WD14's columns. Raises ManifestError."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    spec = LabelsSpec(file=path.name, sha256=digest, format="wd14_csv", count=1)
    return _mappable(parse_labels(path, spec, Vocabulary.DANBOORU, str(path)))


def _mappable(labels: Iterable[Label]) -> tuple[ExternalTag, ...]:
    return tuple(
        ExternalTag(label.name, label.category)
        for label in labels
        if label.category is not LabelCategory.RATING
    )
