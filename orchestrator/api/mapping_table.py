"""The operations on mappings."""

from collections.abc import Mapping

from orchestrator.accounts import Action
from orchestrator.api import mappings
from orchestrator.api.operations import Answer, Operation
from orchestrator.wire.mappings import (
    CoverageQuery,
    MappingAnswer,
    MappingChangePage,
    MappingChangesQuery,
    MappingCoverage,
    MappingFindings,
    MappingImport,
    MappingImportAnswer,
    MappingPage,
    MappingProposals,
    MappingsQuery,
    ProposalsQuery,
)

_GROUP = "Mappings"
_NAME = {"source": "danbooru", "external_tag": "blue_eyes"}
_ROW = {**_NAME, "action": "map", "title": "blue eyes", "type": "theme", "weight": 1.0}
_TARGET = {"action": "map", "tag_id": 7, "title": "blue eyes", "weight": 1.0}
_CHANGE = {
    "id": 31,
    "at": "2026-01-05T10:02:00.000Z",
    "actor": "eri",
    **_NAME,
    "before": None,
    "after": _TARGET,
}
_FINDING = {
    **_NAME,
    "fault": "tag_is_alias",
    "detail": "'azure eyes' is an alias of 'blue eyes': name that instead",
}
_UNMAPPED = {
    "source": "danbooru",
    "external_tag": "holding",
    "category": "general",
    "above": 512,
    "raw": 1900,
}


def mapping_operations(prefix: str, *, tag: Mapping[str, object]) -> tuple[Operation, ...]:
    """Return the operations, below `prefix`. `tag`: an example of one."""
    return (*_changing(prefix, tag), *_guiding(prefix, tag))


def _changing(prefix: str, tag: Mapping[str, object]) -> tuple[Operation, ...]:
    path = f"{prefix}/mappings"
    mapping = {"id": 4, **_NAME, "action": "map", "tag": tag, "weight": 1.0}
    imported = {"new": ["blue_eyes"], "existing": [], "conflicting": [], "unknown": [], "written": 1}
    return (
        Operation(
            method="GET",
            path=path,
            name="listMappings",
            group=_GROUP,
            summary="List the mappings",
            handler=mappings.list_mappings,
            action=Action.EDIT_MAPPINGS,
            query=MappingsQuery,
            answers={200: Answer("A page", MappingPage, example={"items": [mapping], "next_cursor": None})},
        ),
        Operation(
            method="POST",
            path=path,
            name="importMappings",
            group=_GROUP,
            summary="Make mappings, all of them or none",
            description=(
                "Without `apply` nothing changes and the answer says what would. Mappings that exist are "
                "kept unless `replace`. With `apply`, an unknown title is 422 and nothing is written. Doing "
                "so again changes nothing."
            ),
            handler=mappings.import_mappings,
            action=Action.EDIT_MAPPINGS,
            body=MappingImport,
            body_example={"rows": [_ROW], "apply": True},
            answers={200: Answer("What it changes", MappingImportAnswer, example=imported)},
        ),
        Operation(
            method="DELETE",
            path=f"{path}/{{mapping_id}}",
            name="removeMapping",
            group=_GROUP,
            summary="Remove a mapping",
            handler=mappings.remove_mapping,
            action=Action.EDIT_MAPPINGS,
            answers={200: Answer("The mapping that was there", MappingAnswer, example=mapping)},
        ),
        Operation(
            method="GET",
            path=f"{prefix}/mapping-changes",
            name="listMappingChanges",
            group=_GROUP,
            summary="Say who changed which mapping when",
            handler=mappings.list_changes,
            action=Action.EDIT_MAPPINGS,
            query=MappingChangesQuery,
            answers={
                200: Answer(
                    "A page, the newest first",
                    MappingChangePage,
                    example={"items": [_CHANGE], "next_cursor": None},
                )
            },
        ),
    )


def _guiding(prefix: str, tag: Mapping[str, object]) -> tuple[Operation, ...]:
    proposed = {
        **_NAME,
        "category": "general",
        "proposals": [{"tag": tag, "score": 0.99, "reasons": ["underscores"]}],
    }
    share = {"mapped": 300, "ignored": 3, "unmapped": 700}
    return (
        Operation(
            method="GET",
            path=f"{prefix}/mapping-findings",
            name="validateMappings",
            group=_GROUP,
            summary="Say which mappings need a person",
            description=(
                "`unknown_name`: no active version says it. `tag_gone`, `tag_is_alias`: of the tag that it "
                "leads to. `contradiction`: the same name, or another spelling of it, leads elsewhere."
            ),
            handler=mappings.validate_mappings,
            action=Action.EDIT_MAPPINGS,
            answers={
                200: Answer(
                    "All findings", MappingFindings, example={"items": [_FINDING], "next_cursor": None}
                )
            },
        ),
        Operation(
            method="GET",
            path=f"{prefix}/mapping-proposals",
            name="suggestMappings",
            group=_GROUP,
            summary="Propose tags for names without a mapping",
            description="For a person to decide on. Takes seconds on a large board.",
            handler=mappings.suggest_mappings,
            action=Action.EDIT_MAPPINGS,
            query=ProposalsQuery,
            answers={
                200: Answer(
                    "The best proposals",
                    MappingProposals,
                    example={"items": [proposed], "next_cursor": None, "unmapped": 1200},
                )
            },
        ),
        Operation(
            method="GET",
            path=f"{prefix}/mapping-coverage",
            name="showCoverage",
            group=_GROUP,
            summary="Say how much of what the models say is mapped",
            description=(
                "And what mapping the rest would bring, the most first. Sums up every stored prediction: "
                "about a second for a million; 503 when it takes longer than 25."
            ),
            handler=mappings.show_coverage,
            action=Action.EDIT_MAPPINGS,
            query=CoverageQuery,
            answers={
                200: Answer(
                    "Coverage",
                    MappingCoverage,
                    example={"names": share, "raw": share, "above": share, "unmapped": [_UNMAPPED]},
                )
            },
        ),
    )
