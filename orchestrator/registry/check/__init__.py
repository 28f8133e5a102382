"""Checks of model artefacts: whether a version's folder is what its manifest says, and can be served.

Everything that opens a model file runs in a process of its own with bounded memory and time (child.py).
"""

from orchestrator.registry.check.report import CheckReport, Facts, Finding, Severity
from orchestrator.registry.check.run import CheckLimits, check_file, check_folder, prepare_folder

__all__ = [
    "CheckLimits",
    "CheckReport",
    "Facts",
    "Finding",
    "Severity",
    "check_file",
    "check_folder",
    "prepare_folder",
]
