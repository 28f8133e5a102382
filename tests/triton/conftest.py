"""A Triton over the small models."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from onnx_models import BATCHING, FITTING, GATHERING, MISFITS, TYPES, of_type
from services import RunningTriton
from tritonclient.grpc import InferenceServerClient

ADMIN_HEADER = "triton-grpc-protocol-admin-key"


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, triton_serving: Callable[[Path, str], RunningTriton]
) -> RunningTriton:
    repository = tmp_path_factory.mktemp("repository")
    for model in [*map(of_type, TYPES), GATHERING, *FITTING, *MISFITS.values()]:
        model.write(repository)
    assert BATCHING.name == "same_uint8"
    return triton_serving(repository, "onnx")


@pytest.fixture
def client(server: RunningTriton) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(server.url) as client:
        yield client


@pytest.fixture
def key(server: RunningTriton) -> dict[str, str]:
    """What model control has to be asked with."""
    return {ADMIN_HEADER: server.admin_key}
