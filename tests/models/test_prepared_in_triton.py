"""Prepared versions that differ in labels, family and embedding serve under one configuration."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from artefacts import LOGITS, WD14, Artefact, after, artefact, by_hand, constant
from onnx import ModelProto
from services import RunningTriton
from small_nets import SIDE, Contract
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from orchestrator.registry.check import prepare_folder
from orchestrator.registry.config import CONFIG_NAME, render_config
from orchestrator.registry.manifest import read_manifest_file

PICTURES = np.random.default_rng(17).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)


def three_labels(model: ModelProto) -> None:
    constant(model, "columns", np.array([0, 1, 4], np.int64))
    after("Gather", "columns", axis=1)(model)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3


def fewer(made: Artefact) -> None:
    """Leave two of the labels out: of the graph, of the file, of what is expected."""
    made.with_model(three_labels)
    head, *rows = made.labels_path.read_text().splitlines()
    made.with_labels("\n".join([head, rows[0], rows[1], rows[4]]) + "\n")

    def change(content: dict) -> None:
        content["labels"]["count"] = 3
        scores = content["golden"][0]["scores"]
        content["golden"][0]["scores"] = {name: scores[name] for name in ("general", "smile", "someone")}

    made.say(change)


VERSIONS = {
    "five labels": (WD14, lambda made: None),
    "three labels": (WD14, fewer),
    "another family": (LOGITS, lambda made: None),
    "an embedding": (WD14, lambda made: made.say(lambda c: c["output"].update(embedding="flat"))),
}
SINGLE = replace(WD14, batch=1, flatten="Reshape")


def publish(repository: Path, root: Path, name: str, number: int, contract: Contract, spoil) -> Artefact:
    """Prepare a version, put it into a repository under `name`, and return it as it was."""
    made = artefact(root / f"{name}{number}", contract)
    spoil(made)
    report = prepare_folder(made.folder)
    assert report.passed, report.to_json()
    (repository / name).mkdir(parents=True, exist_ok=True)
    manifest = read_manifest_file(made.folder).renamed(name, number)
    (repository / name / CONFIG_NAME).write_text(render_config(manifest) + "version_policy { all {} }\n")
    made.folder.rename(repository / name / str(number))
    return replace(made, folder=repository / name / str(number))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Artefact]]:
    root = tmp_path_factory.mktemp("versions")
    repository = root / "repository"
    versions = {
        title: publish(repository, root, "versions", number, *recipe)
        for number, (title, recipe) in enumerate(VERSIONS.items(), start=1)
    }
    versions["single"] = publish(repository, root, "single", 1, SINGLE, lambda made: None)
    return repository, versions


@pytest.fixture(scope="module")
def triton(made: tuple[Path, dict[str, Artefact]], triton_serving) -> RunningTriton:
    repository, _ = made
    return triton_serving(repository, "prepared")


def pictures(count: int) -> InferInput:
    given = InferInput("image", [count, SIDE, SIDE, 3], "UINT8")
    given.set_data_from_numpy(PICTURES[:count])
    return given


def test_versions_with_other_labels_and_families_share_a_configuration(made, triton: RunningTriton) -> None:
    # Given versions of one model that differ in all that may differ
    _, versions = made
    with InferenceServerClient(triton.url) as client:
        key = {"triton-grpc-protocol-admin-key": triton.admin_key}
        # When Triton loads them together
        client.load_model("versions", headers=key)
        # Then each answers a batch as its original does by hand
        for number, title in enumerate(VERSIONS, start=1):
            answer = client.infer("versions", [pictures(3)], model_version=str(number)).as_numpy("scores")
            version = versions[title]
            expected = [by_hand(version.model_path, version.contract, picture) for picture in PICTURES]
            assert answer.shape == np.shape(expected)
            assert np.abs(answer - expected).max() <= 1e-4


def test_a_version_that_bears_no_batches_serves_single_pictures(made, triton: RunningTriton) -> None:
    # Given a version whose batch is fixed inside
    _, versions = made
    with InferenceServerClient(triton.url) as client:
        client.load_model("single", headers={"triton-grpc-protocol-admin-key": triton.admin_key})
        # When one picture is asked about, then the answer is the original's
        answer = client.infer("single", [pictures(1)]).as_numpy("scores")
        assert np.abs(answer[0] - by_hand(versions["single"].model_path, SINGLE, PICTURES[0])).max() <= 1e-4
        # When several are, then Triton itself refuses
        with pytest.raises(InferenceServerException, match="batch-size must be <= 1"):
            client.infer("single", [pictures(3)])
