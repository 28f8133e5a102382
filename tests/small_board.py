"""A small board for tests: people, a few tags with alias and hierarchy, one model version and its answers."""

from dataclasses import dataclass

from orchestrator import accounts
from orchestrator.records import (
    Analysis,
    ClaimedImage,
    Evidence,
    Geometry,
    ImageSource,
    Label,
    LabelCategory,
    MappingAction,
    Priority,
    ProposedSuggestion,
    RawPrediction,
    Resolution,
    Role,
    SourceKind,
    SuggestionStatus,
    SuggestionView,
    Tag,
    TagType,
    UnmappedTag,
    User,
    VersionRating,
    VersionState,
    Vocabulary,
)
from orchestrator.settings import Settings
from orchestrator.store import counters, hierarchy, images, mappings, models, suggestions, tags
from orchestrator.store.unit_of_work import Store

LEASE = 60.0

LABELS = (
    Label(0, "general", LabelCategory.RATING),
    Label(1, "hair", LabelCategory.GENERAL),
    Label(2, "long_hair", LabelCategory.GENERAL),
    Label(3, "very_long_hair", LabelCategory.GENERAL),
    Label(4, "smile", LabelCategory.GENERAL),
    Label(5, "blue_eyes", LabelCategory.GENERAL),
    Label(6, "unheard_of", LabelCategory.GENERAL),
    Label(7, "hakurei_reimu", LabelCategory.CHARACTER),
)
TITLES = {1: "hair", 2: "long hair", 3: "very long hair", 4: "smile", 5: "blue eyes"}


def version(
    name: str = "wd14", number: int = 1, *, labels: tuple[Label, ...] = LABELS, priority: int = 10
) -> models.NewVersion:
    """A version of a general tagger whose files nobody needs."""
    return models.NewVersion(
        name=name,
        version=number,
        source="danbooru",
        vocabulary=Vocabulary.DANBOORU,
        priority=priority,
        sha256=f"{number:064x}",
        geometry=Geometry(size=448, pad_colour=(255, 254, 1), filter="bicubic"),
        labels=labels,
        general_floor=None,
        board_floor=None,
        label_floors={},
        manifest="{}",
    )


