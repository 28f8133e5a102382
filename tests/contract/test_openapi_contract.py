"""The running API against its own OpenAPI document: generated requests, right and wrong, as every role."""

from collections.abc import Sequence

import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from installation import FUZZED, MAX_IMAGE_BYTES, Installation, portrait
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import negative_data_rejection

from orchestrator.api.openapi import document
from orchestrator.api.operations import MULTIPART
from orchestrator.api.table import PICTURE_TYPES, operations
from orchestrator.records import Role

CONFIG = SchemathesisConfig.from_dict(
    {
        "seed": 20_260_105,
        "generation": {
            "deterministic": True,
            "database": "none",
            "max-examples": 5,
            "no-shrink": True,  # a failure is reported as it was found; time stays bounded
            "mode": "all",
        },
        "phases": {"stateful": {"enabled": False}},
        # A string that fits its schema need be no URL, and bytes no picture: those are refused with 422.
        "checks": {"positive_data_acceptance": {"enabled": False}},
    }
)

PICTURE = portrait(20_260_105)
BODIES = st.sampled_from(
    [PICTURE, PICTURE[: len(PICTURE) // 2], b"GIF89a", b"no picture", b"", b"\0" * (MAX_IMAGE_BYTES + 1)]
)

schemathesis.openapi.media_type("image/jpeg", BODIES, aliases=[*PICTURE_TYPES, "application/octet-stream"])
schema = schemathesis.openapi.from_dict(document(operations()), config=CONFIG)


def is_right(case: schemathesis.Case, part: ParameterLocation) -> bool:
    """Whether this part of the request was generated to fit its schema."""
    assert case.meta is not None
    found = case.meta.components.get(part)
    return found is not None and found.mode is schemathesis.GenerationMode.POSITIVE


def shows_picture(case: schemathesis.Case) -> bool:
    """Put a picture into every other right form: generated text never is one. Returns whether it has one."""
    if case.media_type != MULTIPART or not isinstance(case.body, dict):
        return False
    if is_right(case, ParameterLocation.BODY) and len(str(case.body["file"])) % 2 == 0:
        case.body["file"] = PICTURE
    return case.body.get("file") == PICTURE


def aim(case: schemathesis.Case, served: Installation) -> None:
    """Point right ids at rows that exist, or nearly do: generated ones would hardly ever hit. Wrong parts
    stay as they are, and so does what has been aimed before: callers share their cases."""
    aim_at_model(case)
    aim_at_mapping(case)
    aim_at_tag(case, served)
    known = sorted(served.suggestions)
    if case.operation.definition.raw["operationId"] == "reviewAcrossImages":
        if is_right(case, ParameterLocation.BODY):
            aim_decisions(case, [row for rows in served.suggestions.values() for row in rows])
        return
    if not is_right(case, ParameterLocation.PATH) or "image_id" not in case.path_parameters:
        return
    targets = [*known, known[-1] + 999_999]
    image_id = int(case.path_parameters["image_id"])
    if image_id not in targets:
        image_id = targets[image_id % len(targets)]
    case.path_parameters["image_id"] = image_id
    if is_right(case, ParameterLocation.BODY) and "decisions" in case.body:
        aim_decisions(case, served.suggestions.get(image_id, ()))


def aim_decisions(case: schemathesis.Case, rows: Sequence[int]) -> None:
    """Point right decisions at these suggestions, at the version that they have or had."""
    for decision, row in zip(case.body["decisions"], rows, strict=False):
        decision["suggestion_id"] = row
        decision["version"] = 1 if decision["version"] % 2 else 2


def aim_at_tag(case: schemathesis.Case, served: Installation) -> None:
    """Point what is right and names a tag at one with pending suggestions."""
    if is_right(case, ParameterLocation.QUERY) and "tag_id" in case.query:
        case.query["tag_id"] = served.fuzzed_tag_id
    if is_right(case, ParameterLocation.BODY) and isinstance(case.body, dict) and "tag_id" in case.body:
        case.body["tag_id"] = served.fuzzed_tag_id
    if is_right(case, ParameterLocation.PATH) and int(case.path_parameters.get("tag_id", 0)) % 2:
        case.path_parameters["tag_id"] = served.fuzzed_tag_id
    if is_right(case, ParameterLocation.BODY) and isinstance(case.body, dict) and case.body.get("tag_ids"):
        case.body["tag_ids"] = [served.fuzzed_tag_id]


def aim_at_mapping(case: schemathesis.Case) -> None:
    """Point right ids of mappings at none: other tests need those that are there."""
    if is_right(case, ParameterLocation.PATH) and "mapping_id" in case.path_parameters:
        case.path_parameters["mapping_id"] = 999_999_999


def aim_at_model(case: schemathesis.Case) -> None:
    """Point half of the right addresses of model versions at one that may be put out of use or removed."""
    if is_right(case, ParameterLocation.PATH) and "version" in case.path_parameters:
        name, version = FUZZED if int(case.path_parameters["version"]) % 2 else ("nobody", 2)
        if case.method == "GET":
            name, version = "wd14", 1
        case.path_parameters.update(name=name, version=version)


@pytest.mark.parametrize("caller", [*(str(role) for role in Role), None], ids=lambda who: who or "nobody")
@schema.parametrize()
def test_every_answer_is_as_documented(
    case: schemathesis.Case, served: Installation, caller: str | None
) -> None:
    """Given any request, well-formed or not, when anybody sends it, then the answer is one that the document
    announces: its status, media type, headers and body."""
    aim(case, served)
    # To schemathesis the bytes of a picture are no text, so a form that takes them looks like a lapse.
    excluded = [negative_data_rejection] if shows_picture(case) else None
    headers = served.headers(caller)
    with requests.Session() as session:
        case.call_and_validate(served.address, session, headers, excluded_checks=excluded)
