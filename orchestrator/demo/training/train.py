"""Training of the tagger, and of the theme head on its embedding. Import only where PyTorch is installed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch  # type: ignore[import-not-found]
from torch.nn import functional  # type: ignore[import-not-found]

from orchestrator.demo.portraits.vocabulary import LABELS
from orchestrator.demo.training.dataset import Dataset
from orchestrator.demo.training.network import TagNet, ThemeHead
from orchestrator.demo.training.progress import progress
from orchestrator.demo.training.scores import Scoring, score

FINE_LABELS = frozenset(
    {"smile", "frown", "open_mouth", "blush", "closed_eyes", "rain", "hair_ribbon", "hairband"}
)
"""Labels that a few pixels decide: they weigh more in the loss."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """How to train. `held_back`: the last drawings, kept for choosing thresholds, never trained on."""

    epochs: int = 12
    batch: int = 32
    peak_rate: float = 3e-3
    weight_decay: float = 0.02
    fine_weight: float = 2.5
    held_back: int = 1000
    seed: int = 0
    threads: int = 2


def train_tagger(
    dataset: Dataset, plan: TrainingPlan, checkpoint: Path, report: Callable[[str], None]
) -> Scoring:
    """Train a new tagger; return its figures on the drawings held back.

    After every epoch `checkpoint` is saved and `report` is called with a line for people.
    """
    torch.manual_seed(plan.seed)
    torch.set_num_threads(plan.threads)
    rng = np.random.default_rng(plan.seed)
    count = len(dataset) - plan.held_back
    truth = torch.from_numpy(dataset.labels.astype(np.float32))
    share = truth[:count].mean(0).clamp(0.01, 0.99)
    net = TagNet().to(memory_format=torch.channels_last)
    net.classify.bias.data = torch.log(share / (1 - share))
    rarity = ((1 - share) / share) ** 0.35
    weight = torch.tensor([plan.fine_weight if label in FINE_LABELS else 1.0 for label in LABELS])
    optimizer = torch.optim.AdamW(net.parameters(), plan.peak_rate, weight_decay=plan.weight_decay)
    steps = count // plan.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.peak_rate, total_steps=steps * plan.epochs, pct_start=0.06, div_factor=20
    )
    scoring = Scoring.empty(LABELS)
    for epoch in range(plan.epochs):
        net.train()
        order = rng.permutation(count)
        for step in progress(range(steps), f"Epoch {epoch + 1} of {plan.epochs}", steps):
            rows = np.sort(order[step * plan.batch : (step + 1) * plan.batch])
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(_augmented(dataset, rows, rng)).float()
            loss = functional.binary_cross_entropy_with_logits(
                logits, truth[rows], weight=weight, pos_weight=rarity
            )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
            schedule.step()
        torch.save(net.state_dict(), checkpoint)
        scoring = score(predict_labels(net, dataset, count), dataset.labels[count:], LABELS)
        report(f"epoch {epoch + 1}: {scoring.summary()}")
    return scoring


def train_theme_head(net: TagNet, dataset: Dataset, plan: TrainingPlan, epochs: int = 300) -> ThemeHead:
    """Train a theme head on `net`'s embedding of the same drawings; `net` stays as it is."""
    torch.manual_seed(plan.seed)
    torch.set_num_threads(plan.threads)
    count = len(dataset) - plan.held_back
    embedding = _embed(net, dataset, 0, count)
    truth = torch.from_numpy(dataset.themes[:count].astype(np.float32))
    head = ThemeHead(embedding.mean(0), embedding.std(0) + 1e-4)
    optimizer = torch.optim.AdamW(head.parameters(), 5e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    head.train()
    for _ in progress(range(epochs), "Training the theme head", epochs):
        optimizer.zero_grad()
        functional.binary_cross_entropy_with_logits(head(embedding), truth).backward()
        optimizer.step()
        schedule.step()
    head.eval()
    return head


def load_tagger(checkpoint: Path) -> TagNet:
    """Return the tagger of `checkpoint`, ready for inference."""
    net = TagNet()
    net.load_state_dict(torch.load(checkpoint, weights_only=True))
    net.eval()
    return net


def predict_labels(net: TagNet, dataset: Dataset, start: int) -> np.ndarray:
    """Return probabilities float32 [N - start, L] of the drawings from row `start` on."""
    with torch.no_grad():
        net.eval()
        probabilities: np.ndarray = torch.sigmoid(
            net.classify(_embed(net, dataset, start, len(dataset)))
        ).numpy()
    return probabilities


def predict_themes(net: TagNet, head: ThemeHead, dataset: Dataset, start: int) -> np.ndarray:
    """Return probabilities float32 [N - start, 12] of the drawings from row `start` on."""
    with torch.no_grad():
        probabilities: np.ndarray = torch.sigmoid(head(_embed(net, dataset, start, len(dataset)))).numpy()
    return probabilities


def _embed(net: TagNet, dataset: Dataset, start: int, stop: int) -> torch.Tensor:
    net.eval()
    with torch.no_grad():
        parts = [
            net.embedding(_pictures(dataset, np.arange(i, min(i + 100, stop))))
            for i in range(start, stop, 100)
        ]
    return torch.cat(parts)


def _pictures(dataset: Dataset, rows: np.ndarray) -> torch.Tensor:
    pictures = torch.from_numpy(dataset.pictures[rows]).permute(0, 3, 1, 2).float()
    return pictures.contiguous(memory_format=torch.channels_last)


def _augmented(dataset: Dataset, rows: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Mirror half of the batches, shift all by a few pixels, change each picture's brightness a little."""
    pictures = torch.from_numpy(dataset.pictures[rows]).permute(0, 3, 1, 2).float()
    if rng.random() < 0.5:
        pictures = pictures.flip(3)
    across, down = rng.integers(-6, 7, 2)
    pictures = torch.roll(pictures, (int(down), int(across)), (2, 3))
    brightness = torch.from_numpy(rng.uniform(0.94, 1.03, (len(rows), 1, 1, 1)).astype(np.float32))
    return (pictures * brightness).clamp_(0, 255).contiguous(memory_format=torch.channels_last)
