"""What goes through Triton comes out as from ONNX Runtime itself, bit for bit."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
from onnx_models import BATCHING, GATHERING, TYPES, of_type
from services import RunningTriton
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

COUNTED_WITHIN = 10.0
"""Seconds: Triton counts a run after it has answered."""


def sample(triton_type: str, rows: int) -> np.ndarray:
    """Return random bits as [rows, 5] of a type: among floats also NaN, infinities and subnormals."""
    dtype = np.dtype(triton_to_np_dtype(triton_type))
    bits = np.random.default_rng(rows).integers(0, 256, rows * 5 * dtype.itemsize, np.uint8)
    return bits.view(dtype).reshape(rows, 5)


def tensor(array: np.ndarray, triton_type: str) -> InferInput:
    given = InferInput("x", array.shape, triton_type)
    given.set_data_from_numpy(array)
    return given


@pytest.mark.parametrize("triton_type", TYPES)
@pytest.mark.parametrize("rows", [1, 3, 8])
def test_every_type_passes_bit_for_bit(server, client, key, triton_type: str, rows: int) -> None:
    # Given a model that gives back what it gets
    model = of_type(triton_type)
    client.load_model(model.name, headers=key)
    given = sample(triton_type, rows)
    # When it is asked through Triton and directly
    answer = client.infer(model.name, [tensor(given, triton_type)]).as_numpy("y")
    file = server.repository / model.name / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    direct = session.run(["y"], {"x": given})[0]
    # Then every bit is the same
    assert answer.dtype == direct.dtype
    assert answer.tobytes() == direct.tobytes() == given.tobytes()


def test_the_shipped_models_answer_as_onnx_runtime_does(
    triton_url, triton_admin_key, model_repository
) -> None:
    picture = np.random.default_rng(7).integers(0, 256, (1, 448, 448, 3), np.uint8)
    given = InferInput("image", picture.shape, "UINT8")
    given.set_data_from_numpy(picture)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    with InferenceServerClient(triton_url) as client:
        for name in ("wd14", "custom_theme"):
            client.load_model(name, headers={"triton-grpc-protocol-admin-key": triton_admin_key})
            answer = client.infer(name, [given], model_version="1").as_numpy("scores")
            file = model_repository / name / "1" / "model.onnx"
            session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
            np.testing.assert_array_equal(answer, session.run(["scores"], {"image": picture})[0])


def test_requests_that_meet_are_answered_in_one_run_each_with_its_own_rows(client, key) -> None:
    # Given a model whose requests wait for company
    client.load_model(GATHERING.name, headers=key)
    before = executions(client)
    batches = [np.full((rows, 5), float(rows**2), np.float32) for rows in (1, 2, 5)]
    # When several are asked at once, of different sizes
    with ThreadPoolExecutor(len(batches)) as callers:
        calls = [callers.submit(client.infer, GATHERING.name, [tensor(batch, "FP32")]) for batch in batches]
    answers = [call.result().as_numpy("y") for call in calls]
    # Then each gets the roots of its own rows, and the model ran once
    for rows, answer in zip((1, 2, 5), answers, strict=True):
        np.testing.assert_array_equal(answer, np.full((rows, 5), float(rows), np.float32))
    deadline = time.monotonic() + COUNTED_WITHIN
    while executions(client) == before:
        assert time.monotonic() < deadline, "the run is not counted"
        time.sleep(0.01)
    assert executions(client) - before == 1


def executions(client: InferenceServerClient) -> int:
    return int(client.get_inference_statistics(GATHERING.name).model_stats[0].execution_count)


@pytest.mark.parametrize(
    ("array", "triton_type", "complaint"),
    [
        (np.zeros((1, 5), np.float32), "FP32", "data-type"),
        (np.zeros((1, 6), np.uint8), "UINT8", "unexpected shape"),
        (np.zeros((9, 5), np.uint8), "UINT8", "batch-size must be <= 8"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    client, key, array: np.ndarray, triton_type: str, complaint: str
) -> None:
    client.load_model(BATCHING.name, headers=key)
    with pytest.raises(InferenceServerException, match=complaint) as refusal:
        client.infer(BATCHING.name, [tensor(array, triton_type)])
    assert refusal.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_numpy_is_the_one_that_breaks_the_naive_way() -> None:
    """The tests above would prove little with a NumPy that the server was built for."""
    assert int(np.__version__.partition(".")[0]) >= 2


def test_the_server_says_what_it_computes_on(server: RunningTriton, client, key) -> None:
    client.load_model(BATCHING.name, headers=key)
    log = server.stack.instance.log_file("triton").read_text()
    assert f"{BATCHING.name} version 1 runs on CPUExecutionProvider" in log
