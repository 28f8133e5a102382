"""A version folder's served graph is written only once it is proved equal to the original."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_nets import SIDE, Contract
from versions import small_version

from orchestrator.errors import GraphPreparationError
from orchestrator.registry.golden import load_tensor
from orchestrator.registry.manifest import file_sha256
from orchestrator.registry.prepare import prepare_version
from orchestrator.registry.verify import open_session, run_served


def test_a_version_is_prepared_and_verified_with_its_golden_tensor(tmp_path: Path) -> None:
    # Given a version with one golden picture
    version = small_version(tmp_path, Contract())
    # When it is prepared
    prepared = prepare_version(version.folder, version.manifest)
    # Then the graph is in its place, its hash is returned, and the golden tensor was among the proofs
    served = version.folder / "model.onnx"
    assert prepared.served.sha256 == file_sha256(served)
    assert prepared.equality.largest_difference <= 1e-4
    assert prepared.equality.images == 8
    assert prepared.batched
    tensor = load_tensor(version.folder, version.manifest.golden[0])
    assert tensor.shape == (SIDE, SIDE, 3)
    assert run_served(open_session(served.read_bytes()), tensor[None]).shape == (1, 5)


def test_a_version_whose_batch_is_fixed_inside_takes_one_picture_at_a_time(tmp_path: Path) -> None:
    # Given a version whose graph reshapes everything to one row
    version = small_version(tmp_path, replace(Contract(), batch=1, flatten="Reshape"))
    # When it is prepared
    prepared = prepare_version(version.folder, version.manifest)
    # Then it equals its original picture by picture, and says that it takes any batch, as Triton wants it
    assert not prepared.batched
    assert prepared.equality.batches == (1,)
    session = open_session((version.folder / "model.onnx").read_bytes())
    assert session.get_inputs()[0].shape == ["N", SIDE, SIDE, 3]
    assert all(isinstance(side, str) for side in session.get_outputs()[0].shape)
    # And two at once are refused, not mixed
    with pytest.raises(Exception, match="cannot be reshaped"):
        run_served(session, np.zeros((2, SIDE, SIDE, 3), np.uint8))


def test_a_version_that_cannot_be_prepared_leaves_no_file(tmp_path: Path) -> None:
    # Given a version whose batch is fixed inside, and not at one
    version = small_version(tmp_path, replace(Contract(), batch=4, flatten="Reshape"))
    before = sorted(version.folder.iterdir())
    # When it is prepared, then it is refused and nothing is written
    with pytest.raises(GraphPreparationError):
        prepare_version(version.folder, version.manifest)
    assert sorted(version.folder.iterdir()) == before


def test_a_file_that_is_no_graph_is_a_typed_error(tmp_path: Path) -> None:
    # Given a version whose graph is cut short
    version = small_version(tmp_path, Contract())
    path = version.folder / "original.onnx"
    path.write_bytes(path.read_bytes()[:1000])
    # When it is prepared, then it is refused
    with pytest.raises(GraphPreparationError, match=r"original\.onnx cannot be read as ONNX"):
        prepare_version(version.folder, version.manifest)
