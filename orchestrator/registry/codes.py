"""What can be wrong with a model artefact, each with what to do about it.

The codes are stable: they stand in reports, in errors and in docs/errors.md.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class CheckCode(StrEnum):
    """One thing that can be wrong with an artefact, or that an engineer should know of it."""

    # The folder and its files
    ARTEFACT_MISSING = "artefact_missing"
    MANIFEST_MISSING = "manifest_missing"
    MANIFEST_INVALID = "manifest_invalid"
    PATH_OUTSIDE = "path_outside"
    FILE_NOT_THERE = "file_not_there"
    FILE_CHANGED = "file_changed"
    NAME_TAKEN = "name_taken"
    # The bytes of the model file
    MODEL_EMPTY = "model_empty"
    MODEL_IS_PICKLE = "model_is_pickle"
    MODEL_IS_ARCHIVE = "model_is_archive"
    MODEL_IS_WEB_PAGE = "model_is_web_page"
    MODEL_IS_POINTER = "model_is_pointer"
    MODEL_IS_OTHER_FORMAT = "model_is_other_format"
    MODEL_UNREADABLE = "model_unreadable"
    MODEL_TOO_LARGE = "model_too_large"
    # External data
    EXTERNAL_DATA_MISSING = "external_data_missing"
    EXTERNAL_DATA_DAMAGED = "external_data_damaged"
    EXTERNAL_DATA_UNDECLARED = "external_data_undeclared"
    # The graph
    GRAPH_INVALID = "graph_invalid"
    OPSET_TOO_NEW = "opset_too_new"
    OPSET_TOO_OLD = "opset_too_old"
    IR_TOO_NEW = "ir_too_new"
    IR_TOO_OLD = "ir_too_old"
    OPERATORS_UNKNOWN = "operators_unknown"
    OUTPUTS_DUPLICATED = "outputs_duplicated"
    WEIGHTS_NAN = "weights_nan"
    # The graph against the manifest
    INPUTS_DIFFER = "inputs_differ"
    INPUT_TYPE = "input_type"
    INPUT_SHAPE = "input_shape"
    OUTPUTS_DIFFER = "outputs_differ"
    OUTPUT_TYPE = "output_type"
    LABELS_WIDTH = "labels_width"
    EMBEDDING_MISSING = "embedding_missing"
    # The labels
    LABELS_INVALID = "labels_invalid"
    LABELS_COUNT = "labels_count"
    LABELS_DUPLICATED = "labels_duplicated"
    # What the graph answers
    GRAPH_UNLOADABLE = "graph_unloadable"
    GRAPH_FAILS = "graph_fails"
    ANSWERS_MISSHAPEN = "answers_misshapen"
    ANSWERS_NOT_FINITE = "answers_not_finite"
    ANSWERS_VARY = "answers_vary"
    ANSWERS_CONSTANT = "answers_constant"
    ANSWERS_REPEATED = "answers_repeated"
    ANSWERS_COMPETE = "answers_compete"
    LOGITS_AS_PROBABILITIES = "logits_as_probabilities"
    PROBABILITIES_AS_LOGITS = "probabilities_as_logits"
    DOUBLE_SIGMOID = "double_sigmoid"
    SLOW = "slow"
    # Golden pictures
    GOLDEN_ABSENT = "golden_absent"
    GOLDEN_UNREADABLE = "golden_unreadable"
    GOLDEN_INCOMPLETE = "golden_incomplete"
    GOLDEN_TENSOR_MISMATCH = "golden_tensor_mismatch"
    GOLDEN_MISMATCH = "golden_mismatch"
    GOLDEN_BLIND = "golden_blind"
    # Preparation
    BATCH_FIXED = "batch_fixed"
    BATCH_OPENED = "batch_opened"
    BATCH_SINGLE = "batch_single"
    PREPARATION_FAILED = "graph_preparation_failed"
    PREPARATION_DIFFERS = "preparation_differs"
    SERVED_STALE = "served_stale"
    # The check itself
    TIME_EXCEEDED = "time_exceeded"
    MEMORY_EXCEEDED = "memory_exceeded"
    CHECK_CRASHED = "check_crashed"


_C = CheckCode

REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        _C.ARTEFACT_MISSING: "give the path of a version's folder or of an ONNX file",
        _C.MANIFEST_MISSING: "`tagdesk models init` writes manifest.json from looking at the ONNX file",
        _C.MANIFEST_INVALID: "correct the fields that are named; docs/manifest.md has all of them",
        _C.PATH_OUTSIDE: "put the file into the version's folder and name it relative to that",
        _C.FILE_NOT_THERE: "copy the file into the folder, or take it out of the manifest",
        _C.FILE_CHANGED: "copy the file again; if it was meant to change, `tagdesk models init` anew",
        _C.NAME_TAKEN: "rename that file: model.onnx and original.onnx are the preparation's",
        _C.MODEL_EMPTY: "copy the file again; the copy was cut off at its start",
        _C.MODEL_IS_PICKLE: "export the network to ONNX (torch.onnx.export); a pickle is never opened",
        _C.MODEL_IS_ARCHIVE: "unpack it; a PyTorch checkpoint (.pt, .pth) has to be exported to ONNX",
        _C.MODEL_IS_WEB_PAGE: "download the file itself, not the page about it",
        _C.MODEL_IS_POINTER: "fetch the real file: `git lfs pull`, or `tagdesk models fetch`",
        _C.MODEL_IS_OTHER_FORMAT: "export the network to ONNX",
        _C.MODEL_UNREADABLE: "copy or download the file again and compare its hash with the source's",
        _C.MODEL_TOO_LARGE: "graph and weights together must stay below 2 GiB: export in half precision",
        _C.EXTERNAL_DATA_MISSING: "copy the data file beside the model file, or export with weights inside",
        _C.EXTERNAL_DATA_DAMAGED: "copy the data file again; it must belong to this very model file",
        _C.EXTERNAL_DATA_UNDECLARED: "list it with its hash in `model_data`, or `tagdesk models init` anew",
        _C.GRAPH_INVALID: "export again; the message names the node that breaks ONNX's rules",
        _C.OPSET_TOO_NEW: "export with an older opset_version (17 to 20 suit every family)",
        _C.OPSET_TOO_OLD: "convert it with onnx.version_converter, or export with opset_version=17",
        _C.IR_TOO_NEW: "export with an older onnx package, or lower `ir_version` after the export",
        _C.IR_TOO_OLD: "export again with a newer onnx package",
        _C.OPERATORS_UNKNOWN: "export with ONNX's own operators only; custom operators cannot be served",
        _C.OUTPUTS_DUPLICATED: "export again so that every output has a name of its own and occurs once",
        _C.WEIGHTS_NAN: "the training diverged or a conversion overflowed: export a sound checkpoint",
        _C.INPUTS_DIFFER: "set `input.name` to the graph's one input; more than one cannot be served",
        _C.INPUT_TYPE: "export with a FLOAT or FLOAT16 input; casts are put before it by the preparation",
        _C.INPUT_SHAPE: "correct `geometry.size` or `input.layout`, or export for that size",
        _C.OUTPUTS_DIFFER: "set `output.name` to one of the graph's outputs",
        _C.OUTPUT_TYPE: "export with a FLOAT or FLOAT16 output",
        _C.LABELS_WIDTH: "give the labels file that belongs to this very model",
        _C.EMBEDDING_MISSING: "set `output.embedding` to a tensor that a node gives, or leave it out",
        _C.LABELS_INVALID: "correct the line that is named; docs/manifest.md has the formats",
        _C.LABELS_COUNT: "set `labels.count` to the number of labels, or give the right file",
        _C.LABELS_DUPLICATED: "every output needs a name of its own: correct the labels file",
        _C.GRAPH_UNLOADABLE: "try onnxruntime.InferenceSession on the file by hand; export again",
        _C.GRAPH_FAILS: "the message is ONNX Runtime's; mostly a shape that is fixed inside: export again",
        _C.ANSWERS_MISSHAPEN: "the named output must be [pictures, labels]: name another, or export again",
        _C.ANSWERS_NOT_FINITE: "half precision overflows, or a division by zero: export in float32",
        _C.ANSWERS_VARY: "export in evaluation mode: dropout or random operators are still in the graph",
        _C.ANSWERS_CONSTANT: "the value range is wrong, or the weights are not the trained ones",
        _C.ANSWERS_REPEATED: "compare the last layer with the labels: a column seems to be there twice",
        _C.ANSWERS_COMPETE: "a tagger has a sigmoid per label: export without the softmax",
        _C.LOGITS_AS_PROBABILITIES: "set `output.activation` to `logits`",
        _C.PROBABILITIES_AS_LOGITS: "set `output.activation` to `probabilities`: the sigmoid is in the graph",
        _C.DOUBLE_SIGMOID: "the graph has two sigmoids: export without the one in the loss or the wrapper",
        _C.SLOW: "serve it on a GPU, or take a smaller model",
        _C.GOLDEN_ABSENT: "add some with known scores: `tagdesk models init --golden PICTURE …`",
        _C.GOLDEN_UNREADABLE: "give an ordinary PNG or JPEG below 50 megapixels",
        _C.GOLDEN_INCOMPLETE: "give every label's score, or `others_at_most` for those left out",
        _C.GOLDEN_TENSOR_MISMATCH: "correct `geometry`: pad colour, filter and size make the tensor",
        _C.GOLDEN_MISMATCH: "correct `input` or `output`: the scores must come from the family's own code",
        _C.GOLDEN_BLIND: "add a colourful golden picture; these would not notice swapped channels",
        _C.BATCH_FIXED: "export with a dynamic batch (dynamic_axes, or dynamic_shapes, on dimension 0)",
        _C.BATCH_OPENED: "nothing: batches were proved equal to single pictures",
        _C.BATCH_SINGLE: "export with a dynamic batch to have pictures computed together",
        _C.PREPARATION_FAILED: "correct `input` and `output`; docs/manifest.md says what they mean",
        _C.PREPARATION_DIFFERS: "please report it with the model: the prepared graph must equal its original",
        _C.SERVED_STALE: "nothing, or publish the model anew under the next number",
        _C.TIME_EXCEEDED: "the graph may never end; if it is only slow, give --wall-seconds more",
        _C.MEMORY_EXCEEDED: "the graph may be a bomb; if it is only large, give --memory-mib more",
        _C.CHECK_CRASHED: "the file is hostile or corrupt: copy it again, export it again",
    }
)
"""What to do about each code, for a person."""
