"""Export to ONNX in the two families' own contracts. Import only where PyTorch is installed."""

import tempfile
import warnings
from pathlib import Path

import onnx
import torch  # type: ignore[import-not-found]

from orchestrator.demo.training.network import TagNet, ThemeExport, ThemeHead, Wd14Export

OPSET = 18
SIDE = 448


def export_wd14(net: TagNet) -> onnx.ModelProto:
    """Return `net` in WD14's contract: `input` float32 BGR NHWC 0–255 → `output`, sigmoid applied."""
    return _export(Wd14Export(net), torch.zeros(2, SIDE, SIDE, 3), "input", "output")


def export_themes(net: TagNet, head: ThemeHead) -> onnx.ModelProto:
    """Return the theme model: `pixels` float32 RGB NCHW, ImageNet-normalised → `logits`."""
    return _export(ThemeExport(net, head), torch.zeros(2, 3, SIDE, SIDE), "pixels", "logits")


def _export(
    module: torch.nn.Module, example: torch.Tensor, input_name: str, output_name: str
) -> onnx.ModelProto:
    module.eval()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            module,
            (example,),
            path,
            input_names=[input_name],
            output_names=[output_name],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
        model = onnx.load(path)
    _forget_origin(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def _forget_origin(model: onnx.ModelProto) -> None:
    """Drop stack traces and file names of the exporting machine."""
    del model.metadata_props[:], model.graph.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    values = [*model.graph.value_info, *model.graph.input, *model.graph.output]
    for part in [*model.graph.node, *values, *model.graph.initializer]:
        part.doc_string = ""
        del part.metadata_props[:]
