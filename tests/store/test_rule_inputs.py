"""What the rules rest on: mappings, versions, thresholds, and the stamp that tells of changes."""

from dataclasses import replace

import pytest
from small_board import LABELS, SmallBoard, version

from orchestrator.errors import Conflict, InvalidInput, NotFound
from orchestrator.records import LabelCategory, MappingAction, TagMapping, VersionState
from orchestrator.store import floors, mappings, models, rules, tags, thresholds
from orchestrator.store.mappings import NewMapping
from orchestrator.store.transaction import DuplicateKey

pytestmark = pytest.mark.anyio


async def stamp(board: SmallBoard) -> int:
    return await board.store.read(rules.version)


def find(rows: tuple[TagMapping, ...], name: str) -> TagMapping:
    return next(row for row in rows if row.external_tag == name)


async def test_mappings_are_changed_in_place_and_only_when_they_differ(board: SmallBoard) -> None:
    smile = board.tags["smile"].id
    rows = [
        NewMapping("danbooru", "smile", MappingAction.MAP, smile, weight=9000),
        NewMapping("danbooru", "1girl", MappingAction.IGNORE, None),
        NewMapping("danbooru", "blue_eyes", MappingAction.MAP, board.tags["blue eyes"].id),
    ]

    assert await board.store.write(lambda tx: mappings.upsert_many(tx, rows, actor_id=board.engineer.id)) == 2
    assert await board.store.write(lambda tx: mappings.upsert_many(tx, rows, actor_id=board.engineer.id)) == 0

    known = await board.store.read(mappings.load_all)
    assert find(known, "smile") == TagMapping(
        board.mapping_ids["smile"], "danbooru", "smile", MappingAction.MAP, smile, 9000
    )
    assert find(known, "1girl").tag_id is None


async def test_external_names_that_differ_in_case_are_mapped_apart(board: SmallBoard) -> None:
    rows = [
        NewMapping("danbooru", ":d", MappingAction.MAP, board.tags["smile"].id),
        NewMapping("danbooru", ":D", MappingAction.IGNORE, None),
    ]

    assert await board.store.write(lambda tx: mappings.upsert_many(tx, rows, actor_id=None)) == 2


@pytest.mark.parametrize(
    "row",
    [
        NewMapping("danbooru", "a", MappingAction.MAP, None),
        NewMapping("danbooru", "a", MappingAction.IGNORE, 1),
        NewMapping("danbooru", "a", MappingAction.MAP, 1, weight=10_001),
        NewMapping("danbooru", "a", MappingAction.MAP, 404),
    ],
)
async def test_mappings_that_make_no_sense_are_refused(board: SmallBoard, row: NewMapping) -> None:
    with pytest.raises(InvalidInput):
        await board.store.write(lambda tx: mappings.upsert_many(tx, [row], actor_id=None))


async def test_mappings_are_listed_by_page_and_can_be_removed(board: SmallBoard) -> None:
    first = await board.store.read(lambda tx: mappings.list_mappings(tx, limit=3))
    rest = await board.store.read(lambda tx: mappings.list_mappings(tx, after_id=first[-1].id))

    assert (*first, *rest) == await board.store.read(mappings.load_all)
    assert await board.store.read(lambda tx: mappings.list_mappings(tx, source="other")) == ()
    assert await board.store.write(lambda tx: mappings.delete_many(tx, [("danbooru", "smile")])) == 1
    assert await board.store.write(lambda tx: mappings.delete_many(tx, [("danbooru", "smile")])) == 0


async def test_plan_inputs_are_everything_at_its_stamp(board: SmallBoard) -> None:
    inputs = await board.store.read(lambda tx: rules.plan_inputs(tx, board.settings))

    assert inputs.version == await stamp(board)
    assert {tag.title: tag for tag in inputs.tags} == board.tags
    assert len(inputs.mappings) == 5
    (model,) = inputs.models
    assert (model.name, model.version, model.labels) == ("wd14", 1, LABELS)
    assert (model.geometry.size, model.geometry.pad_colour, model.geometry.filter) == (
        448,
        (255, 254, 1),
        "bicubic",
    )


async def test_every_kind_of_change_moves_the_stamp(board: SmallBoard) -> None:
    changes = (
        lambda tx: tags.create(tx, title="new", type=board.tags["smile"].type),
        lambda tx: tags.set_alias(tx, board.tags["grin"].id, None),
        lambda tx: mappings.delete_many(tx, [("danbooru", "smile")]),
        lambda tx: models.insert_version(tx, version(number=2), state=VersionState.STAGED),
        lambda tx: thresholds.set_score(tx, board.version_id, LabelCategory.GENERAL, 5000, actor_id=None),
    )
    seen = [await stamp(board)]

    for change in changes:
        await board.store.write(change)
        seen.append(await stamp(board))

    assert seen == sorted(set(seen))


