"""The processes in which the embedded Triton computes: one for each version of a model."""

from pathlib import Path

import psutil


def stubs(repository: Path, model: str, version: int | None = None) -> list[psutil.Process]:
    """Return the processes of `model`, or of one version, those of earlier loads that still live included."""
    folder = f"{repository / model}/" + ("" if version is None else f"{version}/")
    return [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if "stub" in process.info["name"] and any(folder in part for part in process.info["cmdline"] or ())
    ]


def kill_stubs(repository: Path, model: str) -> None:
    """Kill every process that serves `model`, also one that an unload has not ended yet."""
    found = stubs(repository, model)
    assert found, f"no backend process of {model}"
    for stub in found:
        stub.kill()
