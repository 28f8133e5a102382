"""Every family's graph becomes one wire format, equal to its original, or is refused."""

import itertools
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from small_nets import LABELS, SIDE, Contract, build

from orchestrator.errors import GraphPreparationError
from orchestrator.registry.graph import prepare_graph
from orchestrator.registry.verify import (
    generated_images,
    open_session,
    run_original,
    run_served,
    verify_graph,
)

WD14 = Contract()
IMAGENET = Contract(
    layout="NCHW",
    channel_order="RGB",
    value_range=(0.0, 1.0),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    activation="logits",
    input_name="pixels",
    output_name="logits",
    inner_names=("flat", "product"),
)
CONTRACTS = [
    replace(
        WD14, layout=layout, channel_order=order, value_range=scale, activation=activation, mean=mean, std=std
    )
    for layout, order, scale, activation, (mean, std) in itertools.product(
        ("NHWC", "NCHW"),
        ("RGB", "BGR"),
        ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0)),
        ("probabilities", "logits"),
        (((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))),
    )
]


def prepared(contract: Contract, model: onnx.ModelProto | None = None) -> onnx.ModelProto:
    original = model or build(contract)
    return prepare_graph(original, contract.input_spec, contract.output_spec, size=SIDE, labels=LABELS)


def verify(contract: Contract, served: onnx.ModelProto) -> float:
    original = build(contract).SerializeToString()
    equality = verify_graph(
        original, served.SerializeToString(), contract.input_spec, contract.output_spec, size=SIDE
    )
    return equality.largest_difference


@pytest.mark.parametrize("contract", CONTRACTS, ids=str)
def test_a_prepared_graph_equals_its_original_after_the_reference_preparation(contract: Contract) -> None:
    # Given a family's graph
    # When it is prepared
    served = prepared(contract)
    # Then its answers are those of the original, alone and in batches
    assert verify(contract, served) <= 1e-4
    # And they tell pictures apart, or equality would prove nothing
    answers = run_served(open_session(served.SerializeToString()), np.stack(generated_images(SIDE)))
    assert np.ptp(answers, axis=0).min() > 0.01


@pytest.mark.parametrize("contract", [WD14, IMAGENET], ids=["wd14", "imagenet"])
def test_a_prepared_graph_has_the_one_wire_format(contract: Contract) -> None:
    # Given a prepared graph, when a session opens it
    session = open_session(prepared(contract).SerializeToString())
    # Then it takes UINT8 RGB NHWC as `image` and gives float32 `scores`, in any batch, of so many labels as
    # it likes: versions of one model share a configuration
    (image,) = session.get_inputs()
    (scores,) = session.get_outputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(uint8)", ["N", SIDE, SIDE, 3])
    assert (scores.name, scores.type, scores.shape) == ("scores", "tensor(float)", ["N", "labels"])


def test_preparing_leaves_the_original_alone() -> None:
    # Given a graph
    original = build(IMAGENET)
    before = original.SerializeToString()
    # When it is prepared
    prepared(IMAGENET, original)
    # Then it is as it was
    assert original.SerializeToString() == before


def test_inner_names_that_are_ours_do_not_collide() -> None:
    # Given a graph that uses our names inside, and for its own input and output
    contract = replace(
        WD14, input_name="scores", output_name="image", inner_names=("prepare/Cast_1", "original/scores")
    )
    # When it is prepared, then it equals its original
    assert verify(contract, prepared(contract)) <= 1e-4


def test_half_precision_graphs_are_cast_both_ways() -> None:
    # Given a float16 graph
    contract = replace(IMAGENET, element=TensorProto.FLOAT16)
    # When it is prepared
    served = prepared(contract)
    # Then it still gives float32, equal to the original
    assert verify(contract, served) <= 1e-4
    assert open_session(served.SerializeToString()).get_outputs()[0].type == "tensor(float)"


def test_a_fixed_batch_is_opened_where_the_inside_bears_it() -> None:
    # Given an export whose batch is fixed at 1, but whose nodes do not depend on it
    contract = replace(WD14, batch=1)
    # When it is prepared, then it answers for batches
    assert verify(contract, prepared(contract)) <= 1e-4


