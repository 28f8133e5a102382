"""`tagdesk models compare`, as an engineer at a terminal meets it."""

import json

import pytest
from terminal import tagdesk, with_store

from orchestrator.records import (
    Geometry,
    Label,
    LabelCategory,
    MappingAction,
    TagType,
    VersionState,
    Vocabulary,
)
from orchestrator.settings import Settings
from orchestrator.store import mappings, models, tags
from orchestrator.store.transaction import Transaction
from orchestrator.store.unit_of_work import Store


@pytest.fixture
def two_versions(installation: Settings) -> Settings:
    """An installation with an image on which version 1 says [odd] and version 2 says smile."""
    with_store(installation, _two_versions)
    return installation


async def _two_versions(store: Store) -> None:
    labels = (Label(0, "grinning", LabelCategory.GENERAL), Label(1, "odd", LabelCategory.GENERAL))

    async def work(tx: Transaction) -> None:
        new = [tags.NewTag("grinning", TagType.THEME, 77_001), tags.NewTag("[odd]", TagType.THEME, 77_002)]
        made = await tags.upsert_many(tx, new)
        await mappings.upsert_many(
            tx,
            [
                mappings.NewMapping("danbooru", label.name, MappingAction.MAP, tag.id)
                for label, tag in zip(labels, made, strict=True)
            ],
            actor_id=None,
        )
        ids = [
            await models.insert_version(
                tx,
                models.NewVersion(
                    name="small",
                    version=number,
                    source="danbooru",
                    vocabulary=Vocabulary.DANBOORU,
                    priority=10,
                    sha256=f"{number:064x}",
                    geometry=Geometry(),
                    labels=labels,
                    general_floor=None,
                    board_floor=None,
                    label_floors={},
                    manifest="{}",
                ),
                state=state,
            )
            for number, state in ((1, VersionState.ACTIVE), (2, VersionState.STAGED))
        ]
        user = await tx.insert("users", name="somebody", role="uploader")
        image = await tx.insert(
            "images",
            source_kind="url",
            source_location="https://board.example/1.png",
            uploader_id=user,
            state="done",
            priority="live",
            has_alpha=False,
        )
        await tx.insert_many("analyses", ("image_id", "model_version_id"), [(image, one) for one in ids])
        await tx.insert_many(
            "raw_predictions",
            ("image_id", "model_version_id", "label", "score"),
            [(image, ids[0], 1, 8000), (image, ids[1], 0, 9000)],
        )
        await tx.insert_many("tag_links", ("image_id", "tag_id", "origin"), [(image, made[0].id, "board")])

    await store.write(work)


def test_two_versions_side_by_side(two_versions: Settings) -> None:
    shown = tagdesk("models", "compare", "small", "1", "2")
    assert shown.exit_code == 0, shown.output
    assert "on 1 images" in shown.output
    assert "0.0% of all suggestions are both's" in shown.output
    assert "grinning 0.90 ✓" in shown.output
    assert "[odd] 0.80" in shown.output
    # And as JSON, all of it
    answer = tagdesk("models", "compare", "small", "1", "2", "--images", "5", "--json")
    found = json.loads(answer.stdout)
    assert (found["images"], found["quality"]["judged"]) == (1, 1)
    assert found["quality"]["n"]["recall"] == {"value": 1.0, "low": None, "high": None}
    assert found["queue"] == {"added": 0, "dropped": 1}
    assert [tag["tag"]["title"] for tag in found["tags"]] == ["grinning", "[odd]"]


def test_what_cannot_be_compared_is_said(two_versions: Settings) -> None:
    # Given a version that there is not, and one that has looked at nothing
    answer = tagdesk("models", "compare", "small", "1", "7")
    assert answer.exit_code == 1
    assert "no version 7 of small" in str(answer.exception)

    async def forget(store: Store) -> None:
        await store.write(lambda tx: tx.execute("DELETE FROM analyses"))

    with_store(two_versions, forget)
    assert "no image has stored scores of both" in tagdesk("models", "compare", "small", "1", "2").output