@dataclass
class SmallBoard:
    """`tags` by title; hair ← long hair ← very long hair is a chain, `grin` an alias of `smile`."""

    store: Store
    settings: Settings
    uploader: User
    tagger: User
    moderator: User
    engineer: User
    tags: dict[str, Tag]
    mapping_ids: dict[str, int]
    version_id: int

    @classmethod
    async def build(cls, store: Store, settings: Settings) -> "SmallBoard":
        people = {
            role: await accounts.create_user(store, name=f"the {role}", role=role)
            for role in (Role.UPLOADER, Role.TAGGER, Role.MODERATOR, Role.ENGINEER)
        }
        titles = (*TITLES.values(), "grin")
        made = await store.write(
            lambda tx: tags.upsert_many(
                tx, [tags.NewTag(title, TagType.THEME, 100 + n) for n, title in enumerate(titles)]
            )
        )
        by_title = {tag.title: tag for tag in made}

        async def relate(tx):  # type: ignore[no-untyped-def]
            await tags.set_alias(tx, by_title["grin"].id, by_title["smile"].id)
            await hierarchy.set_parents(
                tx,
                {
                    by_title["long hair"].id: by_title["hair"].id,
                    by_title["very long hair"].id: by_title["long hair"].id,
                },
            )
            await mappings.upsert_many(
                tx,
                [
                    mappings.NewMapping("danbooru", LABELS[n].name, MappingAction.MAP, by_title[title].id)
                    for n, title in TITLES.items()
                ],
                actor_id=None,
            )
            return await models.insert_version(tx, version(), state=VersionState.ACTIVE)

        version_id = await store.write(relate)
        rows = await store.read(mappings.load_all)
        known = await store.read(tags.load_all)
        return cls(
            store=store,
            settings=settings,
            uploader=people[Role.UPLOADER],
            tagger=people[Role.TAGGER],
            moderator=people[Role.MODERATOR],
            engineer=people[Role.ENGINEER],
            tags={tag.title: tag for tag in known},
            mapping_ids={row.external_tag: row.id for row in rows},
            version_id=version_id,
        )

    async def register(self, uploader: User | None = None, external_id: int | None = None) -> int:
        """Register an image by an address that nobody fetches; returns its id."""
        source = ImageSource(SourceKind.URL, "https://board.example/1.png")
        owner = uploader or self.uploader
        answer = await self.store.write(
            lambda tx: images.register(
                tx, source=source, uploader_id=owner.id, external_id=external_id, priority=Priority.LIVE
            )
        )
        return answer.id

    async def claim(self, image_id: int) -> ClaimedImage:
        """Claim one image that is due."""
        (claimed,) = await self.store.write(lambda tx: images.claim(tx, [image_id], lease=LEASE))
        return claimed

    def analysis(self, scores: dict[str, int]) -> Analysis:
        """What a run learned; `scores` by label name in ten-thousandths."""
        numbers = {label.name: label.index for label in LABELS}
        return Analysis(
            sha256="ab" * 32,
            width=640,
            height=480,
            has_alpha=False,
            media_type="image/png",
            model_version_ids=(self.version_id,),
            raw=tuple(RawPrediction(self.version_id, numbers[name], score) for name, score in scores.items()),
            ratings=(VersionRating(self.version_id, "general"),),
        )

    def resolution(self, scores: dict[str, int]) -> Resolution:
        """What the rules would make of the scores: known names proposed, the others unmapped."""
        numbers = {label.name: label.index for label in LABELS}
        proposals = []
        unmapped = []
        for name, score in scores.items():
            index = numbers[name]
            if index not in TITLES:
                unmapped.append(UnmappedTag("danbooru", name, score))
                continue
            evidence = Evidence(self.version_id, index, name, self.mapping_ids[name], score)
            proposals.append(
                ProposedSuggestion(
                    tag_id=self.tags[TITLES[index]].id,
                    score=score,
                    confidence=score,
                    model_source="danbooru",
                    model_version_id=self.version_id,
                    evidence=(evidence,),
                )
            )
        return Resolution(tuple(proposals), tuple(unmapped), (VersionRating(self.version_id, "general"),))

    async def persist(self, claimed: ClaimedImage, scores: dict[str, int]) -> bool:
        """Store an analysis with these scores."""
        return await self.store.write(
            lambda tx: suggestions.persist(tx, claimed, self.analysis(scores), self.resolution(scores))
        )

    async def analyse(
        self, image_id: int, scores: dict[str, int], *, explicit: bool = False, asked_by: User | None = None
    ) -> None:
        """Queue the image if need be, claim it and store an analysis."""
        who = None if asked_by is None else asked_by.id
        await self.store.write(
            lambda tx: images.requeue(
                tx, image_id, explicit=explicit, priority=Priority.BACKFILL, asked_by=who
            )
        )
        assert await self.persist(await self.claim(image_id), scores)

    async def suggested(self, scores: dict[str, int], uploader: User | None = None) -> int:
        """Register and analyse an image; returns its id."""
        image_id = await self.register(uploader)
        await self.analyse(image_id, scores)
        return image_id

    async def rows(self, image_id: int) -> dict[str, SuggestionView]:
        """All suggestions of an image by the title of their tag."""
        views = await self.store.read(lambda tx: suggestions.for_image(tx, image_id, tuple(SuggestionStatus)))
        return {view.tag.title: view for view in views}

    async def statuses(self, image_id: int) -> dict[str, str]:
        """The state of each suggestion by title."""
        return {title: str(view.status) for title, view in (await self.rows(image_id)).items()}

    async def linked(self, image_id: int) -> set[str]:
        """Titles of the tags linked to an image."""
        return {tag.title for tag in await self.store.read(lambda tx: tags.applied(tx, image_id))}

    async def assert_counters_equal_recount(self) -> None:
        """The counters say what the rows say."""
        assert await self.store.read(counters.load) == await self.store.read(counters.recount)