async def test_floors_come_from_the_settings_until_someone_says_otherwise(board: SmallBoard) -> None:
    board.settings = board.settings.model_copy(update={"min_confidence_danbooru": 0.4})
    model = await board.store.read(lambda tx: models.get(tx, board.settings, board.version_id))

    assert (model.thresholds.general, model.thresholds.character, model.thresholds.board) == (
        4000,
        None,
        6000,
    )


async def test_a_versions_own_advice_stands_above_the_settings(board: SmallBoard) -> None:
    advised = replace(version(number=2), general_floor=3700, board_floor=5500, label_floors={4: 4200})
    version_id = await board.store.write(
        lambda tx: models.insert_version(tx, advised, state=VersionState.STAGED)
    )

    model = await board.store.read(lambda tx: models.get(tx, board.settings, version_id))

    assert (model.thresholds.general, model.thresholds.board) == (3700, 5500)
    assert model.thresholds.by_label == {4: 4200}

    # And a category's row in the database stands above all the version's advice for it
    await board.store.write(
        lambda tx: thresholds.set_score(tx, version_id, LabelCategory.GENERAL, 6000, actor_id=None)
    )
    model = await board.store.read(lambda tx: models.get(tx, board.settings, version_id))
    assert (model.thresholds.general, model.thresholds.by_label) == (6000, {})


async def test_people_switch_characters_on_and_labels_off(board: SmallBoard) -> None:
    async def change(category: LabelCategory, score: int | None, label: int | None = None) -> None:
        await board.store.write(
            lambda tx: thresholds.set_score(
                tx, board.version_id, category, score, label=label, actor_id=board.engineer.id
            )
        )

    await change(LabelCategory.CHARACTER, 8500)
    await change(LabelCategory.GENERAL, 5000)
    await change(LabelCategory.GENERAL, 4500)
    await change(LabelCategory.GENERAL, None, label=4)
    await change(LabelCategory.GENERAL, 7000, label=5)

    model = await board.store.read(lambda tx: models.get(tx, board.settings, board.version_id))

    assert (model.thresholds.general, model.thresholds.character) == (4500, 8500)
    assert model.thresholds.by_label == {4: floors.NEVER, 5: 7000}


async def test_a_threshold_outside_its_range_or_of_no_version_is_refused(board: SmallBoard) -> None:
    for version_id, score in ((board.version_id, 10_001), (404, 5000)):
        with pytest.raises(InvalidInput):
            await board.store.write(
                lambda tx, version_id=version_id, score=score: thresholds.set_score(
                    tx, version_id, LabelCategory.GENERAL, score, actor_id=None
                )
            )


async def test_one_version_of_a_name_is_active(board: SmallBoard) -> None:
    second = await board.store.write(
        lambda tx: models.insert_version(tx, version(number=2), state=VersionState.STAGED)
    )

    await board.store.write(lambda tx: models.set_active(tx, second))

    (active,) = await board.store.read(lambda tx: models.active(tx, board.settings))
    states = [(row.version, row.state) for row in await board.store.read(models.list_versions)]
    assert active.id == second
    assert states == [(2, VersionState.ACTIVE), (1, VersionState.RETIRED)]


async def test_the_server_itself_refuses_a_second_active_version(board: SmallBoard) -> None:
    await board.store.write(
        lambda tx: models.insert_version(tx, version(number=2), state=VersionState.STAGED)
    )

    with pytest.raises(DuplicateKey, match="model_versions_active"):
        await board.store.write(lambda tx: tx.execute("UPDATE model_versions SET state = 'active'"))


async def test_models_come_in_the_order_in_which_they_decide(board: SmallBoard) -> None:
    await board.store.write(
        lambda tx: models.insert_version(tx, version("custom_theme", priority=0), state=VersionState.ACTIVE)
    )

    active = await board.store.read(lambda tx: models.active(tx, board.settings))

    assert [model.name for model in active] == ["custom_theme", "wd14"]


async def test_a_version_is_registered_once_and_unknown_ones_are_not_found(board: SmallBoard) -> None:
    with pytest.raises(Conflict):
        await board.store.write(lambda tx: models.insert_version(tx, version(), state=VersionState.STAGED))
    with pytest.raises(NotFound):
        await board.store.write(lambda tx: models.set_active(tx, 404))
    with pytest.raises(NotFound):
        await board.store.read(lambda tx: models.get(tx, board.settings, 404))
