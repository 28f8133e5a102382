"""A configuration that the GPU container would refuse is refused here too, with words that help."""

import pytest
from onnx_models import FITTING, MISFITS, Served
from tritonclient.utils import InferenceServerException


@pytest.mark.parametrize("model", FITTING, ids=lambda model: model.name)
def test_a_configuration_that_fits_is_served(client, key, model: Served) -> None:
    client.load_model(model.name, headers=key)
    assert client.is_model_ready(model.name, "1")


@pytest.mark.parametrize("wrong", MISFITS)
def test_a_configuration_that_does_not_fit_is_refused(client, key, wrong: str) -> None:
    model = MISFITS[wrong]
    with pytest.raises(InferenceServerException) as refusal:
        client.load_model(model.name, headers=key)
    assert "model.onnx:" in refusal.value.message() or "Invalid argument" in refusal.value.message()
    assert not client.is_model_ready(model.name, "1")
