"""`python -m orchestrator.demo.training`: draw, train, package, evaluate."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from orchestrator.demo.portraits.vocabulary import LABELS
from orchestrator.demo.training.card import write_card
from orchestrator.demo.training.dataset import Dataset, prepare_dataset
from orchestrator.demo.training.evaluate import (
    any_aspect_drawings,
    figures,
    held_out_drawings,
    judge,
    unseen_style_drawings,
)
from orchestrator.demo.training.package import CUSTOM_THEME, WD14, add_figures, write_version
from orchestrator.demo.training.scores import Scoring, score
from orchestrator.demo.training.thresholds import theme_thresholds, wd14_thresholds

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
console = Console()

Work = Annotated[Path, typer.Option(help="Folder for drawings and checkpoints; about 1.5 GB.")]
Repository = Annotated[Path, typer.Option(help="Model repository to write version 1 of both models to.")]
Count = Annotated[int, typer.Option(help="How many portraits to draw for training.", min=1200)]

DEFAULT_WORK = Path(".local/training")
DEFAULT_REPOSITORY = Path("model_repository")


@app.command()
def train(work: Work = DEFAULT_WORK, count: Count = 10_000) -> None:
    """Draw the training portraits and train the tagger (about half an hour on two cores)."""
    _require_torch()
    from orchestrator.demo.training.train import TrainingPlan, train_tagger  # noqa: PLC0415

    dataset = _dataset(work, count)
    scoring = train_tagger(dataset, TrainingPlan(), work / "tagger.pt", console.print)
    console.print(f"on {scoring.images} drawings held back: {scoring.summary()}")


@app.command()
def package(
    work: Work = DEFAULT_WORK, repository: Repository = DEFAULT_REPOSITORY, count: Count = 10_000
) -> None:
    """Train the theme head, export both models, prepare their graphs, write their version folders."""
    _require_torch()
    from orchestrator.demo.training.export import export_themes, export_wd14  # noqa: PLC0415
    from orchestrator.demo.training.train import (  # noqa: PLC0415
        TrainingPlan,
        load_tagger,
        predict_labels,
        predict_themes,
        train_theme_head,
    )

    plan = TrainingPlan()
    dataset = _dataset(work, count)
    start = count - plan.held_back
    net = load_tagger(work / "tagger.pt")
    labels = predict_labels(net, dataset, start)
    console.print(f"tagger, held back: {score(labels, dataset.labels[start:], LABELS).summary()}")
    head = train_theme_head(net, dataset, plan)
    themes = predict_themes(net, head, dataset, start)
    advice = wd14_thresholds(labels, dataset.labels[start:])
    write_version(repository, WD14, export_wd14(net), start, advice)
    advice = theme_thresholds(themes, dataset.themes[start:])
    write_version(repository, CUSTOM_THEME, export_themes(net, head), start, advice)


@app.command()
def evaluate(
    repository: Repository = DEFAULT_REPOSITORY,
    count: Annotated[int, typer.Option(help="How many drawings of each kind.", min=100)] = 600,
) -> None:
    """Judge both served models on unseen drawings; write the figures into manifests and model cards."""
    held_out = judge(repository, held_out_drawings(count), with_mistakes=True)
    styles = judge(repository, unseen_style_drawings(count))
    aspects = judge(repository, any_aspect_drawings(count))
    what = ("unseen seeds", "unseen seeds in unseen drawing styles", "unseen seeds, aspects 1:3 to 3:1")
    of_wd14 = (held_out.wd14(), styles.wd14(), aspects.wd14())
    of_themes = (held_out.custom_theme(), styles.custom_theme(), aspects.custom_theme())
    for name, scorings, mistakes in (
        ("wd14", of_wd14, held_out.wd14_mistaken()),
        ("custom_theme", of_themes, dict[str, Scoring]()),
    ):
        found = [figures(text, scoring) for text, scoring in zip(what, scorings, strict=True)]
        manifest = add_figures(repository, name, found[0], found[1:])
        write_card(repository / name / "1", manifest, scorings[0], mistakes)
        for text, scoring in zip(what, scorings, strict=True):
            console.print(f"{name}, {text}: {scoring.summary()}")
        for mistake, scoring in mistakes.items():
            console.print(f"{name}, {mistake}: macro-F1 {scoring.macro_f1:.3f}")


def _dataset(work: Path, count: int) -> Dataset:
    return prepare_dataset(work / f"drawings-{count}", count)


def _require_torch() -> None:
    missing = [name for name in ("torch", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        console.print(
            f"[red]Training needs {' and '.join(missing)}, which tagdesk itself does not.[/red]"
            " Install with: pip install torch==2.13.0 onnxscript"
        )
        raise typer.Exit(2)


if __name__ == "__main__":
    app()
