"""Tensors → scores: the one place that speaks to Triton."""
