"""How much is mapped, summed up over stored predictions; what to map next; suggestions from the store."""

import pytest
from small_board import LABELS, SmallBoard, version

from mapping_tools.coverage import Share, measure
from mapping_tools.suggesting import suggest
from orchestrator.records import LabelCategory, MappingAction, TagType, VersionState
from orchestrator.store import coverage, mappings, models, tags, thresholds
from orchestrator.store.mappings import NewMapping

pytestmark = pytest.mark.anyio


async def test_predictions_are_shared_out_and_the_unmapped_ranked(board: SmallBoard) -> None:
    # Given three analysed images, and a name that is ignored; general tags count from 0.35 on
    await board.store.write(
        lambda tx: mappings.upsert_many(
            tx, [NewMapping("danbooru", "smile", MappingAction.IGNORE, None)], actor_id=None
        )
    )
    await board.suggested({"hair": 9000, "smile": 8000, "unheard_of": 3500})
    await board.suggested({"hair": 3499, "unheard_of": 7000, "hakurei_reimu": 9900})
    await board.suggested({"long_hair": 5000, "hakurei_reimu": 9900})
    # When coverage is measured
    found = await measure(board.store, board.settings)
    # Then every stored prediction is somewhere, ratings left out; characters are off and so above nothing
    assert found.raw == Share(mapped=3, ignored=1, unmapped=4)
    assert found.above == Share(mapped=2, ignored=1, unmapped=2)
    assert found.names == Share(mapped=4, ignored=1, unmapped=2)
    assert [(name.external_tag, name.above, name.raw) for name in found.unmapped] == [
        ("unheard_of", 2, 2),
        ("hakurei_reimu", 0, 2),
    ]


async def test_thresholds_decide_what_mapping_a_name_would_bring(board: SmallBoard) -> None:
    # Given characters switched on at 0.85
    await board.suggested({"hakurei_reimu": 8500, "unheard_of": 3500})
    await board.suggested({"hakurei_reimu": 8499})
    await board.store.write(
        lambda tx: thresholds.set_score(tx, board.version_id, LabelCategory.CHARACTER, 8500, actor_id=None)
    )
    # When coverage is measured, Then a character counts from there on
    found = await measure(board.store, board.settings)
    assert {name.external_tag: name.above for name in found.unmapped} == {"hakurei_reimu": 1, "unheard_of": 1}


async def test_versions_that_are_not_active_do_not_count(board: SmallBoard) -> None:
    # Given predictions of a version that another has taken the place of
    await board.suggested({"unheard_of": 9000})
    newer = await board.store.write(
        lambda tx: models.insert_version(tx, version(number=2), state=VersionState.STAGED)
    )
    await board.store.write(lambda tx: models.set_active(tx, newer))
    # When coverage is measured, Then they are not there
    assert (await measure(board.store, board.settings)).raw == Share(0, 0, 0)


async def test_ranges_of_images_add_up(board: SmallBoard) -> None:
    # Given five images
    for score in (1000, 3500, 3600, 9000, 9000):
        await board.suggested({"hair": score})
    # When they are summed up two at a time
    heard: list[tuple[int, int]] = []
    sums = await coverage.sum_labels(
        board.store,
        [(board.version_id, [3500] * len(LABELS))],
        images_per_statement=2,
        progress=lambda done, of: heard.append((done, of)),
    )
    # Then nothing is lost or counted twice, and progress was told to the end
    assert [(one.label, one.raw, one.above) for one in sums] == [(1, 5, 4)]
    assert heard[-1][0] == heard[-1][1]


async def test_what_is_mapped_is_not_suggested_again(board: SmallBoard) -> None:
    # Given a board that has the character, whose name no mapping speaks of
    await board.store.write(
        lambda tx: tags.create(tx, title="Hakurei Reimu", type=TagType.CHARACTER, external_id=None)
    )
    # When tags are suggested
    found = await suggest(board.store, board.settings)
    # Then only the unmapped names of active versions are there, the best proposal first
    assert [(one.external.name, [p.tag.title for p in one.proposals]) for one in found] == [
        ("hakurei_reimu", ["Hakurei Reimu"]),
        ("unheard_of", []),
    ]
