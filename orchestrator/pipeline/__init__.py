"""claim → fetch → decode → infer → resolve → store: composes the stages, knows what each error means."""

from orchestrator.pipeline.analyse import Analysed, NamedSuggestion, Pipeline

__all__ = ["Analysed", "NamedSuggestion", "Pipeline"]
