"""Names and bounds that hold for every version; apart, for whoever has no need of ONNX itself."""

from typing import Final

SERVED_INPUT: Final = "image"
SERVED_OUTPUT: Final = "scores"
SERVED_EMBEDDING: Final = "embedding"

SERVED_FILE: Final = "model.onnx"
"""The prepared graph: what Triton looks for in a version's folder unless a configuration says otherwise."""
ORIGINAL_FILE: Final = "original.onnx"
"""What an original is renamed to that had the served graph's name."""

LARGEST_MODEL: Final = 2 * 1024**3 - 1
"""Bytes that a graph and its weights may have together: what a protobuf holds."""
