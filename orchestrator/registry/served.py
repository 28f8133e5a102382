"""From a manifest to what the database keeps of a version: facts that workers need on every image."""

from collections.abc import Sequence

from orchestrator.records import Geometry, Label, ServedModel, Thresholds, VersionState, Vocabulary, as_score
from orchestrator.registry.manifest import Manifest
from orchestrator.store.models import NewVersion

# The board's own models speak of its own tags, so they go before a general tagger (DESIGN 5).
PRIORITY = {Vocabulary.BOARD: 0, Vocabulary.DANBOORU: 10}


def new_version(manifest: Manifest, labels: Sequence[Label]) -> NewVersion:
    """Return the row of a version whose manifest and labels have been checked.

    Raises ManifestError (`not_prepared`) when it has no prepared graph yet.
    """
    advice = manifest.thresholds
    return NewVersion(
        name=manifest.name,
        version=manifest.version,
        source=manifest.model_source,
        vocabulary=manifest.vocabulary,
        priority=PRIORITY[manifest.vocabulary],
        sha256=manifest.prepared.sha256,
        geometry=Geometry(manifest.geometry.size, manifest.geometry.pad_colour, manifest.geometry.filter),
        labels=tuple(labels),
        general_floor=None if advice.general is None else as_score(advice.general),
        board_floor=None if advice.board is None else as_score(advice.board),
        label_floors={
            label.index: as_score(advice.by_label[label.name])
            for label in labels
            if label.name in advice.by_label
        },
        manifest=manifest.to_json(),
    )


def served_model(new: NewVersion) -> ServedModel:
    """Return a version that has no row yet in the form that inference takes; it is never resolved."""
    return ServedModel(
        id=0,
        name=new.name,
        version=new.version,
        state=VersionState.STAGED,
        source=new.source,
        vocabulary=new.vocabulary,
        geometry=new.geometry,
        labels=new.labels,
        thresholds=Thresholds(general=None, character=None, board=None, by_label={}),
        priority=new.priority,
    )
