"""The plain design that `remap` compares with: everything is asked for an image at a time, row by row.

The rules themselves are the same functions, given no more of the board than the image's own scores concern.
"""

from orchestrator.errors import NotFound
from orchestrator.records import (
    Geometry,
    ImageContext,
    Label,
    LabelCategory,
    MappingAction,
    RawPrediction,
    RuleInputs,
    ServedModel,
    Tag,
    TagMapping,
    Thresholds,
    VersionState,
    Vocabulary,
    as_score,
)
from orchestrator.settings import Settings
from orchestrator.store import tags
from orchestrator.store.counters import Deltas
from orchestrator.store.reconcile import Proposed, reconcile
from orchestrator.store.transaction import Transaction
from orchestrator.tagging.plan import TaggingPlan
from orchestrator.tagging.resolve import resolve


async def remap_one(tx: Transaction, settings: Settings, image_id: int) -> None:
    """Bring one image's pending suggestions up to date, as one would write it first."""
    image = await tx.fetch_one("SELECT has_alpha, sha256 FROM images WHERE id = :id FOR UPDATE", id=image_id)
    if image is None:
        raise NotFound("no such image")
    raw = [
        RawPrediction(row["model_version_id"], row["label"], row["score"])
        for row in await tx.fetch_all("SELECT * FROM raw_predictions WHERE image_id = :id", id=image_id)
    ]
    known: dict[int, Tag] = {}
    mappings: list[TagMapping] = []
    labels: dict[int, list[Label]] = {}
    for one in raw:
        label = await tx.fetch_one(
            "SELECT * FROM labels WHERE model_version_id = :version AND label = :label",
            version=one.model_version_id,
            label=one.label,
        )
        if label is None:
            continue
        category = LabelCategory(label["category"])
        labels.setdefault(one.model_version_id, []).append(Label(one.label, label["name"], category))
        mapping = await tx.fetch_one(
            "SELECT * FROM tag_mappings WHERE source = 'danbooru' AND external_tag = :name",
            name=label["name"],
        )
        if mapping is not None:
            await _learn(tx, mapping["tag_id"], known)
            action = MappingAction(mapping["action"])
            mappings.append(
                TagMapping(
                    mapping["id"], "danbooru", label["name"], action, mapping["tag_id"], mapping["weight"]
                )
            )
    applied = await tx.fetch_rows("SELECT tag_id FROM tag_links WHERE image_id = :id", id=image_id)
    for (tag_id,) in applied:
        await _learn(tx, tag_id, known)
    inputs = RuleInputs(
        version=0,
        tags=tuple(known.values()),
        mappings=tuple(mappings),
        character_sources=(),
        models=tuple([await _model(tx, settings, version_id, labels[version_id]) for version_id in labels]),
    )
    plan = TaggingPlan.build(inputs)
    digest = None if image["sha256"] is None else image["sha256"].hex()
    context = ImageContext(bool(image["has_alpha"]), frozenset(row[0] for row in applied), digest)
    resolution = resolve(plan, context, raw)
    deltas = Deltas()
    proposals = (*resolution.suggestions, *resolution.explorations)
    await reconcile(tx, [Proposed(image_id, proposals)], deltas)
    await deltas.apply(tx)


async def _learn(tx: Transaction, tag_id: int, known: dict[int, Tag]) -> None:
    """Look a tag up, with what it is an alias of and what is above it."""
    wanted: int | None = tag_id
    while wanted is not None and wanted not in known:
        tag = known[wanted] = await tags.get(tx, wanted)
        wanted = tag.alias_of if tag.alias_of is not None else tag.parent_id


async def _model(tx: Transaction, settings: Settings, version_id: int, labels: list[Label]) -> ServedModel:
    row = await tx.fetch_one("SELECT * FROM model_versions WHERE id = :id", id=version_id)
    if row is None:
        raise NotFound("no such version")
    return ServedModel(
        id=version_id,
        name=row["name"],
        version=row["version"],
        state=VersionState(row["state"]),
        source=row["source"],
        vocabulary=Vocabulary(row["vocabulary"]),
        geometry=Geometry(row["input_size"], (255, 255, 255), "bicubic"),
        labels=tuple(labels),
        thresholds=Thresholds(as_score(settings.min_confidence_danbooru), None, None, {}),
        priority=row["priority"],
    )
