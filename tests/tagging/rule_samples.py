"""Small boards, versions and scores for the tests of the rules."""

from dataclasses import dataclass, field, replace

from orchestrator.records import (
    Geometry,
    ImageContext,
    Label,
    LabelCategory,
    MappingAction,
    RawPrediction,
    Resolution,
    RuleInputs,
    ServedModel,
    Tag,
    TagMapping,
    TagType,
    Thresholds,
    VersionState,
    Vocabulary,
)
from orchestrator.tagging.plan import TaggingPlan
from orchestrator.tagging.resolve import resolve

DANBOORU, CUSTOM = 1, 2

GENERAL = (
    "long_hair",
    "hair",
    "smile",
    "kimono",
    "short_kimono",
    "white_background",
    "solo",
    "unknown_thing",
)
CHARACTERS = ("miku", "miku_(winter)")
RATINGS = ("safe", "questionable")

HAIR, LONG_HAIR, VERY_LONG_HAIR, SMILE, KIMONO, SHORT_KIMONO, WHITE = 10, 11, 12, 13, 14, 15, 16
LOCKS = 17
MIKU, WINTER_MIKU = 20, 21
VOCALOID, MUSIC = 30, 31

TAGS = (
    Tag(HAIR, 110, "hair", TagType.THEME),
    Tag(LONG_HAIR, 111, "long hair", TagType.THEME, parent_id=HAIR),
    Tag(VERY_LONG_HAIR, 112, "very long hair", TagType.THEME, parent_id=LONG_HAIR),
    Tag(SMILE, 113, "smile", TagType.THEME),
    Tag(KIMONO, 114, "kimono", TagType.THEME),
    Tag(SHORT_KIMONO, 115, "Short Kimono", TagType.THEME),
    Tag(WHITE, 116, "white backdrop", TagType.THEME),
    Tag(LOCKS, 117, "long locks", TagType.THEME, alias_of=LONG_HAIR),
    Tag(MIKU, 120, "Miku", TagType.CHARACTER),
    Tag(WINTER_MIKU, 121, "Winter Miku", TagType.CHARACTER, parent_id=MIKU),
    Tag(VOCALOID, 130, "Vocaloid", TagType.SOURCE, parent_id=MUSIC),
    Tag(MUSIC, 131, "Music software", TagType.SOURCE),
)

MAPPINGS = (
    TagMapping(1, "danbooru", "long_hair", MappingAction.MAP, LONG_HAIR),
    TagMapping(2, "danbooru", "hair", MappingAction.MAP, HAIR, weight=8_000),
    TagMapping(3, "danbooru", "smile", MappingAction.MAP, SMILE),
    TagMapping(4, "danbooru", "kimono", MappingAction.MAP, KIMONO),
    TagMapping(5, "danbooru", "short_kimono", MappingAction.MAP, SHORT_KIMONO),
    TagMapping(6, "danbooru", "white_background", MappingAction.MAP, WHITE),
    TagMapping(7, "danbooru", "solo", MappingAction.IGNORE, None),
    TagMapping(8, "danbooru", "miku", MappingAction.MAP, MIKU),
    TagMapping(9, "danbooru", "miku_(winter)", MappingAction.MAP, WINTER_MIKU),
)


def danbooru_model(**changes: object) -> ServedModel:
    names = [*RATINGS, *GENERAL, *CHARACTERS]
    categories = (
        [LabelCategory.RATING] * len(RATINGS)
        + [LabelCategory.GENERAL] * len(GENERAL)
        + [LabelCategory.CHARACTER] * len(CHARACTERS)
    )
    model = ServedModel(
        id=DANBOORU,
        name="wd14",
        version=1,
        state=VersionState.ACTIVE,
        source="danbooru",
        vocabulary=Vocabulary.DANBOORU,
        geometry=Geometry(),
        labels=tuple(
            Label(index, name, category)
            for index, (name, category) in enumerate(zip(names, categories, strict=True))
        ),
        thresholds=Thresholds(general=3_500, character=8_500, board=None),
        priority=20,
    )
    return replace(model, **changes)


CUSTOM_TAGS = (LONG_HAIR, VERY_LONG_HAIR, SMILE, KIMONO, WHITE, HAIR, MIKU)


def custom_model(**changes: object) -> ServedModel:
    external = {tag.id: tag.external_id for tag in TAGS}
    model = ServedModel(
        id=CUSTOM,
        name="custom_theme",
        version=1,
        state=VersionState.ACTIVE,
        source="custom_theme",
        vocabulary=Vocabulary.BOARD,
        geometry=Geometry(),
        labels=tuple(
            Label(index, str(external[tag_id]), LabelCategory.BOARD)
            for index, tag_id in enumerate(CUSTOM_TAGS)
        ),
        thresholds=Thresholds(general=None, character=None, board=6_000),
        priority=10,
    )
    return replace(model, **changes)


INPUTS = RuleInputs(
    version=1,
    tags=TAGS,
    mappings=MAPPINGS,
    character_sources=((MIKU, VOCALOID), (WINTER_MIKU, VOCALOID)),
    models=(custom_model(), danbooru_model()),
)


def danbooru(**scores: int) -> tuple[RawPrediction, ...]:
    """Scores of the Danbooru model by label name; `miku_winter` stands for the bracketed name."""
    names = [*RATINGS, *GENERAL, *CHARACTERS]
    return tuple(
        RawPrediction(DANBOORU, names.index(name.replace("miku_winter", "miku_(winter)")), score)
        for name, score in scores.items()
    )


def custom(scores: dict[int, int]) -> tuple[RawPrediction, ...]:
    """Scores of the custom model by the board tag that the label stands for."""
    return tuple(RawPrediction(CUSTOM, CUSTOM_TAGS.index(tag_id), score) for tag_id, score in scores.items())


@dataclass(frozen=True)
class Case:
    """One image: what is applied, whether it is transparent, under which rules."""

    applied: frozenset[int] = frozenset()
    has_alpha: bool = False
    inputs: RuleInputs = field(default=INPUTS)

    def resolve(self, *raw: RawPrediction) -> Resolution:
        return resolve(TaggingPlan.build(self.inputs), ImageContext(self.has_alpha, self.applied), raw)

    def tags(self, *raw: RawPrediction) -> set[int]:
        return {one.tag_id for one in self.resolve(*raw).suggestions}