def test_a_batch_fixed_inside_is_refused() -> None:
    # Given an export that reshapes everything to one row
    contract = replace(WD14, batch=1, flatten="Reshape")
    # When it is prepared and verified, then it is refused
    with pytest.raises(GraphPreparationError, match=r"does not run|not valid ONNX"):
        verify(contract, prepared(contract))


@pytest.mark.parametrize(
    ("contract", "spoiled"),
    [
        (WD14, replace(WD14, channel_order="RGB")),
        (WD14, replace(WD14, value_range=(0.0, 1.0))),
        (IMAGENET, replace(IMAGENET, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))),
        (IMAGENET, replace(IMAGENET, channel_order="BGR")),
        (IMAGENET, replace(IMAGENET, activation="probabilities")),
    ],
    ids=["channels", "range", "normalisation", "channels-imagenet", "no-sigmoid"],
)
def test_verification_refuses_a_graph_that_differs(contract: Contract, spoiled: Contract) -> None:
    # Given a graph prepared for another contract than its own
    wrong = prepare_graph(build(contract), spoiled.input_spec, spoiled.output_spec, size=SIDE, labels=LABELS)
    # When it is verified against its original, then the difference is found
    with pytest.raises(GraphPreparationError, match="differs from its original"):
        verify(contract, wrong)


def test_logits_declared_as_probabilities_are_refused() -> None:
    # Given a graph that gives logits, and a manifest that says probabilities
    liar = replace(IMAGENET, activation="probabilities")
    original = build(IMAGENET)
    served = prepare_graph(original, liar.input_spec, liar.output_spec, size=SIDE, labels=LABELS)
    # When it is verified, then it is refused
    with pytest.raises(GraphPreparationError, match="probabilities"):
        verify_graph(
            original.SerializeToString(),
            served.SerializeToString(),
            liar.input_spec,
            liar.output_spec,
            size=SIDE,
        )


@pytest.mark.parametrize(
    ("contract", "believed", "message"),
    [
        (WD14, replace(WD14, input_name="pixels"), "inputs are input; the manifest names 'pixels'"),
        (WD14, replace(WD14, output_name="probabilities"), "outputs are output; the manifest names"),
        (WD14, replace(WD14, layout="NCHW"), r"has the shape \[N, 32, 32, 3\]; \[N, 3, 32, 32\] is needed"),
        (replace(WD14, element=TensorProto.DOUBLE), WD14, "is DOUBLE; it must be FLOAT or FLOAT16"),
        (replace(WD14, opset=8), WD14, "opset is 8; at least 9"),
    ],
    ids=["input-name", "output-name", "layout", "dtype", "opset"],
)
def test_a_graph_that_does_not_fit_its_manifest_is_refused(
    contract: Contract, believed: Contract, message: str
) -> None:
    # Given a graph and a manifest that speaks of another, when it is prepared, then the reason is said
    with pytest.raises(GraphPreparationError, match=message):
        prepare_graph(build(contract), believed.input_spec, believed.output_spec, size=SIDE, labels=LABELS)


def test_another_number_of_labels_is_refused() -> None:
    # Given a graph of five labels, when a manifest says six, then it is refused
    with pytest.raises(GraphPreparationError, match=r"has the shape \[N, 5\]; \[N, 6\] is needed"):
        prepare_graph(build(WD14), WD14.input_spec, WD14.output_spec, size=SIDE, labels=6)


def test_bytes_that_are_no_graph_are_refused() -> None:
    # Given bytes that are no graph, when a session opens them, then it is a typed error
    with pytest.raises(GraphPreparationError, match="cannot load the graph"):
        open_session(b"no graph at all")


def test_the_original_answers_picture_by_picture() -> None:
    # Given an original with a batch of exactly one
    contract = replace(WD14, batch=1, flatten="Reshape")
    session = open_session(build(contract).SerializeToString())
    pictures = np.stack(generated_images(SIDE))
    # When three pictures are asked for at once
    answer = run_original(session, pictures[:3], contract.input_spec, contract.output_spec)
    # Then there are three different answers
    assert answer.shape == (3, LABELS)
    assert not np.allclose(answer[0], answer[1], atol=1e-3)
