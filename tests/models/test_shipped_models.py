"""The two models in the repository are what their manifests say, and betray every preparation mistake."""

import re

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from google.protobuf import text_format
from PIL import Image
from tritonclient.grpc import model_config_pb2
from versions import REPOSITORY, SHIPPED

from orchestrator.demo.portraits.vocabulary import CHARACTERS, LABELS, THEMES
from orchestrator.demo.training.mistakes import BAD_GEOMETRIES, BAD_INPUTS
from orchestrator.errors import ModelError
from orchestrator.records import Float32Tensor, Label, LabelCategory, Uint8Tensor, Vocabulary
from orchestrator.registry.golden import check_scores, check_tensor, load_picture, load_tensor
from orchestrator.registry.graph import prepare_graph
from orchestrator.registry.labels import read_labels
from orchestrator.registry.manifest import Manifest, check_files, read_manifest
from orchestrator.registry.reference import reference_input, reference_letterbox, sigmoid
from orchestrator.registry.verify import open_session, run_served, verify_graph

LARGEST_WEIGHTS = 4 * 1024 * 1024


class Shipped:
    """One shipped version with its sessions."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = REPOSITORY / name / "1"
        self.manifest: Manifest = read_manifest(self.folder)
        self.labels: tuple[Label, ...] = read_labels(self.folder, self.manifest)
        self.original_bytes = (self.folder / self.manifest.model.file).read_bytes()
        self.served_bytes = (self.folder / self.manifest.served.file).read_bytes()
        self.original: ort.InferenceSession = open_session(self.original_bytes)
        self.served: ort.InferenceSession = open_session(self.served_bytes)

    def ask(self, tensor: Uint8Tensor) -> Float32Tensor:
        return run_served(self.served, tensor[None])[0]

    def ask_original(self, values: Float32Tensor) -> Float32Tensor:
        answer: Float32Tensor = self.original.run(
            [self.manifest.output.name], {self.manifest.input.name: values}
        )[0]
        return answer


@pytest.fixture(scope="module", params=SHIPPED)
def shipped(request: pytest.FixtureRequest) -> Shipped:
    return Shipped(str(request.param))


@pytest.fixture(scope="module")
def wd14() -> Shipped:
    return Shipped("wd14")


def test_every_file_is_the_one_that_the_manifest_vouches_for(shipped: Shipped) -> None:
    # Given a shipped version, when its files are hashed, then none differs
    check_files(shipped.folder, shipped.manifest)


def test_weights_are_small_enough_to_be_committed(shipped: Shipped) -> None:
    # Given a shipped version, when its graphs are measured, then each is within 4 MiB
    assert len(shipped.original_bytes) <= LARGEST_WEIGHTS
    assert len(shipped.served_bytes) <= LARGEST_WEIGHTS


def test_graphs_carry_no_trace_of_the_machine_that_made_them(shipped: Shipped) -> None:
    # Given a shipped graph, when its bytes are searched, then no absolute path is in them
    for content in (shipped.original_bytes, shipped.served_bytes):
        assert re.search(rb"/(work|root|tmp|home|usr)/", content) is None


def test_the_prepared_graph_equals_the_original(shipped: Shipped) -> None:
    # Given golden tensors and generated pictures
    tensors = [load_tensor(shipped.folder, golden) for golden in shipped.manifest.golden]
    # When the served graph is compared with "reference preparation + original"
    equality = verify_graph(
        shipped.original_bytes,
        shipped.served_bytes,
        shipped.manifest.input,
        shipped.manifest.output,
        size=448,
        images=tensors,
    )
    # Then no probability differs by more than 1e-4
    assert equality.largest_difference <= 1e-4


def test_preparing_again_gives_the_shipped_graph(shipped: Shipped) -> None:
    # Given the original, when it is prepared again
    again = prepare_graph(
        onnx.load_from_string(shipped.original_bytes),
        shipped.manifest.input,
        shipped.manifest.output,
        size=448,
        labels=len(shipped.labels),
    )
    # Then it is the committed graph
    assert again == onnx.load_from_string(shipped.served_bytes)


def test_wd14_speaks_danbooru_in_its_familys_contract(wd14: Shipped) -> None:
    # Given the shipped wd14
    # Then input and output are WD14's
    (wants,) = wd14.original.get_inputs()
    (gives,) = wd14.original.get_outputs()
    assert (wants.name, wants.type, wants.shape[1:]) == ("input", "tensor(float)", [448, 448, 3])
    assert (gives.name, gives.type, gives.shape[1:]) == ("output", "tensor(float)", [len(LABELS)])
    assert isinstance(wants.shape[0], str)
    assert wd14.manifest.vocabulary is Vocabulary.DANBOORU
    # And labels are the drawn vocabulary, ratings first
    assert [label.name for label in wd14.labels] == list(LABELS)
    categories = [label.category for label in wd14.labels]
    assert categories[:2] == [LabelCategory.RATING] * 2
    assert categories.count(LabelCategory.CHARACTER) == len(CHARACTERS)


def test_custom_theme_speaks_the_boards_ids_in_another_contract() -> None:
    # Given the shipped custom_theme
    theme = Shipped("custom_theme")
    # Then input and output are of another family
    (wants,) = theme.original.get_inputs()
    (gives,) = theme.original.get_outputs()
    assert (wants.name, wants.type, wants.shape[1:]) == ("pixels", "tensor(float)", [3, 448, 448])
    assert (gives.name, gives.shape[1:]) == ("logits", [len(THEMES)])
    # And labels are board tags
    assert theme.manifest.vocabulary is Vocabulary.BOARD
    assert [label.name for label in theme.labels] == [str(external_id) for external_id in range(501, 513)]


def test_golden_pictures_give_their_known_answers(shipped: Shipped) -> None:
    # Given every golden picture: opaque and transparent, PNG and JPEG, tall and wide
    modes = {load_picture(shipped.folder, golden).mode for golden in shipped.manifest.golden}
    assert modes == {"RGB", "RGBA"}
    for golden in shipped.manifest.golden:
        # When it is letterboxed by the reference and asked
        tensor = reference_letterbox(load_picture(shipped.folder, golden), shipped.manifest.geometry.record())
        # Then tensor and probabilities are those of the manifest
        assert check_tensor(shipped.folder, golden, tensor) <= 1
        assert check_scores(golden, shipped.labels, shipped.ask(tensor)) <= 1e-4


@pytest.mark.parametrize("mistake", BAD_GEOMETRIES)
def test_a_geometry_mistake_fails_golden_tensors_and_probabilities(shipped: Shipped, mistake: str) -> None:
    # Given a letterbox with one mistake that hardly shows in F1
    letterbox = BAD_GEOMETRIES[mistake]
    for golden in shipped.manifest.golden:
        # When a golden picture goes through it
        tensor = letterbox(load_picture(shipped.folder, golden), shipped.manifest.geometry.record())
        # Then its tensor and its probabilities are refused
        with pytest.raises(ModelError, match="the tensor is off by"):
            check_tensor(shipped.folder, golden, tensor)
        with pytest.raises(ModelError, match="is off by"):
            check_scores(golden, shipped.labels, shipped.ask(tensor))


@pytest.mark.parametrize("mistake", BAD_INPUTS)
def test_a_channel_range_or_layout_mistake_fails_golden_probabilities(wd14: Shipped, mistake: str) -> None:
    # Given the right input of each golden picture, spoiled
    for golden in wd14.manifest.golden:
        values = reference_input(load_tensor(wd14.folder, golden)[None], wd14.manifest.input)
        # When the original is asked, then its answers are refused
        with pytest.raises(ModelError, match="is off by"):
            check_scores(golden, wd14.labels, wd14.ask_original(BAD_INPUTS[mistake](values))[0])


def test_an_activation_mistake_fails_golden_probabilities(shipped: Shipped) -> None:
    # Given the right answers to each golden picture, put through a sigmoid once more
    for golden in shipped.manifest.golden:
        scores = shipped.ask(load_tensor(shipped.folder, golden))
        # When they are checked, then they are refused
        with pytest.raises(ModelError, match="is off by"):
            check_scores(golden, shipped.labels, sigmoid(scores))


def test_answers_that_are_no_numbers_fail_golden_probabilities(shipped: Shipped) -> None:
    # Given an answer with a NaN in it, when it is checked, then it is refused
    golden = shipped.manifest.golden[0]
    scores = shipped.ask(load_tensor(shipped.folder, golden))
    scores[3] = np.nan
    with pytest.raises(ModelError, match="is off by inf"):
        check_scores(golden, shipped.labels, scores)


def test_the_triton_configuration_fits_the_served_graph(shipped: Shipped) -> None:
    # Given the shipped config.pbtxt
    text = (REPOSITORY / shipped.name / "config.pbtxt").read_text(encoding="utf-8")
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    # Then names, types and dims are the graph's
    assert (config.name, config.backend) == (shipped.name, "onnxruntime")
    (image,), (scores,) = config.input, config.output
    assert (image.name, image.data_type, list(image.dims)) == (
        "image",
        model_config_pb2.TYPE_UINT8,
        [448, 448, 3],
    )
    assert (scores.name, scores.data_type) == ("scores", model_config_pb2.TYPE_FP32)
    assert list(scores.dims) == [-1]
    assert config.max_batch_size == shipped.manifest.batch.maximum
    # And the traps of both backends are avoided
    (group,) = config.instance_group
    assert (group.count, group.kind) == (1, model_config_pb2.ModelInstanceGroup.KIND_AUTO)
    batching = config.dynamic_batching
    assert batching.max_queue_delay_microseconds <= 2000
    assert (batching.priority_levels, batching.default_priority_level) == (2, 2)
    policies = [batching.default_queue_policy, *batching.priority_queue_policy.values()]
    assert len(policies) == 3
    for policy in policies:
        assert policy.timeout_action == model_config_pb2.ModelQueuePolicy.REJECT
        assert policy.default_timeout_microseconds > 0
        assert policy.max_queue_size > 0
    assert all(0 < warmup.batch_size <= config.max_batch_size for warmup in config.model_warmup)
    parameters = {name: parameter.string_value for name, parameter in config.parameters.items()}
    assert int(parameters["intra_op_thread_count"]) > 0
    assert parameters["session.intra_op.allow_spinning"] == "0"


def test_the_model_card_states_the_manifests_figures(shipped: Shipped) -> None:
    # Given the model card
    card = (shipped.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    training = shipped.manifest.training
    assert training is not None
    assert training.held_out is not None
    # Then it states the figures of unseen seeds, styles and aspects
    stated = [training.held_out, *training.others]
    assert len(stated) == 3
    for figures in stated:
        assert f"| {figures.what} | {figures.images} | {figures.macro_f1:.3f}" in card
    # And says plainly what the model is
    assert "demonstration model" in card


def test_a_golden_picture_without_a_labels_score_is_refused(shipped: Shipped) -> None:
    # Given a golden picture whose expectation misses a label
    golden = shipped.manifest.golden[0]
    name, *_ = golden.scores
    short = golden.model_copy(update={"scores": {k: v for k, v in golden.scores.items() if k != name}})
    # When scores are checked, then the label is named
    with pytest.raises(ModelError, match=f"no expected score for '{re.escape(name)}'"):
        check_scores(short, shipped.labels, shipped.ask(load_tensor(shipped.folder, golden)))


def test_a_tensor_of_another_size_is_refused(shipped: Shipped) -> None:
    # Given a tensor of half the size, when it is checked, then it is refused
    golden = shipped.manifest.golden[0]
    with pytest.raises(ModelError, match=r"the tensor is \(224, 224, 3\), not \(448, 448, 3\)"):
        check_tensor(shipped.folder, golden, np.zeros((224, 224, 3), np.uint8))


def test_transparency_is_composited_before_padding() -> None:
    # Given a transparent picture, red where nothing shows
    picture = Image.new("RGBA", (100, 50), (255, 0, 0, 0))
    # When it is letterboxed by the reference
    tensor = reference_letterbox(picture, Shipped("wd14").manifest.geometry.record())
    # Then it is white everywhere
    assert (tensor == 255).all()
