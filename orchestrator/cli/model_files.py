"""`tagdesk models init` and `tagdesk models check`: model files on disk; no installation is needed."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from orchestrator.errors import InvalidInput
from orchestrator.records import Vocabulary
from orchestrator.registry.check import (
    CheckLimits,
    CheckReport,
    Facts,
    Severity,
    check_file,
    check_folder,
)
from orchestrator.registry.initialise import Said, initialise
from orchestrator.registry.manifest import MANIFEST_NAME, Manifest
from orchestrator.registry.presets import CONTRACTS, IMAGENET_MEAN, IMAGENET_STD, Preset

app = typer.Typer(no_args_is_help=True, help="Model files: write their manifests, check them.")

Layout = Literal["NHWC", "NCHW"]
ChannelOrder = Literal["RGB", "BGR"]
Activation = Literal["probabilities", "logits"]
Filter = Literal["nearest", "bilinear", "bicubic", "lanczos"]

_MARKS = {
    Severity.OK: "[green]ok[/]",
    Severity.WARNING: "[yellow]warning[/]",
    Severity.FAILURE: "[red]failure[/]",
}


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A version's folder, or an ONNX file.")],
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
    wall_seconds: Annotated[float, typer.Option(min=1, help="Stop after so long.")] = 600,
    memory_mib: Annotated[
        int | None, typer.Option(min=64, help="Memory for the check; by the size of the files if not given.")
    ] = None,
) -> None:
    """Prove that a model version is what its manifest says and can be served. Changes nothing.

    Example: tagdesk models check taggers/wd14/2. A file beside its manifest is checked with it. Ends with
    status 1 when something stands in the way; each finding says how to mend it.
    """
    memory = None if memory_mib is None else memory_mib * 1024 * 1024
    limits = CheckLimits(wall_seconds=wall_seconds, memory_bytes=memory)
    if path.is_dir():
        report = check_folder(path, limits=limits)
    elif path.name == MANIFEST_NAME or (path.is_file() and (path.parent / MANIFEST_NAME).is_file()):
        report = check_folder(path.parent, limits=limits)
    else:
        report = check_file(path, limits=limits)
    if as_json:
        typer.echo(report.to_json(), nl=False)
    else:
        show_report(report)
    if not report.passed:
        raise typer.Exit(1)


def show_report(report: CheckReport) -> None:
    """Print a report for people: findings in the order in which they were made, then what is known."""
    console = Console()
    table = Table(title=report.subject, title_justify="left", box=None, pad_edge=False)
    table.add_column()
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for finding in report.findings:
        table.add_row(_MARKS[finding.severity], finding.code, _plain(finding.what))
        if finding.remedy:
            table.add_row("", "", f"[dim]→ {_plain(finding.remedy)}[/]")
    console.print(table)
    for line in _facts(report.facts):
        console.print(f"  {line}", style="dim", markup=False)
    failures, warnings = len(report.failures), len(report.warnings)
    verdict = "passed" if report.passed else "refused"
    console.print(f"{verdict}: {failures} failures, {warnings} warnings", style="bold")


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The version's folder, or the ONNX file in it.")],
    *,
    preset: Annotated[Preset | None, typer.Option(help="The family whose contract it has.")] = None,
    name: Annotated[str | None, typer.Option(help="The model's name in the repository.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="The version's number.")] = None,
    source: Annotated[str | None, typer.Option(help="Where the weights come from.")] = None,
    licence: Annotated[str | None, typer.Option(help="Under which licence.")] = None,
    labels: Annotated[str | None, typer.Option(help="The labels file in the folder.")] = None,
    golden: Annotated[
        list[Path] | None, typer.Option(help="A picture to remember the scores of; may be repeated.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Pixels of a side.")] = None,
    layout: Annotated[Layout | None, typer.Option()] = None,
    channel_order: Annotated[ChannelOrder | None, typer.Option()] = None,
    value_range: Annotated[
        tuple[float, float] | None, typer.Option(help="Of a channel: 0 255, 0 1, -1 1.")
    ] = None,
    mean: Annotated[tuple[float, float, float] | None, typer.Option(help="By channel.")] = None,
    std: Annotated[tuple[float, float, float] | None, typer.Option(help="By channel.")] = None,
    activation: Annotated[Activation | None, typer.Option(help="What the graph answers.")] = None,
    pad_colour: Annotated[
        tuple[int, int, int] | None, typer.Option(help="Of the margin: 255 255 255.")
    ] = None,
    resize: Annotated[Filter | None, typer.Option(help="How pictures are resized.")] = None,
    output: Annotated[str | None, typer.Option(help="The output with the scores.")] = None,
    embedding: Annotated[str | None, typer.Option(help="A tensor to serve as a second output.")] = None,
    vocabulary: Annotated[Vocabulary | None, typer.Option(help="Whose names the labels are.")] = None,
    model_source: Annotated[str | None, typer.Option(help="What suggestions show as their source.")] = None,
    family: Annotated[str | None, typer.Option(help="Who trained it in which way, for people.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a manifest that is there.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
) -> None:
    """Write a version's manifest.json from its ONNX file, what its family is known for, and your answers.

    Examples: tagdesk models init taggers/wd14/2 --preset wd14-v3 --source https://huggingface.co/… ·
    tagdesk models init taggers/mine/1/net.onnx --preset generic --channel-order RGB --value-range 0 1.
    What neither the graph nor the preset shows is asked for, or has to be given with --yes.
    """
    folder = path if path.is_dir() else path.parent
    ask = not yes and sys.stdin.isatty()
    if preset is None:
        words = ", ".join(Preset)
        preset = Preset(typer.prompt(f"Preset ({words})", default="generic")) if ask else Preset.GENERIC
    if preset is Preset.GENERIC and ask:
        channel_order = channel_order or _order(typer.prompt("Channel order (RGB, BGR)", default="RGB"))
        value_range = value_range or _numbers(typer.prompt("Value range of a channel", default="0 1"))
        if mean is None and typer.confirm(
            "ImageNet's mean and standard deviation after that?", default=False
        ):
            mean, std = IMAGENET_MEAN, IMAGENET_STD
    if licence is None and ask and CONTRACTS[preset].licence is None:
        licence = typer.prompt("Licence")
    said = Said(
        size=size,
        pad_colour=pad_colour,
        filter=resize,
        layout=layout,
        channel_order=channel_order,
        value_range=value_range,
        mean=mean,
        std=std,
        activation=activation,
        output=output,
        embedding=embedding,
        vocabulary=vocabulary,
        model_source=model_source,
        family=family,
    )
    seen_name, seen_number = _names_of(folder)
    manifest = initialise(
        folder,
        preset=preset,
        name=name or (typer.prompt("Name", default=seen_name) if ask else seen_name),
        version=version or (typer.prompt("Version", default=seen_number, type=int) if ask else seen_number),
        source=source or (typer.prompt("Source") if ask else _required("--source")),
        licence=licence,
        model_file=None if path.is_dir() else path.name,
        labels_file=labels,
        golden=golden or (),
        said=said,
        replace=force,
    )
    _say_written(folder, manifest)


def _order(text: str) -> ChannelOrder:
    return "BGR" if text.strip().upper() == "BGR" else "RGB"


def _numbers(text: str) -> tuple[float, float]:
    low, high = (float(part) for part in text.replace(",", " ").split())
    return low, high


def _required(flag: str) -> str:
    raise InvalidInput(f"say {flag}: nobody else knows", code="manifest_unclear")


def _names_of(folder: Path) -> tuple[str, int]:
    """Return name and number as the folder is called: …/wd14/2 is version 2 of wd14, …/my-tagger is 1."""
    path = folder.absolute()
    numbered = path.name.isdecimal() and int(path.name) > 0
    words = (path.parent if numbered else path).name.lower()
    name = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in words).strip("_")
    return name or "model", int(path.name) if numbered else 1


def _say_written(folder: Path, manifest: Manifest) -> None:
    wants, gives = manifest.input, manifest.output
    low, high = wants.value_range
    lines: Sequence[str] = (
        f"{folder / MANIFEST_NAME} is written for {manifest.name} {manifest.version} ({manifest.family}).",
        f"  input   {wants.name}: {wants.layout} {wants.channel_order}, {manifest.geometry.size} px,"
        f" {low:g} to {high:g}, mean {wants.mean}, std {wants.std}",
        f"  output  {gives.name}: {gives.activation} of {manifest.labels.count} labels"
        f" from {manifest.labels.file}",
        f"  golden  {len(manifest.golden)} pictures",
        f"Compare that with the family's own code, then: tagdesk models check {folder}",
    )
    for line in lines:
        typer.echo(line)
    for golden in manifest.golden:
        best = sorted(golden.scores.items(), key=lambda entry: -entry[1])[:5]
        typer.echo(f"  {golden.file}: " + ", ".join(f"{label} {score:.3f}" for label, score in best))


def _facts(facts: Facts) -> list[str]:
    lines = []
    if facts.inputs or facts.outputs:
        lines.append(f"{', '.join(facts.inputs)} → {', '.join(facts.outputs)}")
    if facts.bytes_total is not None:
        lines.append(f"{facts.bytes_total / 1e6:.1f} MB, {facts.parameters or 0:,} parameters")
    if facts.milliseconds_per_image is not None:
        lines.append(f"{facts.milliseconds_per_image:.1f} ms a picture on {facts.cores} cores here")
    return lines


def _plain(text: str) -> str:
    """Square brackets are markup to rich."""
    return text.replace("[", r"\[")
