"""Sound artefacts pass and are prepared; what an engineer should know of them is said."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import psutil
import pytest
from artefacts import LOGITS, WD14, after, artefact, by_hand, endless, snapshot
from onnx import helper
from PIL import Image
from small_nets import LABELS, SIDE, Contract
from versions import REPOSITORY, SHIPPED

from orchestrator.registry.check import CheckReport, Severity, check_file, check_folder, prepare_folder
from orchestrator.registry.codes import REMEDIES, CheckCode
from orchestrator.registry.golden import load_tensor
from orchestrator.registry.manifest import Manifest, check_files, file_sha256, read_manifest_file


def warned(report: CheckReport) -> list[str]:
    return [finding.code for finding in report.warnings]


def served(folder: Path) -> ort.InferenceSession:
    return ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])


def golden_tensor(folder: Path, manifest: Manifest) -> np.ndarray:
    return load_tensor(folder, manifest.golden[0])


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_versions_pass(name: str) -> None:
    # Given a shipped version, when it is checked
    report = check_folder(REPOSITORY / name / "1")
    # Then nothing is found fault with, and its prepared graph is the one that preparing gives
    assert report.passed
    assert [finding.severity for finding in report.findings] == [Severity.OK] * len(report.findings)
    assert "served" in [finding.code for finding in report.findings]
    # And the facts are known
    facts = report.facts
    assert facts.labels in (12, 59)
    assert facts.batched
    assert facts.largest_difference is not None
    assert facts.largest_difference <= 1e-4
    assert facts.milliseconds_per_image is not None
    assert facts.milliseconds_per_image > 0


@pytest.mark.parametrize("contract", [WD14, LOGITS], ids=["wd14", "imagenet"])
def test_checking_changes_nothing_and_preparing_completes_the_folder(
    contract: Contract, tmp_path: Path
) -> None:
    # Given a sound version that is not prepared
    made = artefact(tmp_path, contract)
    before = snapshot(made.folder)
    # When it is checked, then it passes and is as it was
    assert check_folder(made.folder).passed
    assert snapshot(made.folder) == before
    # When it is prepared
    assert prepare_folder(made.folder).passed
    # Then graph and manifest have changed, and nothing else, and the manifest vouches for everything
    assert snapshot(made.folder).keys() - before.keys() == {"model.onnx"}
    manifest = read_manifest_file(made.folder)
    check_files(made.folder, manifest)
    # And what is served gives what the original gives by hand
    tensor = golden_tensor(made.folder, manifest)
    scores = served(made.folder).run(["scores"], {"image": tensor[None]})[0]
    assert np.abs(scores[0] - by_hand(made.model_path, contract, tensor)).max() <= 1e-4
    # And preparing again gives the same
    prepared = snapshot(made.folder)
    assert prepare_folder(made.folder).passed
    assert snapshot(made.folder) == prepared


def test_an_original_that_has_the_served_graphs_name_makes_room_for_it(tmp_path: Path) -> None:
    # Given a version as families publish it: the original is called model.onnx
    made = artefact(tmp_path)
    original = made.model_path.read_bytes()
    made.model_path.rename(made.folder / "model.onnx")
    made.say(lambda content: content["model"].update(file="model.onnx"))
    # When it is prepared
    assert prepare_folder(made.folder).passed
    # Then the original has another name, in the manifest too
    manifest = read_manifest_file(made.folder)
    assert (made.folder / "original.onnx").read_bytes() == original
    assert (manifest.model.file, manifest.prepared.file) == ("original.onnx", "model.onnx")
    check_files(made.folder, manifest)


def test_a_file_that_has_the_originals_new_name_is_not_overwritten(tmp_path: Path) -> None:
    # Given a version whose original is to be renamed, and another file of that name
    made = artefact(tmp_path)
    (made.folder / "model.onnx").write_bytes(made.model_path.read_bytes())
    made.say(lambda content: content["model"].update(file="model.onnx"))
    before = snapshot(made.folder)
    # When it is prepared, then it is refused
    report = prepare_folder(made.folder)
    assert [finding.code for finding in report.failures] == ["name_taken"]
    assert snapshot(made.folder) == before


def test_external_data_is_read_and_put_into_the_prepared_graph(tmp_path: Path) -> None:
    # Given a version whose weights lie in a file of their own
    made = artefact(tmp_path)
    made.with_external_data("weights.bin")
    # When it is prepared
    assert prepare_folder(made.folder).passed
    # Then the served graph needs no other file
    (made.folder / "weights.bin").unlink()
    manifest = read_manifest_file(made.folder)
    tensor = golden_tensor(made.folder, manifest)
    scores = served(made.folder).run(["scores"], {"image": tensor[None]})[0][0]
    expected = list(manifest.golden[0].scores.values())
    assert np.abs(scores - expected).max() <= 1e-4


def test_a_named_embedding_is_a_second_output(tmp_path: Path) -> None:
    # Given a version whose manifest names the tensor before the last layer
    made = artefact(tmp_path)
    made.say(lambda content: content["output"].update(embedding="flat"))
    # When it is prepared
    assert prepare_folder(made.folder).passed
    # Then the served graph gives it beside the scores, a row a picture
    tensor = golden_tensor(made.folder, read_manifest_file(made.folder))
    scores, embedding = served(made.folder).run(
        ["scores", "embedding"], {"image": np.stack([tensor, tensor[::-1]])}
    )
    assert scores.shape == (2, LABELS)
    assert np.array_equal(embedding[0], tensor[..., ::-1].astype(np.float32).reshape(-1))
    assert embedding.shape == (2, SIDE * SIDE * 3)


def test_a_fixed_batch_is_opened_where_batches_are_proved_right(tmp_path: Path) -> None:
    # Given a graph that says its batch is 1, and does not depend on it
    made = artefact(tmp_path, replace(WD14, batch=1))
    # When it is prepared, then it is said, and batches are served
    report = prepare_folder(made.folder)
    assert report.passed
    assert warned(report) == ["batch_opened"]
    assert read_manifest_file(made.folder).batch.maximum == 16


def test_a_batch_fixed_inside_is_served_one_picture_at_a_time(tmp_path: Path) -> None:
    # Given a graph that reshapes everything to one row
    made = artefact(tmp_path, replace(WD14, batch=1, flatten="Reshape"))
    # When it is prepared, then it is said, and the manifest asks for single pictures
    report = prepare_folder(made.folder)
    assert report.passed
    assert warned(report) == ["batch_single"]
    batch = read_manifest_file(made.folder).batch
    assert (batch.maximum, batch.preferred) == (1, 1)


def test_pictures_that_touch_each_other_in_a_batch_are_served_one_by_one(tmp_path: Path) -> None:
    # Given a graph with an open batch that uses the mean of the batch, as in training
    made = artefact(tmp_path)

    def mix(model: onnx.ModelProto) -> None:
        model.graph.node.insert(0, helper.make_node("ReduceMean", ["input"], ["mean"], axes=[0], keepdims=1))
        model.graph.node.insert(1, helper.make_node("Sub", ["input", "mean"], ["centred"]))
        model.graph.node.insert(2, helper.make_node("Add", ["input", "centred"], ["mixed"]))
        model.graph.node[3].input[0] = "mixed"

    made.with_model(mix)
    # When it is prepared, then batches are not proved equal, and are given up
    report = prepare_folder(made.folder)
    assert report.passed
    assert warned(report) == ["batch_single"]


def test_a_labels_files_own_thresholds_come_into_the_manifest(tmp_path: Path) -> None:
    # Given a labels file with thresholds
    made = artefact(tmp_path)
    head, *rows = made.labels_path.read_text().splitlines()
    made.with_labels("\n".join([f"{head},best_threshold", *(f"{row},0.4" for row in rows)]) + "\n")
    # When it is prepared, then they are the version's
    assert prepare_folder(made.folder).passed
    thresholds = read_manifest_file(made.folder).thresholds.by_label
    assert thresholds == dict.fromkeys(["general", "smile", "hat", "cat", "someone"], 0.4)


def test_a_version_without_golden_pictures_is_warned_of(tmp_path: Path) -> None:
    # Given a version without any, when it is checked, then it passes with a warning
    made = artefact(tmp_path)
    made.say(lambda content: content.update(golden=[]))
    report = check_folder(made.folder)
    assert report.passed
    assert warned(report) == ["golden_absent"]


def test_golden_pictures_that_would_not_notice_swapped_channels_are_warned_of(tmp_path: Path) -> None:
    # Given a golden picture without colour
    made = artefact(tmp_path)
    grey = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
    for file in ("golden.png", "golden.tensor.png"):
        grey.save(made.folder / file)
    digest = file_sha256(made.folder / "golden.png")
    scores = [float(score) for score in by_hand(made.model_path, WD14, np.asarray(grey))]

    def change(content: dict) -> None:
        (golden,) = content["golden"]
        golden.update(sha256=digest, tensor={"file": "golden.tensor.png", "sha256": digest})
        golden["scores"] = dict(zip(golden["scores"], scores, strict=True))

    made.say(change)
    # When it is checked, then it is said that it proves little
    report = check_folder(made.folder)
    assert report.passed
    assert warned(report) == ["golden_blind"]


def test_golden_scores_may_be_those_of_a_few_labels_with_a_bound_for_the_others(tmp_path: Path) -> None:
    # Given a golden picture with two scores and a bound that the others keep
    made = artefact(tmp_path)
    ordered = sorted(made.manifest()["golden"][0]["scores"].items(), key=lambda entry: -entry[1])
    bound = ordered[2][1] + 0.001
    made.say(
        lambda content: content["golden"][0].update(scores=dict(ordered[:2]), others_at_most=round(bound, 4))
    )
    # When it is checked, then it passes
    assert check_folder(made.folder).passed
    # When the bound is below what another label scores, then that label is named
    made.say(lambda content: content["golden"][0].update(others_at_most=round(bound - 0.05, 4)))
    (failure,) = check_folder(made.folder).failures
    assert failure.code == "golden_mismatch"
    assert f"'{ordered[2][0]}' is off by" in failure.what


def test_competing_and_repeated_answers_are_warned_of(tmp_path: Path) -> None:
    # Given a graph with a softmax
    made = artefact(tmp_path / "softmax")
    made.with_model(after("Softmax", axis=1))
    made.say(lambda content: content.update(golden=[]))
    # When it is checked, then it is said
    assert "answers_compete" in warned(check_folder(made.folder))
    # Given a graph whose last two labels are the same column
    made = artefact(tmp_path / "repeated")

    def repeat(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(np.array([0, 1, 2, 3, 3], np.int64), "columns")
        )
        after("Gather", "columns", axis=1)(model)

    made.with_model(repeat)
    made.say(lambda content: content.update(golden=[]))
    # When it is checked, then it is said which
    report = check_folder(made.folder)
    assert "answers_repeated" in warned(report)
    assert any("number 4" in finding.what for finding in report.warnings)


def test_a_prepared_graph_that_is_another_is_refused(tmp_path: Path) -> None:
    # Given a prepared version whose served graph was replaced by one for the other channel order
    made = artefact(tmp_path / "a")
    assert prepare_folder(made.folder).passed
    other = artefact(tmp_path / "b", replace(WD14, channel_order="RGB"))
    assert prepare_folder(other.folder).passed
    (made.folder / "model.onnx").write_bytes((other.folder / "model.onnx").read_bytes())
    digest = file_sha256(made.folder / "model.onnx")
    made.say(lambda content: content["served"].update(sha256=digest))
    # When it is checked, then the difference is found, although every hash is right
    assert [finding.code for finding in check_folder(made.folder).failures] == ["preparation_differs"]
    # When it is prepared, then that graph does not count
    assert prepare_folder(made.folder).passed
    assert check_folder(made.folder).passed


def test_a_file_alone_is_looked_at(tmp_path: Path) -> None:
    # Given an ONNX file without a manifest
    made = artefact(tmp_path)
    # When it is checked, then what can be known is said, and what cannot
    report = check_file(made.model_path)
    assert report.passed
    assert warned(report) == ["manifest_missing"]
    assert report.facts.inputs == ("input FLOAT [batch, 32, 32, 3]",)
    assert report.facts.parameters == SIDE * SIDE * 3 * LABELS


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "model_empty"), (b"\x80\x04K\x01.", "model_is_pickle"), (b"\n\n", "model_unreadable")],
)
def test_a_wrong_file_alone_is_refused(content: bytes, code: str, tmp_path: Path) -> None:
    # Given bytes that are no graph, when they are checked, then it is said what they are
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    assert [finding.code for finding in check_file(path).failures] == [code]


@pytest.mark.parametrize("check", [check_file, check_folder, prepare_folder])
def test_a_path_that_is_none_is_a_finding(check, tmp_path: Path) -> None:
    # Given no file, when it is checked, then it is said
    assert [finding.code for finding in check(tmp_path / "none").failures] == ["artefact_missing"]


def test_a_check_that_dies_is_a_finding_with_what_it_was_doing(tmp_path: Path) -> None:
    # Given a check that runs: of a graph that never ends
    made = artefact(tmp_path)
    made.with_model(endless)
    me = psutil.Process()
    with ThreadPoolExecutor(1) as pool:
        checking = pool.submit(check_folder, made.folder)
        child = None
        while child is None and not checking.done():
            child = next((c for c in me.children() if "registry.check.child" in " ".join(c.cmdline())), None)
        assert child is not None
        # When its process has begun to compute, and dies as of a defect in a library
        while child.num_threads() == 1 or child.cpu_times().user < 1:
            assert not checking.done()
        child.send_signal(signal.SIGSEGV)
        report = checking.result(timeout=60)
    # Then that is the finding, and what was found before is not lost
    assert [finding.code for finding in report.failures] == ["check_crashed"]
    assert "SIGSEGV" in report.failures[0].what
    assert "files" in [finding.code for finding in report.findings]


def test_a_report_is_json_for_programs(tmp_path: Path) -> None:
    # Given a report, when it is written as JSON
    made = artefact(tmp_path)
    made.say(lambda content: content["input"].update(channel_order="RGB"))
    report = check_folder(made.folder)
    content = json.loads(report.to_json())
    # Then everything is in it, and it can be read back
    assert content["passed"] is False
    assert content["findings"][-1]["code"] == "golden_mismatch"
    assert content["findings"][-1]["remedy"] == REMEDIES["golden_mismatch"]
    assert CheckReport.model_validate_json(report.to_json()) == report


def test_every_code_says_how_to_mend_it() -> None:
    assert set(REMEDIES) == set(CheckCode)
    assert all(REMEDIES.values())
